"""Workers die by SIGKILL and SIGSTOP; runs neither get lost nor happen twice. Each test has its deliberately broken twin."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

import chaos
import pytest
from sqlalchemy import update

from tunix_rt import runs, store
from tunix_rt.runs import ENDED, Outcome, ProbeSpec, Run
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock

CRASH_POINTS = ("claimed", "launched", "exited", "finished")


@pytest.fixture
def started() -> Iterator[Callable[..., Popen[Any]]]:
    """Starts workers, and ends those that are left."""
    alive: list[Popen[Any]] = []

    def start(where: Settings, **options: Any) -> Popen[Any]:
        where.home.mkdir(parents=True, exist_ok=True)
        alive.append(chaos.start(where.home, where.database, **options))
        return alive[-1]

    yield start
    for process in alive:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def all_runs(opened: Store) -> tuple[Run, ...]:
    with opened.reading() as connection:
        return runs.listed(connection, limit=1000).data


def ended(opened: Store) -> bool:
    return all(run.state in ENDED for run in all_runs(opened))


def done(where: Settings, run: Run) -> int:
    path = run.dir(where) / "done.log"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


# J3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_run_is_lost_and_none_is_done_twice(either: Settings) -> None:
    counted = chaos.storm(chaos.settings(either.home, either.database), jobs=300, workers=4, kills=10)
    assert (counted["lost"], counted["twice"], counted["kills"], counted["attempts"]) == (0, 0, 10, 300)


def test_a_worker_that_starts_adopted_runs_again_is_caught(home: Callable[[str], Settings]) -> None:
    """Negative control for the test above."""
    where = chaos.settings(home("sqlite").home, None)
    counted = chaos.storm(where, jobs=24, workers=3, kills=4, launcher="BROKEN", seconds=1.0)
    assert counted["twice"] > 0


@pytest.mark.long
def test_no_run_is_lost_and_none_is_done_twice_at_length(either: Settings, root: Path) -> None:
    where = chaos.settings(either.home, either.database)
    counted = chaos.storm(where, jobs=3000, workers=4, kills=100, limit=3000)
    results = root / "docs" / "results"
    results.mkdir(exist_ok=True)
    report = {"id": "J3", "date": f"{datetime.now(UTC):%Y-%m-%d}", **counted}
    (results / f"ledger-storm-{counted['database']}.json").write_text(json.dumps(report, indent=2) + "\n")
    assert (counted["lost"], counted["twice"], counted["kills"]) == (0, 0, 100)


# J1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_runs_of_a_killed_worker_are_adopted_and_finish_once(either: Settings, started: Any) -> None:
    where = chaos.settings(either.home, either.database)
    opened = store.open_store(where)
    chaos.submitted(opened, 10, seconds=2.0)
    first = started(where, slots=10)
    until(lambda: all((run.dir(where) / "events.jsonl").exists() for run in all_runs(opened)))
    first.kill()
    first.wait()
    heir = started(where, slots=10)
    until(lambda: ended(opened), chaos.LEASE + 5)
    assert heir.poll() is None
    assert {(run.state, run.reason, run.attempt, done(where, run)) for run in all_runs(opened)} == {("completed", "done", 1, 1)}
    opened.close()


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_at_any_point_is_made_good_by_the_next_worker(either: Settings, started: Any, point: str) -> None:
    where = chaos.settings(either.home, either.database)
    opened = store.open_store(where)
    chaos.submitted(opened, 1, seconds=0.0)
    assert started(where, TUNIX_RT_CRASH_AT=point).wait(30) == 137
    (run,) = all_runs(opened)
    assert run.state == ("completed" if point == "finished" else "running")
    started(where)
    until(lambda: ended(opened))
    (run,) = all_runs(opened)
    assert (run.state, run.attempt, done(where, run)) == ("completed", 1, 1)
    opened.close()


# J4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def stopped_and_woken(where: Settings, started: Any) -> tuple[Run, list[str]]:
    """A run whose worker sleeps past its lease, is adopted, and wakes to find the run ended by its heir; and all ends told."""
    opened = store.open_store(where)
    chaos.submitted(opened, 1, seconds=0.5)
    zombie = started(where)
    until(lambda: (all_runs(opened)[0].dir(where) / "events.jsonl").exists())
    zombie.send_signal(signal.SIGSTOP)
    with opened.unit_of_work() as connection:
        runs.register(connection, "heir", host="", boot_id="", pid=os.getpid(), slots=1)
    heir: list[Run] = []

    def adopted() -> bool:
        with opened.unit_of_work() as connection:
            heir.extend(found for found in [runs.claim(connection, "heir")] if found)
        return bool(heir)

    until(adopted)
    zombie.send_signal(signal.SIGCONT)
    time.sleep(1.0)  # its pass over the exited process goes by
    with opened.unit_of_work() as connection:
        mine = runs.finish(connection, heir[0], Outcome("failed", "unexplained", "by the heir"))
    (run,) = all_runs(opened)
    opened.close()
    return run, ["heir"] if mine else ["zombie"]


@pytest.mark.parametrize("nth", range(5))
def test_a_worker_that_wakes_up_late_writes_nothing(home: Callable[[str], Settings], started: Any, nth: int) -> None:
    given = home(("sqlite", "postgresql")[nth % 2])
    where = chaos.settings(given.home, given.database)
    run, ends = stopped_and_woken(where, started)
    assert (run.reason, run.message, ends) == ("unexplained", "by the heir", ["heir"])


def test_healthy_runs_outlive_a_starved_worker(opened: Store) -> None:
    """A lease that ran out says nothing about a process: whoever takes the run over asks the launcher."""
    with opened.unit_of_work() as connection:
        for _ in range(200):
            runs.submit(connection, ProbeSpec())
        for _ in range(200):
            runs.claim(connection, "starved", lease=60.0)
        connection.execute(update(RUNS).values(lease_until=clock() - 1.0))
        adopted = [runs.claim(connection, "other") for _ in range(200)]
        assert runs.mine(connection, "starved") == ()
    assert all(run is not None and (run.state, run.attempt) == ("running", 1) for run in adopted)
