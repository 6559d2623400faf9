"""Whether a worker process of this machine lives: it holds a lock on a file of the workspace for as long as it does.

The kernel lets go of the lock however the process ends, so that a dead worker's runs need not wait for their lease. A worker
on another machine, or one whose file is not here, may always be alive.
"""

import fcntl
import os
from pathlib import Path

from tunix_rt.settings import Settings


class Presence:
    """Held by a worker from before it is registered until after it has retired."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._path = _path(settings, worker)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._lock)


def dead(settings: Settings, worker: str) -> bool:
    """True only when it is certain."""
    try:
        with _path(settings, worker).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # it is locked, or not there
        return False
    return True


def forget(settings: Settings, worker: str) -> None:
    _path(settings, worker).unlink(missing_ok=True)


def _path(settings: Settings, worker: str) -> Path:
    return settings.home / "workers" / f"{worker}.lock"
