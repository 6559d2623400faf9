"""Workers die by SIGKILL and SIGSTOP; runs neither get lost nor happen twice. Each test has its deliberately broken twin.

Rows J1, J3, J4 and J5 of docs/reliability.md. The counts marked `long` write docs/results.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import chaos
import psutil
import pytest
from sqlalchemy import update

import counted
from tunix_rt import errors, runs, store
from tunix_rt.launchers import processes
from tunix_rt.runs import ENDED, Outcome, ProbeSpec, Run
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock

CRASH_POINTS = ("claimed", "launched", "exited", "finished")
DONE_ONCE = {("completed", "done", 1, 1)}
ADOPTED_WITHIN = 5.0  # seconds after a worker starts on the machine where another died


@pytest.fixture
def started() -> Iterator[Callable[..., Any]]:
    """Starts workers, and ends those that are left."""
    alive: list[Any] = []

    def start(where: Settings, **options: Any) -> Any:
        alive.append(chaos.start(where, **options))
        return alive[-1]

    yield start
    for process in alive:
        chaos.end(process)


@pytest.fixture
def at(home: Callable[[str], Settings]) -> Iterator[Callable[..., tuple[Settings, Store]]]:
    """A new workspace on the named database, with its open store."""
    made: list[Store] = []

    def there(database: str, lease: float = chaos.LEASE) -> tuple[Settings, Store]:
        given = home(database)
        where = chaos.settings(given.home, given.database, lease)
        made.append(store.open_store(where))
        return where, made[-1]

    yield there
    for opened in made:
        opened.close()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> float:
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


# J3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_run_is_lost_and_none_is_done_twice(either: Settings) -> None:
    told = chaos.storm(chaos.settings(either.home, either.database), jobs=300, workers=4, kills=10)
    assert (told["lost"], told["twice"], told["kills"], told["attempts"]) == (0, 0, 10, 300), told


def test_a_worker_that_starts_adopted_runs_again_is_caught(home: Callable[[str], Settings]) -> None:
    """Negative control for the test above."""
    told = chaos.storm(chaos.settings(home("sqlite").home, None), jobs=12, workers=3, kills=4, build="forgetful", seconds=1.0)
    assert told["twice"] > 0


@pytest.mark.long
def test_no_run_is_lost_and_none_is_done_twice_at_length(either: Settings) -> None:
    where = chaos.settings(either.home, either.database)
    told = chaos.storm(where, jobs=3000, workers=4, kills=100, limit=3000)
    counted.record(f"storm-{told['database']}", "J3", **told)
    assert (told["lost"], told["twice"], told["kills"]) == (0, 0, 100), told


# J1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def waits_after_kills(where: Settings, opened: Store, started: Any, kills: int, limit: float, **heir: Any) -> list[float]:
    """A worker is killed beside its run, another starts: the seconds until the run has left its dead owner, for each kill."""
    waits, worker = [], started(where)
    for _ in range(kills):
        (run_id,) = chaos.submitted(opened, 1, seconds=0.3)
        until(lambda id=run_id: (get(opened, id).dir(where) / "events.jsonl").exists())
        owner = get(opened, run_id).owner
        chaos.end(worker)
        worker = started(where, **heir)
        waits.append(until(lambda id=run_id, owner=owner: get(opened, id).owner != owner, limit))
    return waits


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_runs_of_a_killed_worker_are_adopted_at_once_and_finish_once(at: Any, started: Any, database: str) -> None:
    where, opened = at(database, lease=30.0)
    waits_after_kills(where, opened, started, kills=10, limit=ADOPTED_WITHIN)
    assert ends(where, opened) == DONE_ONCE


def test_a_worker_that_does_not_see_the_dead_leaves_their_runs_to_the_lease(at: Any, started: Any) -> None:
    """Negative control for the test above."""
    where, opened = at("sqlite", lease=30.0)
    with pytest.raises(AssertionError, match="in time"):
        waits_after_kills(where, opened, started, kills=1, limit=2.0, build="blind")


def test_the_runs_of_a_worker_that_died_elsewhere_are_adopted_when_their_lease_has_run_out(at: Any, started: Any) -> None:
    """What is not seen from this machine is left to the lease: the same build as in the control above."""
    where, opened = at("postgresql", lease=1.0)
    assert max(waits_after_kills(where, opened, started, kills=2, limit=10.0, build="blind")) > 0.1
    assert ends(where, opened) == DONE_ONCE


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_adoption_at_length(at: Any, started: Any, database: str) -> None:
    where, opened = at(database, lease=30.0)
    here = waits_after_kills(where, opened, started, kills=100, limit=45.0)
    found = ends(where, opened)
    elsewhere = waits_after_kills(chaos.settings(where.home, where.database, 4.0), opened, started, 20, 30.0, build="blind")
    counted.record(
        f"adoption-{database}", "J1", kills=100, ends=sorted(found), worst_seconds=round(max(here), 2),
        without_restart={"kills": 20, "lease_seconds": 4.0, "worst_seconds": round(max(elsewhere), 2)},
    )  # fmt: skip
    assert found == ends(where, opened) == DONE_ONCE
    assert max(here) < ADOPTED_WITHIN
    assert max(elsewhere) < 1.5 * 4.0  # 45 seconds for the lease of 30


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_at_any_point_is_made_good_by_the_next_worker(
    either: Settings, opened: Store, started: Any, point: str
) -> None:
    (run_id,) = chaos.submitted(opened, 1)
    crashed = started(either.model_copy(update={"crash_at": point}))
    crashed.join(30)
    assert crashed.exitcode == 137
    assert get(opened, run_id).state == ("completed" if point == "finished" else "running")
    started(either)
    assert ends(either, opened) == DONE_ONCE


# J4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def adopted_beside(zombie: Any, opened: Store, run_id: str) -> Run:
    """The run in other hands, its worker asleep. One that was stopped with a transaction open is woken and stopped again:
    what it has locked nobody else can have."""
    for _ in range(20):
        os.kill(zombie.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            with suppress(errors.Missing), opened.unit_of_work() as connection:
                heir = runs.claim(connection, "heir", only=run_id)
                if heir is not None:
                    return heir
            time.sleep(0.05)
        os.kill(zombie.pid, signal.SIGCONT)
        time.sleep(0.1)
    raise AssertionError("nobody could adopt the run")


def woken_late(where: Settings, opened: Store, started: Any, build: str) -> Run:
    """A run whose worker sleeps past its lease and wakes when another has adopted it, but before that one has ended it."""
    (run_id,) = chaos.submitted(opened, 1, seconds=0.8)
    zombie = started(where, build=build)
    until(lambda: (get(opened, run_id).dir(where) / "events.jsonl").exists() and get(opened, run_id).launcher)
    heir = adopted_beside(zombie, opened, run_id)
    os.kill(zombie.pid, signal.SIGCONT)
    time.sleep(1.0)  # its passes over the exited process go by
    with opened.unit_of_work() as connection:
        runs.finish(connection, heir, Outcome("failed", "unexplained", "by the heir"))
    chaos.end(zombie)
    return get(opened, run_id)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("build", ["sound", "remembering"])
def test_a_worker_that_wakes_up_late_writes_nothing(at: Any, started: Any, database: str, build: str) -> None:
    where, opened = at(database)
    assert woken_late(where, opened, started, build).message == "by the heir"


def test_without_its_fence_the_late_write_is_accepted(at: Any, started: Any) -> None:
    """Negative control for the test above."""
    where, opened = at("sqlite")
    assert woken_late(where, opened, started, "unfenced").message != "by the heir"


@pytest.mark.long
def test_late_writes_at_length(at: Any, started: Any) -> None:
    late = 0
    for database in ("sqlite", "postgresql"):
        where, opened = at(database)
        late += sum(woken_late(where, opened, started, "remembering").message != "by the heir" for _ in range(25))
    counted.record("late-writes", "J4", zombies=50, accepted=late)
    assert late == 0


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


@pytest.mark.long
def test_healthy_runs_under_starvation_at_length(either: Settings) -> None:
    """Eight processes that only burn stand beside four workers; the lease of a second runs out again and again."""
    burning = [chaos.CONTEXT.Process(target=chaos.burn, daemon=True) for _ in range(8)]
    for process in burning:
        process.start()
    try:
        told = chaos.storm(chaos.settings(either.home, either.database), jobs=200, workers=4, kills=0, seconds=1.0, limit=1200)
    finally:
        for process in burning:
            chaos.end(process)
    counted.record(f"starvation-{told['database']}", "J4", burning=8, **told)
    assert (told["lost"], told["twice"], told["attempts"]) == (0, 0, 200), told


# J5 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gone_after(where: Settings, opened: Store, started: Any) -> float:
    """Worker and shim are killed and nobody else is there: the seconds until trainer, child and grandchild are gone."""
    with opened.unit_of_work() as connection:
        run = runs.submit(connection, ProbeSpec(how="family"), max_attempts=1)
    worker = started(where)
    mark = processes.mark(run.run_id, 1, str(run.dir(where)))
    until(lambda: len(processes.marked(mark)) == 3)
    (shim,) = psutil.Process(worker.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    shim.kill()
    return until(lambda: not processes.marked(mark))


def test_nothing_outlives_its_killed_worker_and_shim(at: Any, started: Any) -> None:
    where, opened = at("sqlite")
    assert gone_after(where, opened, started) < 3.0
    started(where)
    assert ends(where, opened) == {("lost", "lost", 1, 0)}


@pytest.mark.long
def test_orphans_at_length(at: Any, started: Any) -> None:
    where, opened = at("sqlite", lease=30.0)
    took = [gone_after(where, opened, started) for _ in range(50)]
    started(where)
    found = ends(where, opened)
    counted.record("orphans", "J5", times=50, within_3_seconds=sum(t < 3.0 for t in took), worst_seconds=round(max(took), 2))
    assert (max(took) < 3.0, found) == (True, {("lost", "lost", 1, 0)})
