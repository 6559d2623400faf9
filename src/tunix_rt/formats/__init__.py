"""1b  Other people's files as traces, and traces as other people's files.

Reading never guesses in silence: the format is decided once a file, every row that does not fit is named with its line, code
and field, and what a trace has no place for is kept in its meta. Writing is proved by reading back.
"""

from collections.abc import Iterator
from pathlib import Path

from tunix_rt import errors
from tunix_rt.formats import chat, feedback, instruct, langfuse, maths, own, telemetry
from tunix_rt.formats.containers import Bad, Numbered, Rows, bad
from tunix_rt.formats.core import BadFile, BadRow, Format, Origin, Reply, Row, to_trace
from tunix_rt.traces import Trace

# Detection asks in this order: the more particular shape first.
IMPORTS: dict[str, Format] = {
    form.name: form for group in (own, telemetry, langfuse, feedback, chat, maths, instruct) for form in group.FORMATS
}

__all__ = [
    "IMPORTS", "Bad", "BadFile", "BadRow", "Format", "Numbered", "Origin", "Reader", "Reply", "Row", "Rows",
    "detect", "named", "to_trace",
]  # fmt: skip


def named(name: str) -> Format:
    """The import format of that name."""
    if name not in IMPORTS:
        raise errors.NotFound(f"no import format {name!r}.{errors.nearest(name, IMPORTS)}", format=name)
    return IMPORTS[name]


def detect(row: Row) -> Format | None:
    """The first format that knows the row's keys."""
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
