"""A whole sweep over trials without a model, on both databases: what is asked, stopped, chosen and confirmed, by any number."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import landscape
import pytest
from landscape import Landscape, asked
from sqlalchemy.exc import IntegrityError

from tunix_rt import errors, evals, runs, sweeps
from tunix_rt.runs import Run
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.sweeps import Standing, Sweep, driving
from tunix_rt.worker import Worker


@pytest.fixture
def lab(either: Settings) -> Any:
    """The workspace with its database, on each in turn."""
    found = landscape.workspace(either)
    yield either, found
    found.close()


Lab = tuple[Settings, Store]


def worked(lab: Lab, sweep: Sweep, launcher: Landscape | None = None, *, slots: int = 1) -> Standing:
    """Begun and worked off by one worker."""
    settings, opened = lab
    found = landscape.begun(settings, opened, sweep)
    finished(lab, launcher, slots=slots)
    return landscape.standing(opened, found.sweep_id)


def finished(lab: Lab, launcher: Landscape | None = None, *, slots: int = 1) -> None:
    settings, opened = lab
    worker = Worker(settings, opened, slots=slots, launcher=launcher or Landscape())
    until(worker, lambda: not open_sweeps(opened))
    worker.close()


def until(worker: Worker, done: Callable[[], bool]) -> None:
    """Pass after pass, without waiting for the clock."""
    for _ in range(2_000):
        if done():
            return
        sweeps.advance(worker._settings, worker._store)
        worker.step()
    raise AssertionError("it did not come to an end")


def open_sweeps(opened: Store) -> list[str]:
    with opened.reading() as connection:
        return sweeps.at_work(connection)


def ledger_of(opened: Store) -> tuple[Run, ...]:
    with opened.reading() as connection:
        return runs.listed(connection, limit=1000).data


def test_a_sweep_finds_better_than_the_config_and_asks_the_test_set_once(lab: Lab) -> None:
    settings, opened = lab
    found = worked(lab, asked(budget={"trials": 12}))
    assert found.state == "completed"
    assert [trial.number for trial in found.trials] == list(range(12))
    assert {trial.state for trial in found.trials} == {"completed"}
    best, default = found.best, found.default
    assert best is not None and best.value is not None
    assert default is not None and default.value is not None
    assert best.value > default.value + 0.2
    assert found.chosen == best.number
    made = found.confirmed
    assert made is not None
    assert made.ci95 is not None
    assert made.ci95[0] < made.value < made.ci95[1]
    assert (made.n, made.looks) == (64, 1)
    assert found.importance is not None
    assert max(found.importance, key=lambda key: found.importance[key]) == "optimizer.learning_rate"  # type: ignore[index]
    on_test = [look for look in evals.looks(settings, found.spec.test.evalset_digest) if look.run_id]
    assert [look.run_id for look in on_test] == [best.run_id]
    kinds = [run.kind for run in ledger_of(opened)]
    assert (kinds.count("train"), kinds.count("eval")) == (12, 13)
    for trial in found.trials:
        with opened.reading() as connection:
            spec = runs.get(connection, trial.run_id).asked
        assert isinstance(spec, runs.TrainSpec)
        assert (spec.group, spec.config.name) == (found.sweep_id, f"search-{trial.number}")
        assert spec.config.optimizer.learning_rate == trial.params["optimizer.learning_rate"]


def test_with_one_worker_the_same_sweep_gives_the_same_trials(home: Callable[[str], Settings]) -> None:
    settings = home("sqlite")
    params = []
    for name in ("one", "two"):
        here = settings.model_copy(update={"home": settings.home / name})
        opened = landscape.workspace(here)
        found = worked((here, opened), asked(budget={"trials": 9}))
        params.append([(trial.params, trial.value) for trial in found.trials])
        opened.close()
    assert params[0] == params[1]


def test_trials_run_side_by_side_and_no_more_than_allowed(lab: Lab) -> None:
    settings, opened = lab
    found = landscape.begun(settings, opened, asked(parallel=3))
    worker = Worker(settings, opened, slots=8, launcher=Landscape())
    most = 0
    for _ in range(2_000):
        standing = landscape.standing(opened, found.sweep_id)
        most = max(most, len(standing.open_trials))
        if standing.state == "completed":
            break
        sweeps.advance(settings, opened)
        worker.step()
    worker.close()
    assert most == 3
    assert len(standing.trials) == 6


def test_many_advancing_at_once_ask_no_trial_twice(lab: Lab) -> None:
    settings, opened = lab
    found = landscape.begun(settings, opened, asked(parallel=6))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sweeps.advance(settings, opened), range(8)))
    standing = landscape.standing(opened, found.sweep_id)
    assert [trial.number for trial in standing.trials] == list(range(6))
    assert len({trial.run_id for trial in standing.trials}) == len(ledger_of(opened)) == 6


def test_a_step_that_trusts_what_it_saw_before_is_refused_by_the_database(lab: Lab) -> None:
    """Negative control: without looking again under the lock, the second of two workers would ask the same trial."""
    settings, opened = lab
    found = landscape.begun(settings, opened, asked())
    for refused in (False, True):
        step = driving._Step(settings, opened, found, driving.Sight({})) if refused else None  # type: ignore[arg-type]
        if step is None:
            sweeps.advance(settings, opened)
            continue
        with pytest.raises(IntegrityError), opened.unit_of_work() as connection:
            step._connection = connection
            step.take()
    assert len(landscape.standing(opened, found.sweep_id).trials) == 1


def test_hopeless_trials_are_stopped_through_the_ledger(lab: Lab) -> None:
    pruner = {"kind": "median", "startup": 2, "warmup": 0.1}
    found = worked(lab, asked(pruner=pruner, budget={"trials": 14}, sampler={"kind": "random", "seed": 5}))
    assert found.state == "completed"
    assert len(found.trials) == 14
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert 3 <= len(pruned) <= 10
    for trial in pruned:
        assert trial.pruned_at is not None
        assert trial.value is None
        with lab[1].reading() as connection:
            assert runs.get(connection, trial.run_id).state == "cancelled"
    qualities = {
        trial.number: landscape.quality(sweeps.spaces.applied(found.spec.config, trial.params)) for trial in found.trials
    }
    assert found.best is not None
    assert found.best.number not in {trial.number for trial in pruned}
    assert max(qualities[trial.number] for trial in pruned) < qualities[found.best.number]


def test_a_stopped_sweep_spends_no_look_and_goes_on_when_it_is_started_again(lab: Lab) -> None:
    settings, opened = lab
    sweep = asked(parallel=2)
    found = landscape.begun(settings, opened, sweep)
    worker = Worker(settings, opened, slots=2, launcher=Landscape())
    until(worker, lambda: len(landscape.standing(opened, found.sweep_id).trials) == 4)
    for _ in range(2):  # asking again changes nothing
        with opened.unit_of_work() as connection:
            assert sweeps.stop(connection, found.sweep_id).state == "stopping"
    with pytest.raises(errors.Conflict, match="being stopped"):
        landscape.begun(settings, opened, sweep)
    until(worker, lambda: not open_sweeps(opened))
    stopped = landscape.standing(opened, found.sweep_id)
    assert (stopped.state, stopped.confirmed, len(stopped.trials)) == ("stopped", None, 4)
    assert "cancelled" in stopped.counts
    assert evals.looks(settings, stopped.spec.test.evalset_digest) == []
    for path in settings.runs.glob("*/cancelled"):
        path.unlink()  # the launcher's note; the real one's is of an attempt
    landscape.begun(settings, opened, sweep)
    until(worker, lambda: not open_sweeps(opened))
    worker.close()
    again = landscape.standing(opened, found.sweep_id)
    assert (again.state, again.counts) == ("completed", {"completed": 6})
    assert [trial.run_id for trial in again.trials[:4]] == [trial.run_id for trial in stopped.trials]
    with pytest.raises(errors.Conflict, match="completed already"), opened.unit_of_work() as connection:
        sweeps.stop(connection, found.sweep_id)


def test_failed_trials_are_accounted_and_a_hopeless_sweep_ends(lab: Lab) -> None:
    found = worked(lab, asked(budget={"trials": 10}), Landscape(failing=3e-3))
    assert found.state == "completed"
    assert set(found.counts) == {"completed", "failed"}
    assert sum(found.counts.values()) == 10
    assert all(trial.message for trial in found.trials if trial.state == "failed")
    other = worked(lab, asked(name="bad", budget={"trials": 10}), Landscape(failing=0.0))
    assert (other.state, len(other.trials)) == ("failed", driving.HOPELESS)
    assert other.message is not None
    assert "no trial was completed" in other.message


def test_a_deleted_run_and_a_lost_dataset_are_told(lab: Lab) -> None:
    settings, opened = lab
    found = landscape.begun(settings, opened, asked())
    sweeps.advance(settings, opened)
    (trial,) = landscape.standing(opened, found.sweep_id).trials
    with opened.unit_of_work() as connection:
        runs.cancel(connection, trial.run_id)
        runs.delete(connection, trial.run_id)
    (settings.datasets / "tiny-sums" / "manifest.json").unlink()
    sweeps.advance(settings, opened)
    standing = landscape.standing(opened, found.sweep_id)
    assert standing.trials[0].message == "its run was deleted."
    assert standing.state == "failed"
    assert standing.message is not None
    assert "trial 1 cannot be begun: no dataset 'tiny-sums'" in standing.message


def test_no_trial_is_begun_once_the_hours_are_over(lab: Lab) -> None:
    found = worked(lab, asked(budget={"trials": 50, "hours": 2 / 3600}))
    assert found.state == "completed"
    assert 1 <= len(found.trials) < 50


@pytest.mark.parametrize(("metric", "better"), [("format", "higher_is_better"), ("unparseable", "lower_is_better")])
def test_any_metric_can_be_what_trials_are_chosen_by(home: Callable[[str], Settings], metric: str, better: str) -> None:
    settings = home("sqlite")
    opened = landscape.workspace(settings)
    found = worked((settings, opened), asked(objective={"metric": metric}, budget={"trials": 2}))
    opened.close()
    assert found.state == "completed"
    assert found.spec.objective.better == better
    assert found.best is not None
    assert found.best.value == (1.0 if metric == "format" else 0.0)
    assert found.best.number == 0, "of equals, the first"


def test_a_test_set_that_was_seen_is_refused(lab: Lab) -> None:
    settings, opened = lab
    evalset = settings.datasets / "tiny-sums-val"
    evalset.rename(settings.datasets / "tiny-sums-again")
    (settings.datasets / "tiny-sums-val").symlink_to(settings.datasets / "tiny-sums-again")
    with pytest.raises(errors.Invalid, match="shares 32 prompts with 'tiny-sums-val'"):
        landscape.begun(settings, opened, asked(test={"evalset": "tiny-sums-again"}))
    assert not open_sweeps(opened)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_workers_killed_on_the_way_lose_nothing_and_do_nothing_twice(database: str, home: Callable[[str], Settings]) -> None:
    settings = home(database).model_copy(update={"lease_seconds": 2.0})
    opened = landscape.workspace(settings)
    found = landscape.begun(settings, opened, asked(parallel=2, budget={"trials": 12}))
    assert landscape.killed(settings, kills=2, seed=1) == 2
    ended = landscape.standing(opened, found.sweep_id)
    assert ended.state == "completed"
    assert [trial.number for trial in ended.trials] == list(range(12))
    assert ended.counts == {"completed": 12}
    kinds = [run.kind for run in ledger_of(opened)]
    assert (kinds.count("train"), kinds.count("eval")) == (12, 13)
    assert ended.confirmed is not None
    assert ended.confirmed.looks == 1
    assert ended.best is not None
    assert ended.default is not None
    assert float(ended.best.value or 0) > float(ended.default.value or 0)
    opened.close()
