"""The probe: a process that trains nothing and ends as it is told, so that hundreds of runs take seconds.

It is asked for by name, recorded as a probe, and nothing falls back to it. It imports only the standard library. Each way to
end is the real thing: memory that the limit refuses, a device that is full, a signal that is ignored.
"""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EXIT_CODES = {"out_of_memory": 71, "disk_full": 74}  # of sysexits.h; known even where the event log cannot be written
SLEEP = "import time; time.sleep(600)"
FAMILY = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
time.sleep(600)
"""


def asked(attempt: Path) -> dict[str, Any] | None:
    """The job, if it is a probe."""
    try:
        job = json.loads((attempt / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return job if isinstance(job, dict) and job.get("kind") == "probe" else None


def run(attempt: Path, job: dict[str, Any]) -> int:
    how = job.get("how", "done")
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _emit(attempt, "phase", name="probing")
    if how == "family":
        subprocess.Popen([sys.executable, "-c", FAMILY])
    if how in ("hang", "stubborn", "family"):
        time.sleep(600)
    time.sleep(float(job.get("seconds", 0.0)))
    if how == "silent":
        return 3
    if how == "done":
        with (attempt / "done.log").open("ab") as file:
            file.write(b"done\n")
        _write_whole(attempt / "result.json", {"seconds": job.get("seconds", 0.0)})
        _emit(attempt, "done")
        return 0
    return _fail(attempt, how)


def _fail(attempt: Path, how: str) -> int:
    try:
        if how == "out_of_memory":
            resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
            bytearray(1 << 40)
        elif how == "disk_full":
            with Path("/dev/full").open("wb", buffering=0) as file:
                file.write(b"x")
        elif how == "nan_loss":
            raise FloatingPointError(f"the loss is {float('inf') - float('inf')}")
        raise RuntimeError(f"a probe that was asked to end with {how!r}")
    except MemoryError:
        reason, message = "out_of_memory", "out of memory, as asked"
    except OSError as error:
        reason, message = "disk_full", f"{error.strerror}, as asked"
    except FloatingPointError as error:
        reason, message = "nan_loss", str(error)
    except RuntimeError as error:
        reason, message = "exception", str(error)
    _emit(attempt, "failed", code="failed", message=message, details={"reason": reason})
    return EXIT_CODES.get(reason, 1)


def _emit(attempt: Path, kind: str, **fields: Any) -> None:
    with (attempt / "events.jsonl").open("ab") as file:
        file.write(json.dumps({"kind": kind, "at": round(time.time(), 3), **fields}).encode() + b"\n")


def _write_whole(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data))
    temporary.replace(path)
