"""`python -m tunix_rt.launchers.shim`: stands by one engine process, whatever becomes of the worker that started it.

It holds a lock on `shim.lock` in the attempt folder for as long as it lives: that lock, not a process number, is what says
that the attempt is alive. It notes the attempt in `launch.json` before it starts anything, and refuses an attempt that is
noted already, so that no attempt is started twice however late somebody asks. It ends with `exit.json`. Should it be killed,
its guard, which shares the lock, ends the process tree.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunix_rt.launchers import environment, processes

LOCK, LAUNCH, EXIT, CANCEL = "shim.lock", "launch.json", "exit.json", "cancel.json"
LOCK_SECONDS = 2.0  # a poll holds the lock for a moment; a shim holds it to its end
LAUNCHED, LAUNCHING, OCCUPIED = "launched before", "being launched", "another run is alive in the folder"
REVOKED = "told to stop before it began"
RESERVED = 2_048  # bytes kept for exit.json, so that a full disk does not swallow it
TICK_SECONDS = 0.2
SIGNALS = {
    -signal.SIGINT: "sigint",
    -signal.SIGTERM: "sigterm",
    -signal.SIGHUP: "sighup",
    -signal.SIGKILL: "sigkill",
    128 + signal.SIGTERM: "sigterm",
    71: "out_of_memory",
    74: "disk_full",
    75: "timeout",
}


class Stop:
    """Notes that the machine asked the shim itself to go; it takes its process along."""

    requested = False

    def __call__(self, *_: Any) -> None:
        self.requested = True


def main(arguments: list[str]) -> int:
    """Arguments: the folder and a JSON object with run_id, attempt, timeout, grace and the pipe to answer on."""
    folder, asked = Path(arguments[0]), json.loads(arguments[1])
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    started = datetime.now(UTC).isoformat()
    refused = _refused(folder, asked, lock) or _noted(folder, asked, started)
    if refused:
        _answer(asked["pipe"], refused)
        return 1
    mark = processes.mark(asked["run_id"], asked["attempt"], str(folder))
    guard = processes.Guard(mark, closing=asked["pipe"])
    child = subprocess.Popen(
        [sys.executable, "-m", "tunix_rt.engine", str(folder)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**environment.passed_on(os.environ), processes.MARK: mark},
    )
    _answer(asked["pipe"], "ok")
    why = _stand_by(child, folder, asked, stop)
    _signal(child, signal.SIGKILL)  # what the process left behind: its group, and whoever carries the mark
    processes.end(mark)
    _write_exit(folder, asked, child.returncode, why, started)
    guard.dismiss()
    return 0


def _refused(folder: Path, asked: dict[str, Any], lock: int) -> str | None:
    """Why the attempt cannot be launched now; None once the lock is held."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        if launched(folder, asked["run_id"]) >= asked["attempt"]:
            return LAUNCHED
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return OCCUPIED if _another(folder, asked) else LAUNCHING
            time.sleep(0.01)
            continue
        if launched(folder, asked["run_id"]) >= asked["attempt"]:
            return LAUNCHED
        return REVOKED if revoked(folder, asked["run_id"], asked["attempt"]) else None


def _another(folder: Path, asked: dict[str, Any]) -> bool:
    """Whether the lock is another run's. A holder that has not said yet whose it is, is taken for a shim of this run."""
    run_id: str = asked["run_id"]
    return bool(read(folder / LOCK).get("run_id", run_id) != run_id)


def _noted(folder: Path, asked: dict[str, Any], started: str) -> str | None:
    """Note the attempt; why that cannot be done, if it cannot."""
    try:
        _note(folder, asked, started)
    except OSError as error:
        return f"cannot write to {folder}: {error.strerror}"
    return None


def launched(folder: Path, run_id: str) -> int:
    """The last attempt of the run that was launched in the folder, 0 for none."""
    noted = read(folder / LAUNCH)
    return int(noted["attempt"]) if noted.get("run_id") == run_id else 0


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is none."""
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def ended(folder: Path, run_id: str, attempt: int) -> dict[str, Any]:
    """How the attempt ended; empty unless its shim wrote it down."""
    found = read(folder / EXIT)
    return found if (found.get("run_id"), found.get("attempt")) == (run_id, attempt) else {}


def revoked(folder: Path, run_id: str, attempt: int) -> str | None:
    """Why the attempt was told to stop; None when it was not. What a later attempt was told holds for an earlier one, whose
    own word it has written over: that one may still wait for its place somewhere."""
    wanted = read(folder / CANCEL)
    return str(wanted["why"]) if wanted.get("run_id") == run_id and wanted["attempt"] >= attempt else None


def locked(folder: Path) -> bool:
    """Whether somebody holds the lock. Asked with a shared lock, so that two who ask do not see each other."""
    try:
        file = (folder / LOCK).open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _note(folder: Path, asked: dict[str, Any], started: str) -> None:
    """From here on the attempt counts as launched. Events before `events_from` are an earlier attempt's."""
    (folder / LOCK).write_text(json.dumps({"run_id": asked["run_id"]}))
    (folder / EXIT).unlink(missing_ok=True)
    _write(folder / f".{EXIT}", b" " * RESERVED)
    events = folder / "events.jsonl"
    facts = {
        "run_id": asked["run_id"],
        "attempt": asked["attempt"],
        "started": started,
        "events_from": events.stat().st_size if events.exists() else 0,
    }
    temporary = folder / f".{LAUNCH}"
    _write(temporary, json.dumps(facts).encode())
    temporary.replace(folder / LAUNCH)
    _sync_folder(folder)


def _stand_by(child: subprocess.Popen[bytes], folder: Path, asked: dict[str, Any], stop: Stop) -> str | None:
    """Wait for the end; returns why the process was told to stop, None when it was not."""
    began, why, kill_at = time.monotonic(), None, 0.0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(TICK_SECONDS)
        if child.returncode is not None:
            return why
        now = time.monotonic()
        if why is None:
            why = _reason_to_stop(folder, asked, stop, now - began)
            if why is not None:
                _signal(child, signal.SIGTERM)
                kill_at = now + asked["grace"]
        elif now > kill_at:
            _signal(child, signal.SIGKILL)


def _reason_to_stop(folder: Path, asked: dict[str, Any], stop: Stop, seconds: float) -> str | None:
    why = revoked(folder, asked["run_id"], asked["attempt"])
    if why is not None:
        return why
    if stop.requested:
        return "sigterm"
    return "timeout" if asked["timeout"] is not None and seconds > asked["timeout"] else None


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _write_exit(folder: Path, asked: dict[str, Any], code: int, why: str | None, started: str) -> None:
    facts = {
        "run_id": asked["run_id"],
        "attempt": asked["attempt"],
        "exit_code": code,
        "reason": "completed" if code == 0 else why or SIGNALS.get(code, "failed"),
        "started": started,
        "ended": datetime.now(UTC).isoformat(),
    }
    reserved = folder / f".{EXIT}"
    with reserved.open("r+b") as file:
        file.write(json.dumps(facts, indent=2).encode() + b"\n")
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    reserved.replace(folder / EXIT)
    _sync_folder(folder)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _answer(pipe: int, word: str) -> None:
    """The worker may be gone by now; the attempt goes on all the same."""
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, word.encode())
    os.close(pipe)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
