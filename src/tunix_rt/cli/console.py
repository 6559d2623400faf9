"""How commands speak: talk on stderr, the result on stdout, as text for people or as one JSON document.

On a terminal long work draws a progress bar; elsewhere it prints a plain line now and then.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tunix_rt import settings
from tunix_rt.settings import Settings
from tunix_rt.workbench.desk import Update, lines


class Surface:
    """One invocation: where its workspace is, and whether its result is JSON."""

    def __init__(self, home: Path | None, as_json: bool) -> None:
        self.settings: Settings = settings.load(home)
        self.as_json = as_json
        self.talk = Console(stderr=True, highlight=False, soft_wrap=True)
        self.out = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.talk.print(text, markup=False)

    def emit(self, data: Mapping[str, Any], text: str) -> None:
        """The command's result: `data` under --json, else `text`."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        else:
            self.out.print(text, markup=False)

    def copy(self, parts: Iterable[str]) -> None:
        """A result too long to hold, piece by piece."""
        for part in parts:
            sys.stdout.write(part)

    @contextmanager
    def progress(self, what: str) -> Iterator[Update]:
        """Yields `update(done, total, note)`; a total of 0 means not known yet."""
        if self.talk.is_terminal:
            with self._bar(what) as update:
                yield update
        else:
            yield lines(self.say, what)

    @contextmanager
    def _bar(self, what: str) -> Iterator[Update]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.talk, transient=True) as bar:
            task = bar.add_task(what, total=None, note="")
            yield lambda done, total, note: bar.update(task, completed=done, total=total or None, note=note)


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Columns padded to their widest cell; the header in front."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "KB") else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError(count)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(pair: tuple[float, float] | list[float]) -> str:
    return f"[{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]"
