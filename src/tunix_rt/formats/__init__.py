"""1b  Other people's files as traces, and traces as other people's files.

Reading never guesses in silence: the format is decided once a file, every row that does not fit is named with its line, code
and field, and what a trace has no place for is kept in its meta. Writing is proved by reading back.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tunix_rt import plugins
from tunix_rt.formats import chat, feedback, instruct, langfuse, maths, own, telemetry
from tunix_rt.formats.containers import Bad, Numbered, Rows, bad
from tunix_rt.formats.core import BadFile, BadRow, Format, Origin, Reply, Row, to_trace
from tunix_rt.traces import Trace

# Detection asks in this order: the more particular shape first.
IMPORTS: dict[str, Format] = {
    form.name: form for group in (own, telemetry, langfuse, feedback, chat, maths, instruct) for form in group.FORMATS
}

PLUGINS: Literal["tunix_rt.formats"] = "tunix_rt.formats"

__all__ = [
    "IMPORTS", "PLUGINS", "Bad", "BadFile", "BadRow", "Format", "Numbered", "Origin", "Reader", "Reply", "Row", "Rows",
    "detect", "named", "to_trace",
]  # fmt: skip


def named(name: str) -> Format:
    """The import format of that name."""
    form: Format = plugins.named(PLUGINS, name, IMPORTS, _unfit)
    return form


def _unfit(made: Any, name: str) -> str | None:
    if not isinstance(made, Format):
        return f"it is {type(made).__name__!r}, not a tunix_rt.formats.Format"
    return None if made.name == name else f"its format calls itself {made.name!r}"


def detect(row: Row) -> Format | None:
    """The first built-in format that knows the row's keys: a plug-in's is used where it is named, and nowhere else."""
    return next((form for form in IMPORTS.values() if form.detect(row)), None)


class Reader:
    """The traces of a file. The format is the given one, or that of the first row which any format knows."""

    def __init__(self, path: Path, form: Format | None = None) -> None:
        self.rows = Rows(path)
        self.format = form

    def __iter__(self) -> Iterator[tuple[int, Trace] | Bad]:
        for found in self.rows:
            yield found if isinstance(found, Bad) else self._read(found)

    def _read(self, found: Numbered) -> tuple[int, Trace] | Bad:
        self.format = self.format or detect(found.row)
        if self.format is None:
            keys = ", ".join(map(repr, list(found.row)[:8])) or "none"
            text = f"no format knows a row with the keys {keys}; name one with --format."
            return Bad(found.line, "unknown_format", None, text, found.raw)
        try:
            return found.line, to_trace(self.format, found.row, Origin(self.rows.path.name, found.line))
        except BadRow as error:
            return bad(found.line, error, found.raw)
