"""Where work is done from: a workspace, and somebody who is told how it goes."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from tunix_rt.settings import Settings

PLAIN_SECONDS = 15.0  # between two plain progress lines
Update = Callable[[int, int, str], None]


class Desk(Protocol):
    """One invocation of the command line, or a notebook."""

    settings: Settings

    def say(self, text: str) -> None: ...

    def progress(self, what: str) -> AbstractContextManager[Update]:
        """Yields `update(done, total, note)`; a total of 0 means not known yet."""
        ...


def lines(say: Callable[[str], None], what: str) -> Update:
    """Progress as a plain line now and then."""
    last = time.monotonic()

    def update(done: int, total: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            say(f"  {what}: {f'{done}/{total} ' if total else ''}{note}")

    return update
