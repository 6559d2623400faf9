"""Worker processes to be killed, stopped and starved, what that does to a run, and a storm: many short runs, several workers,
SIGKILL to some. Runs are begun beside the worker, or on the Ray cluster at an address.

Workers are forked from a server that has their modules loaded: a second of processor time less for each of hundreds.
"""

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from tunix_rt import runs, store
from tunix_rt.launchers import processes, ray, shim
from tunix_rt.launchers.handles import Exit, Handle, Launcher, Status, Why
from tunix_rt.launchers.local import Local
from tunix_rt.launchers.ray import Ray
from tunix_rt.runs import ENDED, Outcome, ProbeSpec, Run, leases
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker

LEASE = 1.0
RAY_CPUS = 0.1  # probes only wait


class Forgetful:
    """Knows only what it launched itself, like a queue that runs a job again when its worker has died."""

    def __init__(self, launcher: Launcher) -> None:
        self.name, self._launcher = launcher.name, launcher
        self._mine: set[str] = set()
        ray._submission = lambda handle: f"{handle.run_id}-a{handle.attempt}-{os.getpid()}"

    def poll(self, handle: Handle) -> Status:
        return self._launcher.poll(handle) if handle.run_id in self._mine else "new"

    def launch(self, handle: Handle, *, timeout: float | None = None) -> None:
        self._mine.add(handle.run_id)
        for name in (shim.LAUNCH, shim.LOCK):
            (handle.folder / name).unlink(missing_ok=True)
        self._launcher.launch(handle, timeout=timeout)

    def exit(self, handle: Handle) -> Exit:
        return self._launcher.exit(handle)

    def cancel(self, handle: Handle, why: Why = "cancelled") -> None:
        self._launcher.cancel(handle, why)

    def reap(self, handle: Handle) -> bool:
        return self._launcher.reap(handle)


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


def start(where: Settings, build: str = "sound", slots: int = 4, on: str | None = None) -> Any:
    """`on` is the address of a Ray cluster."""
    process = CONTEXT.Process(target=work, args=(where, build, slots, on), daemon=True)
    process.start()
    return process


def end(process: Any) -> None:
    process.kill()
    process.join()


def work(where: Settings, build: str, slots: int, on: str | None) -> None:
    launcher: Launcher = Local() if on is None else Ray(on, cpus=RAY_CPUS)
    if build == "forgetful":
        launcher = Forgetful(launcher)
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
    where: Settings,
    *,
    jobs: int,
    workers: int,
    kills: int,
    build: str = "sound",
    seconds: float = 0.0,
    limit: float = 120.0,
    on: str | None = None,
    instead: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Counts after the storm: runs that did not complete, runs that did their work more than once, and what it took.
    `instead` is what happens in place of a worker's kill."""
    began, rng = time.monotonic(), random.Random(jobs)
    where.home.mkdir(parents=True, exist_ok=True)
    opened = store.open_store(where)
    ids = submitted(opened, jobs, seconds)
    alive = [start(where, build, on=on) for _ in range(workers)]
    killed = 0
    try:
        while (left := _left(opened)) and time.monotonic() - began < limit:
            if killed < kills and jobs - left >= jobs * killed / kills:
                if instead is None:
                    victim = rng.randrange(workers)
                    end(alive[victim])
                    alive[victim] = start(where, build, on=on)
                else:
                    instead()
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


def until(condition: Callable[[], Any], seconds: float = 60.0) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began


def get(opened: Store, run_id: str) -> Run:
    with opened.reading() as connection:
        return runs.get(connection, run_id)


def all_runs(opened: Store) -> tuple[Run, ...]:
    with opened.reading() as connection:
        return runs.listed(connection, limit=1000).data


def ended(opened: Store) -> bool:
    return all(run.state in ENDED for run in all_runs(opened))


def ends(where: Settings, opened: Store) -> set[tuple[str, str | None, int, int]]:
    """State, reason, attempts, and how often the work was done."""
    until(lambda: ended(opened))
    return {(run.state, run.reason, run.attempt, done(where, run)) for run in all_runs(opened)}


def done(where: Settings, run: Run) -> int:
    path = run.dir(where) / "done.log"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def waits_after_kills(where: Settings, opened: Store, started: Any, kills: int, limit: float, **heir: Any) -> list[float]:
    """A worker is killed beside its run, another starts: the seconds until the run has left its dead owner, for each kill."""
    waits, worker = [], started(where)
    for _ in range(kills):
        (run_id,) = submitted(opened, 1, seconds=0.3)
        until(lambda id=run_id: (get(opened, id).dir(where) / "events.jsonl").exists())
        owner = get(opened, run_id).owner
        end(worker)
        worker = started(where, **heir)
        waits.append(until(lambda id=run_id, owner=owner: get(opened, id).owner != owner, limit))
    return waits


def put_to_sleep(zombie: Any, where: Settings) -> None:
    """SIGSTOP, but not in the middle of a write to SQLite: nobody else could write then."""
    for _ in range(100):
        os.kill(zombie.pid, signal.SIGSTOP)
        time.sleep(0.02)
        if where.database or _writable(where.home / "tunix-rt.db"):
            return
        os.kill(zombie.pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("it writes all the time")


def _writable(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def adopted_beside(zombie: Any, where: Settings, opened: Store, run_id: str) -> Run:
    """The run in other hands, its worker asleep. One that was stopped with a row of PostgreSQL locked is woken and stopped
    again."""
    launcher = get(opened, run_id).launcher or "local"
    for _ in range(20):
        put_to_sleep(zombie, where)
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            with opened.unit_of_work() as connection:
                heir = runs.claim(connection, "heir", only=run_id, launcher=launcher)
            if heir is not None:
                return heir
            time.sleep(0.05)
        os.kill(zombie.pid, signal.SIGCONT)
        time.sleep(0.1)
    raise AssertionError("nobody could adopt the run")


def woken_late(where: Settings, opened: Store, started: Any, build: str, seconds: float = 0.8) -> Run:
    """A run whose worker sleeps past its lease and wakes when another has adopted it, but before that one has ended it."""
    (run_id,) = submitted(opened, 1, seconds)
    zombie = started(where, build=build)
    until(lambda: (get(opened, run_id).dir(where) / "events.jsonl").exists() and get(opened, run_id).launcher)
    heir = adopted_beside(zombie, where, opened, run_id)
    os.kill(zombie.pid, signal.SIGCONT)
    until(lambda: shim.ended(heir.dir(where), run_id, heir.attempt))
    time.sleep(1.0)  # its passes over the exited process go by
    with opened.unit_of_work() as connection:
        runs.finish(connection, heir, Outcome("failed", "unexplained", "by the heir"))
    end(zombie)
    return get(opened, run_id)


def orphaned(where: Settings, opened: Store, started: Any, *, guarded: bool = True) -> str:
    """Worker and shim are killed, and the shim's guard too unless `guarded`; the mark of trainer, child and grandchild."""
    with opened.unit_of_work() as connection:
        run = runs.submit(connection, ProbeSpec(how="family"), max_attempts=1)
    worker = started(where)
    mark = processes.mark(run.run_id, 1, str(run.dir(where)))
    until(lambda: len(processes.marked(mark)) == 3)
    standing_by, guard = shim_of(run.dir(where))
    os.kill(worker.pid, signal.SIGKILL)
    if not guarded:
        guard.kill()
    standing_by.kill()
    return mark


def shim_of(folder: Path) -> tuple[psutil.Process, psutil.Process]:
    """The shim that stands by in a folder, and its guard."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in process.cmdline() and "tunix_rt.launchers.shim" in process.cmdline():
                found.append(process)
    first, second = found
    return (first, second) if second.ppid() == first.pid else (second, first)


def gone_after(where: Settings, opened: Store, started: Any) -> float:
    """Seconds until an orphaned family is gone."""
    mark = orphaned(where, opened, started)
    return until(lambda: not processes.marked(mark))
