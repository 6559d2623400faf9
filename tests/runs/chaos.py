"""A storm over the ledger: many short runs, several worker processes, and SIGKILL to workers picked by a seeded choice.

Run as a script, it is one of the workers: `chaos.py HOME DATABASE|- SOUND|BROKEN LEASE SLOTS`. BROKEN is the negative
control: a worker that starts an adopted run again instead of asking what became of it.
"""

import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tunix_rt import runs, store
from tunix_rt.launchers import shim
from tunix_rt.launchers.handles import Handle, Status
from tunix_rt.launchers.local import Local
from tunix_rt.runs import ENDED, ProbeSpec
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker

LEASE = 1.0


class Forgetful(Local):
    """Knows only what it launched itself, like a queue that runs a job again when its worker has died."""

    def __init__(self) -> None:
        super().__init__()
        self._mine: set[str] = set()

    def poll(self, handle: Handle) -> Status:
        return super().poll(handle) if handle.run_id in self._mine else "new"

    def launch(self, handle: Handle, *, timeout: float | None = None) -> None:
        self._mine.add(handle.run_id)
        for name in (shim.LAUNCH, shim.LOCK):
            (handle.folder / name).unlink(missing_ok=True)
        super().launch(handle, timeout=timeout)


def settings(home: Path, database: str | None, lease: float = LEASE) -> Settings:
    return Settings(home=home, database=database, lease_seconds=lease)


def start(
    home: Path, database: str | None, *, launcher: str = "SOUND", slots: int = 4, **environment: str
) -> subprocess.Popen[Any]:
    command = [sys.executable, __file__, str(home), database or "-", launcher, str(LEASE), str(slots)]
    with (home / "workers.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})


def main(arguments: list[str]) -> None:
    home, database, launcher, lease, slots = arguments
    made = settings(Path(home), None if database == "-" else database, float(lease))
    made = made.model_copy(update={"crash_at": os.environ.get("TUNIX_RT_CRASH_AT")})
    worker = Worker(made, store.open_store(made), slots=int(slots), launcher=Forgetful() if launcher == "BROKEN" else Local())
    worker.work(lambda: False, once="ONCE" in os.environ)
    worker.close()


def submitted(opened: Store, count: int, seconds: float) -> list[str]:
    with opened.unit_of_work() as connection:
        return [runs.submit(connection, ProbeSpec(seconds=seconds)).run_id for _ in range(count)]


def storm(
    where: Settings, *, jobs: int, workers: int, kills: int, launcher: str = "SOUND", seconds: float = 0.0, limit: float = 120.0
) -> dict[str, Any]:
    """Counts after the storm: runs that did not complete, runs that did their work more than once, and what it took."""
    began, rng = time.monotonic(), random.Random(jobs)
    where.home.mkdir(parents=True, exist_ok=True)
    opened = store.open_store(where)
    ids = submitted(opened, jobs, seconds)
    alive = [start(where.home, where.database, launcher=launcher) for _ in range(workers)]
    killed = 0
    try:
        while (left := _left(opened)) and time.monotonic() - began < limit:
            if killed < kills and jobs - left >= jobs * killed / kills:
                victim = rng.randrange(workers)
                alive[victim].kill()
                alive[victim].wait()
                alive[victim] = start(where.home, where.database, launcher=launcher)
                killed += 1
            time.sleep(0.1)
    finally:
        for process in alive:
            process.kill()
            process.wait()
    return {**_report(where, opened, ids), "kills": killed, "workers": workers, "seconds": round(time.monotonic() - began, 1)}


def _left(opened: Store) -> int:
    with opened.reading() as connection:
        counted = runs.counts(connection)
    return sum(count for state, count in counted.items() if state not in ENDED)


def _report(where: Settings, opened: Store, ids: list[str]) -> dict[str, Any]:
    with opened.reading() as connection:
        ended = [runs.get(connection, run_id) for run_id in ids]
    opened.close()
    times = Counter({run.run_id: _lines(run.dir(where) / "done.log") for run in ended})
    return {
        "database": "postgresql" if where.database else "sqlite",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "jobs": len(ids),
        "lost": sum(run.state != "completed" or times[run.run_id] == 0 for run in ended),
        "twice": sum(count > 1 for count in times.values()),
        "attempts": sum(run.attempt for run in ended),
        "ends": dict(Counter(f"{run.state} ({run.reason})" for run in ended)),
        "messages": [f"{run.run_id}: {run.message}" for run in ended if run.state != "completed"],
    }


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(sys.argv[1:])
