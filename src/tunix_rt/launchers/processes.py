"""Find and end every process of an attempt, by a mark in its environment that children inherit.

A process group misses a grandchild that made a session of its own, and a parent-death signal misses every grandchild. A
process that clears its environment escapes the mark, so the shim also ends the group. Shims and guards carry no mark: another
worker's shim may be on its way to learn that the attempt was launched before.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "TUNIX_RT_ATTEMPT"
PROC = Path("/proc")
POLL_SECONDS = 0.02


class Guard:
    """A fork of this process that ends all that carry the mark if this process dies before it has dismissed the guard.

    It keeps the locks of this process until then, so that nobody begins anew beside what is left.
    """

    def __init__(self, value: str, *, closing: int) -> None:
        """`closing` is a descriptor that the guard must not keep open."""
        reading, self._word = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.setsid()
            os.close(self._word)
            os.close(closing)
            if not os.read(reading, 1):
                end(value)
            os._exit(0)
        os.close(reading)

    def dismiss(self) -> None:
        with suppress(BrokenPipeError):
            os.write(self._word, b".")
        os.close(self._word)
        os.waitpid(self._pid, 0)


def mark(run_id: str, attempt: int, folder: str) -> str:
    return f"{run_id}/{attempt}@{folder}"


def marked(value: str) -> "list[psutil.Process]":
    """The living processes of this user that carry the mark, but for this one."""
    pids = _carrying(f"{MARK}={value}".encode())
    if not pids:
        return []
    import psutil  # noqa: PLC0415  # a third of a shim's start, and most find nothing

    found = []
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.environ().get(MARK) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _carrying(entry: bytes) -> list[int]:
    """Processes that may carry it: all, where the kernel does not show environments as files."""
    if not (PROC / "self" / "environ").exists():
        import psutil  # noqa: PLC0415

        return [pid for pid in psutil.pids() if pid != os.getpid()]
    found = []
    for name in os.listdir(PROC):  # noqa: PTH208  # plain names, hundreds of them
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                if entry in (PROC / name / "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
    return found


def end(value: str, seconds: float = 3.0) -> bool:
    """SIGKILL to all that carry the mark, until there are none; False when some outlive `seconds`."""
    deadline = time.monotonic() + seconds
    while found := marked(value):
        import psutil  # noqa: PLC0415

        for process in found:
            with suppress(psutil.Error):
                process.kill()  # psutil compares the start time first: the number may be another process's by now
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
