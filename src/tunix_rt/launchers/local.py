"""The engine as a child process on this machine: own process group, output straight to `log.txt`, `exit.json` at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tunix_rt import errors, jobs, values

POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0


def run(attempt: Path, follow: Callable[[], None] = lambda: None) -> None:
    """Run the engine on `attempt` to its end, calling `follow` several times a second.

    Raises `errors.Failed` (or the mistake the engine reported) when it does not succeed, `errors.Interrupted` after a
    Ctrl-C, once the whole process group is gone.
    """
    started = datetime.now(UTC)
    with (attempt / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tunix_rt.engine", str(attempt)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    reason = "lost"
    try:
        while process.poll() is None:
            follow()
            time.sleep(POLL_SECONDS)
        follow()
        reason = "completed" if process.returncode == 0 else "failed"
    except KeyboardInterrupt as error:
        reason = "cancelled"
        raise errors.Interrupted(f"stopped; what was finished is in {attempt}.", dir=str(attempt)) from error
    finally:
        stop(process)
        _write_exit(attempt, process.returncode, reason, started)
    if process.returncode != 0:
        raise failure(attempt, process.returncode)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and all its descendants: SIGTERM to the group, and SIGKILL to what is left after the grace."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def failure(attempt: Path, code: int) -> errors.Mistake:
    """The mistake the engine wrote down before it ended, or where to look when it could not."""
    log = attempt / "log.txt"
    for event in reversed(jobs.read_events(attempt)):
        if event["kind"] == "failed":
            return errors.Failed(f"{event['message']} (log: {log})", **event["details"], log=str(log))
    return errors.Failed(f"the engine ended with exit code {code} and no explanation; see {log}.", exit_code=code, log=str(log))


def _write_exit(attempt: Path, code: int, reason: str, started: datetime) -> None:
    ended = datetime.now(UTC)
    facts = {"exit_code": code, "reason": reason, "started": started.isoformat(), "ended": ended.isoformat()}
    values.write_json(attempt / "exit.json", facts)
