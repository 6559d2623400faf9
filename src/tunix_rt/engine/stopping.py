"""What a SIGTERM does to the engine: it ends at once while there is nothing to lose, and after the step under way once
there is: that step's checkpoint is written and verified first."""

import signal
from types import FrameType

from tunix_rt import errors

EXIT_CODE = 128 + signal.SIGTERM


class Stopped(errors.Interrupted):
    """The run was asked to stop and has left a verified checkpoint at `details["step"]`."""


class Stop:
    """The handler. Between `hold` and the end of the process a request waits to be asked for."""

    def __init__(self) -> None:
        self._held = False
        self.requested = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.requested = True
        if not self._held:
            raise SystemExit(EXIT_CODE)

    def hold(self) -> None:
        self._held = True


stop = Stop()
