"""Which trials are stopped early."""

import random

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from tunix_rt.sweeps import pruning
from tunix_rt.sweeps.pruning import Curve
from tunix_rt.sweeps.specs import Asha, Median

MEDIAN = Median(kind="median", startup=3, warmup=0.25)
ASHA = Asha(kind="asha", reduction=2, rungs=2)


def curve(*losses: float, tokens: int = 100) -> Curve:
    return [(tokens * n, loss) for n, loss in enumerate(losses, start=1)]


def test_the_median_stops_what_is_worse_than_half() -> None:
    done = [curve(3, 2, 1, 1), curve(4, 3, 2, 2), curve(5, 4, 3, 3)]
    assert pruning.hopeless(MEDIAN, curve(6, 5), 0, done, done)
    assert not pruning.hopeless(MEDIAN, curve(3.5, 2.9), 0, done, done)
    assert not pruning.hopeless(MEDIAN, curve(6, 5), 2, done, done), "what was judged before is not judged again"
    assert not pruning.hopeless(MEDIAN, curve(6, 5), 0, done[:2], done), "too few have completed"
    late = Median(kind="median", startup=3, warmup=0.75)
    assert not pruning.hopeless(late, curve(6, 5), 0, done, done)
    assert pruning.hopeless(late, curve(6, 5, 5), 0, done, done)


def test_trials_are_compared_at_equal_tokens_not_at_equal_steps() -> None:
    done = [curve(3, 2, 1, 1), curve(4, 3, 2, 2), curve(5, 4, 3, 3)]
    slow = curve(4.9, tokens=400)  # one point, after as much as the others have in all
    assert pruning.hopeless(MEDIAN, slow, 0, done, done)
    assert not pruning.hopeless(MEDIAN, curve(2.9, tokens=100), 0, done, done)


@pytest.mark.parametrize("seed", range(20))
def test_at_equal_points_the_median_decides_as_optunas_does(seed: int) -> None:
    rng = random.Random(seed)
    done = [curve(*(rng.random() for _ in range(4))) for _ in range(6)]
    mine = curve(*(rng.random() for _ in range(3)))
    study = optuna.create_study(direction="minimize")
    for points in done:
        whole = {tokens: min(loss for at, loss in points if at <= tokens) for tokens, _ in points}
        study.add_trial(create_trial(value=points[-1][1], intermediate_values=whole))
    running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(mine))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    rule = Median(kind="median", startup=3, warmup=0.0)
    assert pruning.hopeless(rule, mine, len(mine) - 1, done, done) == pruner.prune(study, running)


def test_halving_keeps_the_best_of_each_rung() -> None:
    done = [curve(1, 1, 1, 1)]  # rungs after 100 and 200 tokens
    assert pruning.hopeless(ASHA, curve(2), 0, done, done)
    assert not pruning.hopeless(ASHA, curve(0.5), 0, done, done)
    many = [curve(n, n, n, n) for n in (1, 2, 3, 4)]
    assert not pruning.hopeless(ASHA, curve(1.5), 0, many[:1], [*many, curve(5)]), "the better half of six"
    assert pruning.hopeless(ASHA, curve(3.5), 0, many[:1], [*many, curve(5)])
    assert not pruning.hopeless(ASHA, curve(1.5, 9), 1, many[:1], [curve(10, 10)] * 6), "its second rung, and the best there"
    assert pruning.hopeless(ASHA, curve(1.5, 9), 1, many[:1], [curve(1, 1)] * 6)


def test_without_a_completed_trial_nothing_is_stopped() -> None:
    for rule in (MEDIAN, ASHA):
        assert not pruning.hopeless(rule, curve(9, 9), 0, [], [curve(1, 1)] * 5)
