"""Two ways a run ends before it is done, and is resumed later.

A SIGTERM ends the engine at once while there is nothing to lose, and after the step under way once there is: that step's
checkpoint is written and verified first. A time limit ends it by itself, early enough to write a checkpoint and the adapter.
"""

import signal
import time
from pathlib import Path
from types import FrameType

import psutil

from tunix_rt import errors
from tunix_rt.jobs import EXIT_CODES

MARGIN_SECONDS = 1.0  # between the files being written and the limit


class Stopped(errors.Interrupted):
    """The run was asked to stop and has left a verified checkpoint at `details["step"]`."""

    engine_code = 128 + signal.SIGTERM


class OutOfTime(Stopped):
    """The run's time is up; besides the checkpoint it leaves the adapter of that step."""

    engine_code = EXIT_CODES["timeout"]


class Stop:
    """The handler. Between `hold` and the end of the process a request waits to be asked for."""

    def __init__(self) -> None:
        self._held = False
        self._told = False
        self._note: Path | None = None
        self.began: float | None = None

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self._told = True
        if not self._held:
            raise SystemExit(Stopped.engine_code)

    def hold(self) -> None:
        self._held = True

    @property
    def requested(self) -> bool:
        return self._told or (self._note is not None and self._note.exists())

    def follow(self, note: Path, began: float) -> None:
        """Where several processes do one run, another stands for it: a request is that note, and time counts from there."""
        self._note, self.began = note, began


class Deadline:
    """When the process has to have ended, counted from its start or from when the run `began`; None means never."""

    def __init__(self, seconds: float | None, began: float | None = None) -> None:
        self._at = None if seconds is None else (began or psutil.Process().create_time()) + seconds

    def before_another(self, step_seconds: float, saving_seconds: float) -> bool:
        """Whether the limit would come before one more step, its checkpoint and the adapter."""
        if self._at is None:
            return False
        return time.time() + step_seconds + 2 * saving_seconds + MARGIN_SECONDS > self._at


stop = Stop()
