"""Asking: the same history gives the same trial, trials side by side differ, and what matters is told."""

import statistics
from typing import Any

import pytest
from landscape import asked, quality

from tunix_rt.sweeps import Sweep, sampling, spaces
from tunix_rt.sweeps.sampling import Told


def history(sweep: Sweep, count: int) -> list[Told]:
    """So many trials, each told what it came to before the next is asked for."""
    told: list[Told] = []
    for _ in range(count):
        params = sampling.ask(sweep, told)
        told.append(Told(params, "completed", quality(spaces.applied(sweep.config, params)), ()))
    return told


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_the_same_history_gives_the_same_trials(kind: str) -> None:
    sweep = asked(sampler={"kind": kind, "seed": 3})
    assert history(sweep, 14) == history(sweep, 14)
    other = asked(sampler={"kind": kind, "seed": 4})
    assert history(other, 3) != history(sweep, 3)


def test_the_first_trial_is_the_config_as_it_is() -> None:
    sweep = asked()
    first = sampling.ask(sweep, [])
    assert spaces.applied(sweep.config, first) == sweep.config
    assert sampling.ask(asked(default_first=False), []) != first


def test_trials_side_by_side_differ() -> None:
    sweep = asked(sampler={"kind": "tpe", "seed": 3, "startup": 4})
    told = history(sweep, 8)
    for _ in range(4):
        told.append(Told(sampling.ask(sweep, told), "running", None, ()))
    rates = [one.params["optimizer.learning_rate"] for one in told[8:]]
    assert len(set(rates)) == 4


def test_a_pruned_trial_is_told_with_its_losses_and_a_failed_one_without() -> None:
    sweep = asked()
    told = history(sweep, 6)
    odd = [Told(told[1].params, "pruned", None, ((100, 1.9),)), Told(told[2].params, "failed", None, ())]
    assert sampling.ask(sweep, [*told, *odd])


def test_tpe_finds_better_than_drawing_at_random() -> None:
    def reached(sampler: dict[str, Any]) -> float:
        found = [history(asked(sampler={**sampler, "seed": seed}), 24) for seed in range(5)]
        return statistics.fmean(sorted(float(one.value or 0) for one in told)[-8] for told in found)

    assert reached({"kind": "tpe", "startup": 6}) > reached({"kind": "random"}) + 0.05


def test_what_matters_is_told_apart_from_what_does_not() -> None:
    sweep = asked(sampler={"kind": "random", "seed": 1})
    told = history(sweep, 40)
    found = sampling.importance(sweep, told)
    assert found is not None
    assert found["optimizer.learning_rate"] > 0.7
    assert sum(found.values()) == pytest.approx(1.0, abs=0.01)
    assert sampling.importance(sweep, told[:3]) is None
    assert sampling.importance(sweep, [one._replace(value=0.5) for one in told]) is None


def test_a_grid_is_asked_through_in_an_order_of_the_seed() -> None:
    space = {"epochs": {"kind": "int", "low": 1, "high": 5}}
    sweep = asked(space=space, sampler={"kind": "grid", "seed": 1}, budget={"trials": 50})
    assert sampling.most(sweep) == 5
    asked_for = [one.params["epochs"] for one in history(sweep, 5)]
    assert asked_for[0] == sweep.config.epochs
    assert sorted(asked_for) == [1, 2, 3, 4, 5]
    other = asked(space=space, sampler={"kind": "grid", "seed": 2}, budget={"trials": 50})
    assert [one.params["epochs"] for one in history(other, 5)] != asked_for
