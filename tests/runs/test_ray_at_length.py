"""What test_ray.py looks at once, counted on a real Ray cluster of this machine, and a whole sweep done here and there.

Writes docs/results.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import chaos
import landscape
import psutil
import pytest
from landscape import standing
from ray_cluster import Cluster, on_a_cluster, until
from test_ray import current, submit, times_done, work_until

import counted
from tunix_rt import recipes, runs, sweeps, values
from tunix_rt.launchers import shim
from tunix_rt.launchers.ray import Ray
from tunix_rt.runs import ENDED
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.sweeps import Sweep
from tunix_rt.worker import Worker

pytestmark = [on_a_cluster, pytest.mark.long]
DONE_ONCE = {("completed", "done", 1, 1)}


def test_no_run_is_lost_and_none_is_done_twice(cluster: Cluster, either: Settings) -> None:
    where = chaos.settings(either.home, either.database)
    told = chaos.storm(where, jobs=120, workers=3, kills=12, seconds=0.3, limit=1800, on=cluster.address)
    counted.record(f"ray-storm-{told['database']}", "J3", **told)
    assert (told["lost"], told["twice"], told["kills"], told["attempts"]) == (0, 0, 12, 120), told


def test_a_worker_that_begins_adopted_runs_again_is_caught(cluster: Cluster, home: Callable[[str], Settings]) -> None:
    """Negative control for the test above."""
    where = chaos.settings(home("sqlite").home, None)
    told = chaos.storm(where, jobs=12, workers=3, kills=4, build="forgetful", seconds=1.0, on=cluster.address)
    assert told["twice"] > 0


def test_the_runs_of_killed_workers_are_adopted(cluster: Cluster, at: Any, started: Any) -> None:
    where, opened = at("sqlite", lease=30.0)
    on = partial(started, on=cluster.address)
    waits = chaos.waits_after_kills(where, opened, on, kills=20, limit=45.0)
    found = chaos.ends(where, opened)
    counted.record("ray-adoption", "J1", kills=20, ends=sorted(found), worst_seconds=round(max(waits), 2))
    assert (found, max(waits) < 5.0) == (DONE_ONCE, True)


def test_late_writes(cluster: Cluster, at: Any, started: Any) -> None:
    where, opened = at("sqlite")
    on = partial(started, on=cluster.address)
    found = [chaos.woken_late(where, opened, on, "remembering", seconds=3.0).message for _ in range(10)]
    late = sum(message != "by the heir" for message in found)
    counted.record("ray-late-writes", "J4", zombies=10, accepted=late)
    assert late == 0
    assert chaos.woken_late(where, opened, on, "unfenced", seconds=3.0).message != "by the heir", "the control"


def test_healthy_runs_under_starvation(cluster: Cluster, home: Callable[[str], Settings]) -> None:
    """Of the head, too: it answers late or not at all."""
    burning = [chaos.CONTEXT.Process(target=chaos.burn, daemon=True) for _ in range(8)]
    for process in burning:
        process.start()
    where = chaos.settings(home("sqlite").home, None)
    try:
        told = chaos.storm(where, jobs=40, workers=2, kills=0, seconds=1.0, limit=1800, on=cluster.address)
    finally:
        for process in burning:
            chaos.end(process)
    counted.record("ray-starvation", "J4", burning=8, **told)
    assert (told["lost"], told["twice"], told["attempts"]) == (0, 0, 40), told


def test_orphans(cluster: Cluster, at: Any, started: Any) -> None:
    where, opened = at("sqlite", lease=30.0)
    on = partial(started, on=cluster.address)
    took = [chaos.gone_after(where, opened, on) for _ in range(10)]
    on(where)
    found = chaos.ends(where, opened)
    counted.record(
        "ray-orphans", "J5", times=10, within_3_seconds=sum(t < 3.0 for t in took), worst_seconds=round(max(took), 2)
    )
    assert (max(took) < 3.0, found) == (True, {("lost", "lost", 1, 0)})


def test_heads_are_lost_with_all_they_know_and_no_run_is_lost_or_done_twice(home: Callable[[str], Settings]) -> None:
    cluster = Cluster()

    def lose() -> None:
        cluster.lose_head()
        time.sleep(2.0)
        cluster.start()

    where = chaos.settings(home("sqlite").home, None)
    try:
        told = chaos.storm(where, jobs=40, workers=2, kills=5, seconds=2.0, limit=1800, on=cluster.address, instead=lose)
    finally:
        cluster.end()
    told["heads_lost"] = told.pop("kills")
    counted.record("ray-heads", "heads", **told)
    assert (told["lost"], told["twice"], told["heads_lost"]) == (0, 0, 5), told


def test_while_the_head_is_gone_runs_end_or_wait_and_none_is_done_twice(workplace: tuple[Settings, Store]) -> None:
    settings, opened = workplace
    cluster = Cluster()
    try:
        worker = Worker(settings, opened, slots=4, launcher=Ray(cluster.address))
        short, long = submit(opened, seconds=4.0), submit(opened, seconds=15.0)
        work_until(worker, lambda: all((run.dir(settings) / "events.jsonl").exists() for run in (short, long)))
        cluster.lose_head("gcs_server", "dashboard.py", "JobHead")
        work_until(worker, lambda: current(opened, short).state == "completed")
        cluster.lose_head()
        until(lambda: not shim.locked(long.dir(settings)))
        late = submit(opened)
        began = time.monotonic()
        work_until(worker, lambda: time.monotonic() - began > 8.0)
        waiting = [current(opened, run) for run in (long, late)]
        assert [(run.state, run.attempt, run.owner) for run in waiting] == [("running", 1, worker.id)] * 2
        cluster.start()
        work_until(worker, lambda: all(current(opened, run).state in ENDED for run in (long, late)), 120.0)
        worker.close()
        ended = [current(opened, run) for run in (short, long, late)]
        assert [(run.state, run.attempt) for run in ended] == [("completed", 1), ("completed", 2), ("completed", 1)]
        assert [times_done(run.dir(settings)) for run in ended] == [1, 1, 1]
    finally:
        cluster.end()


# A sweep ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Place:
    """A workspace in which the sweep is done by two workers with the options; they are killed as they are told to be."""

    def __init__(self, home: Path, sweep: Sweep, *options: str) -> None:
        self.settings, self._options = Settings(home=home), options
        self.opened = landscape.workspace(self.settings)
        self.sweep_id = landscape.begun(self.settings, self.opened, sweep).sweep_id
        self.workers: list[subprocess.Popen[bytes]] = []
        self.begin()

    def begin(self) -> None:
        command = [sys.executable, "-m", "tunix_rt.cli", "worker", "--once", *self._options]
        environment = {**os.environ, "TUNIX_RT_HOME": str(self.settings.home)}
        with (self.settings.home / "workers.log").open("ab") as log:
            self.workers = [subprocess.Popen(command, env=environment, stdout=log, stderr=log) for _ in range(2)]

    def kill(self, *, whole: bool) -> int:
        """SIGKILL to the workers, and if `whole` to shims, guards and engines; returns how many."""
        doomed = self.engines() if whole else []
        for process in (*self.workers, *doomed):
            process.kill()
        for worker in self.workers:
            worker.wait()
        return len(self.workers) + len(doomed)

    def engines(self) -> list[psutil.Process]:
        """With the shims and guards that stand by them."""
        folder = str(self.settings.home)
        return [process for process in psutil.process_iter(["cmdline"]) if _works_in(process.info["cmdline"], folder)]

    def ended(self) -> int:
        return sum(trial.state != "running" for trial in standing(self.opened, self.sweep_id).trials)

    def done(self) -> bool:
        return all(worker.poll() is not None for worker in self.workers)

    def trials(self) -> list[dict[str, Any]]:
        """What has to be the same wherever it is done: parameters, outcome, value, and the weights to the bit."""
        found = []
        for trial in standing(self.opened, self.sweep_id).trials:
            with self.opened.reading() as connection:
                result = runs.get(connection, trial.run_id).result or {}
            facts = {"params": trial.params, "state": trial.state, "value": trial.value, "loss": result.get("loss")}
            found.append({**facts, "adapter": result.get("adapter_digest")})
        return found

    def attempts(self) -> int:
        with self.opened.reading() as connection:
            return sum(run.attempt for run in runs.listed(connection, limit=1000).data)


def _works_in(command: list[str] | None, folder: str) -> bool:
    return bool(command) and "-m" in command and any(part.startswith(folder + os.sep) for part in command)


MOMENTS = ((1, False), (3, True))  # after so many trials have ended: the workers; and all that they began
ASKED: dict[str, dict[str, Any]] = {
    "tpe": {"parallel": 1},
    "random": {"parallel": 2, "sampler": {"kind": "random", "seed": 1}, "budget": {"trials": 6}},
}


@pytest.mark.parametrize("sampler", ASKED)
def test_the_same_sweep_through_ray_gives_the_same_trials(cluster: Cluster, tmp_path: Path, sampler: str) -> None:
    """The sweep that ships, as far as equality can be asked of it: nothing is pruned, and TPE has one trial at a time."""
    asked = {**values.read_toml(recipes.path("sweeps", "sweep_tiny")), **ASKED[sampler]}
    del asked["pruner"]
    sweep, began, killed = sweeps.parse(asked, source="sweep_tiny"), time.monotonic(), []
    here = Place(tmp_path / "here", sweep)
    there = Place(tmp_path / "there", sweep, "--launcher", "ray", "--ray-address", cluster.address)
    try:
        while not (here.done() and there.done()):
            assert time.monotonic() - began < 7_200
            ended, whole = MOMENTS[min(len(killed), len(MOMENTS) - 1)]
            if len(killed) < len(MOMENTS) and there.ended() >= ended and (not whole or len(there.engines()) >= 3):
                killed.append(there.kill(whole=whole))
                there.begin()
            time.sleep(0.5)
    finally:
        for place in (here, there):
            place.kill(whole=True)
    one, other = (standing(place.opened, place.sweep_id) for place in (here, there))
    same = [a == b for a, b in zip(here.trials(), there.trials(), strict=True)]
    counted.record(
        f"ray-sweep-{sampler}", "sweep", parallel=sweep.parallel, trials=one.counts, trials_on_ray=other.counts,
        same_to_the_bit=sum(same), killed_on_ray=killed, attempts=here.attempts(), attempts_on_ray=there.attempts(),
        chosen=[one.chosen, other.chosen], confirmed=[found.confirmed and found.confirmed.value for found in (one, other)],
        seconds=round(time.monotonic() - began),
    )  # fmt: skip
    trials = (here.trials(), there.trials())
    for place in (here, there):
        place.opened.close()
    assert trials[0] == trials[1]
    assert one.counts == {"completed": sweep.budget.trials}
    assert len(killed) == 2
    assert one.chosen == other.chosen
    assert one.confirmed is not None
    assert other.confirmed is not None
    assert (one.confirmed.value, one.confirmed.ci95) == (other.confirmed.value, other.confirmed.ci95)
