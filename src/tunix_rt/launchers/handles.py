"""What a launcher promises. An attempt is launched at most once ever; `poll` says what became of it, whoever asks."""

from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from tunix_rt.values import Value

Status = Literal["new", "running", "exited", "lost"]
Why = Literal["cancelled", "sigterm"]


class Handle(Value):
    """An attempt of a run, and the folder it works in."""

    run_id: str
    attempt: int
    folder: Path


class Exit(NamedTuple):
    """How the process ended: "completed", "failed", "cancelled", "timeout", or the reason that its exit code stands for."""

    code: int
    reason: str


class Launcher(Protocol):
    """`new` was never launched; `running` has a living shim; `exited` left its exit; `lost` died without one."""

    name: str

    def launch(self, handle: Handle, *, timeout: float | None) -> None:
        """Start the attempt; it is `running` when this returns. One that was launched before is left as it is."""

    def poll(self, handle: Handle) -> Status: ...

    def exit(self, handle: Handle) -> Exit:
        """How an attempt that `exited` ended."""

    def cancel(self, handle: Handle, why: Why = "cancelled") -> None:
        """Ask the process to stop: a chance to leave a checkpoint, then the end of its whole process tree. `why` is the reason
        it then ended for."""

    def reap(self, handle: Handle) -> bool:
        """End whatever is left of the attempt at once; False when something still lives."""
