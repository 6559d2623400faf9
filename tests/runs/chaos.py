"""Worker processes to be killed, stopped and starved, and a storm: many short runs, several workers, SIGKILL to some.

Workers are forked from a server that has their modules loaded: a second of processor time less for each of hundreds.
"""

import multiprocessing
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tunix_rt import runs, store
from tunix_rt.launchers import shim
from tunix_rt.launchers.handles import Handle, Status
from tunix_rt.launchers.local import Local
from tunix_rt.runs import ENDED, ProbeSpec, Run, leases
from tunix_rt.runs.tables import RUNS
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


class Blind(Worker):
    """Sees no dead worker on its own machine."""

    def _bury(self) -> None: ...


class Remembering(Worker):
    """Acts on each run as it first saw it, so that only the fence stands between its late writes and the ledger."""

    def _held(self) -> tuple[Run, ...]:
        self._seen: dict[str, Run] = getattr(self, "_seen", {}) | {run.run_id: run for run in super()._held()}
        return tuple(self._seen.values())


class Unfenced(Remembering):
    """And there is no fence."""

    def _held(self) -> tuple[Run, ...]:
        leases.fence = lambda run: [RUNS.c.run_id == run.run_id]
        return super()._held()


class OldestFirst(Worker):
    """Does not look at priorities."""

    def claim(self) -> bool:
        with self._store.reading() as connection:
            self._only = connection.scalar(select(RUNS.c.run_id).where(RUNS.c.state == "queued").order_by(RUNS.c.seq).limit(1))
        return super().claim()


BUILDS: dict[str, type[Worker]] = {
    "blind": Blind,
    "remembering": Remembering,
    "unfenced": Unfenced,
    "oldest first": OldestFirst,
}
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tunix_rt.worker", "psycopg"])


def settings(home: Path, database: str | None, lease: float = LEASE) -> Settings:
    return Settings(home=home, database=database, lease_seconds=lease)


def start(where: Settings, build: str = "sound", slots: int = 4) -> Any:
    process = CONTEXT.Process(target=work, args=(where, build, slots), daemon=True)
    process.start()
    return process


def end(process: Any) -> None:
    process.kill()
    process.join()


def work(where: Settings, build: str, slots: int) -> None:
    launcher = Forgetful() if build == "forgetful" else Local()
    worker = BUILDS.get(build, Worker)(where, store.open_store(where), slots=slots, launcher=launcher)
    worker.work(lambda: False)


def burn() -> None:
    """Take all the processor time there is."""
    while True:
        pass


def submitted(opened: Store, count: int, seconds: float = 0.0, **options: Any) -> list[str]:
    with opened.unit_of_work() as connection:
        return [runs.submit(connection, ProbeSpec(seconds=seconds), **options).run_id for _ in range(count)]


def storm(
    where: Settings, *, jobs: int, workers: int, kills: int, build: str = "sound", seconds: float = 0.0, limit: float = 120.0
) -> dict[str, Any]:
    """Counts after the storm: runs that did not complete, runs that did their work more than once, and what it took."""
    began, rng = time.monotonic(), random.Random(jobs)
    where.home.mkdir(parents=True, exist_ok=True)
    opened = store.open_store(where)
    ids = submitted(opened, jobs, seconds)
    alive = [start(where, build) for _ in range(workers)]
    killed = 0
    try:
        while (left := _left(opened)) and time.monotonic() - began < limit:
            if killed < kills and jobs - left >= jobs * killed / kills:
                victim = rng.randrange(workers)
                end(alive[victim])
                alive[victim] = start(where, build)
                killed += 1
            time.sleep(0.1)
    finally:
        for process in alive:
            end(process)
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
        "jobs": len(ids),
        "lost": sum(run.state != "completed" or times[run.run_id] == 0 for run in ended),
        "twice": sum(count > 1 for count in times.values()),
        "attempts": sum(run.attempt for run in ended),
        "ends": dict(Counter(f"{run.state} ({run.reason})" for run in ended)),
        "messages": [f"{run.run_id}: {run.message}" for run in ended if run.state != "completed"],
    }


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0
