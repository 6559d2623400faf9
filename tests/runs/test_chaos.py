"""Workers die by SIGKILL and SIGSTOP; runs neither get lost nor happen twice. Each test has its deliberately broken twin.

Rows J1, J3, J4 and J5 of docs/reliability.md. The counts marked `long` write docs/results.
"""

from collections.abc import Callable
from typing import Any

import chaos
import pytest
from chaos import ends, get, gone_after, waits_after_kills, woken_late
from sqlalchemy import update

import counted
from tunix_rt import runs
from tunix_rt.runs import ProbeSpec
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock

CRASH_POINTS = ("claimed", "launched", "exited", "finished")
DONE_ONCE = {("completed", "done", 1, 1)}
ADOPTED_WITHIN = 5.0  # seconds after a worker starts on the machine where another died


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
