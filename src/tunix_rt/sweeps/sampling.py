"""The next trial's parameters, and which parameters matter. The only code that knows Optuna, which is loaded when it is needed.

The study is made anew from our rows each time: Optuna keeps nothing, so what a kill leaves behind is always whole. Trial k is
drawn with a seed of the sweep's seed and k, so that the same history gives the same trial.
"""

import json
import random
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tunix_rt import values
from tunix_rt.sweeps import spaces
from tunix_rt.sweeps.spaces import Dimension, LogUniform, OneOf, Params, Whole
from tunix_rt.sweeps.specs import Grid, Sweep, Tpe

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

LEAST_TRIALS = 4  # completed ones, for a word on importance


class Told(NamedTuple):
    """A trial as the sampler sees it: `value` is None for one that is under way or failed, `curve` is of held-out losses."""

    params: Params
    state: str
    value: float | None
    curve: Sequence[tuple[int, float]]


def most(sweep: Sweep) -> int:
    """How many trials there can be."""
    return min(sweep.budget.trials, len(_ordered_grid(sweep))) if isinstance(sweep.sampler, Grid) else sweep.budget.trials


def ask(sweep: Sweep, told: Sequence[Told]) -> Params:
    """The parameters of trial number `len(told)`, which is below `most`."""
    number = len(told)
    if sweep.default_first and number == 0:
        return spaces.own(sweep.space, sweep.config)
    if isinstance(sweep.sampler, Grid):
        return _ordered_grid(sweep)[number]
    study = _study(sweep, told, _sampler(sweep, number))
    trial = study.ask()
    params: Params = {}
    for key in spaces.order(sweep.space):
        if spaces.counts(sweep.space, key, params):
            params[key] = _suggested(trial, key, sweep.space[key])
    return params


def _ordered_grid(sweep: Sweep) -> list[Params]:
    points = list(spaces.grid(sweep.space))
    random.Random(sweep.sampler.seed).shuffle(points)
    if not sweep.default_first:
        return points
    first = spaces.own(sweep.space, sweep.config)
    return [first, *(point for point in points if point != first)]


def importance(sweep: Sweep, told: Sequence[Told]) -> dict[str, float] | None:
    """How much of what tells the best quarter of the completed trials from all of them each parameter explains, as shares, by
    PED-ANOVA (Watanabe et al. 2023); None before there is enough to say so."""
    done = [one.value for one in told if one.state == "completed"]
    if len(done) < LEAST_TRIALS or len(set(done)) < 2:
        return None
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # noqa: PLC0415  # as above

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that of few trials it is rough, which pages say too
        found = get_param_importances(_study(sweep, told, None), evaluator=PedAnovaImportanceEvaluator())
    return {key: round(float(share), 4) for key, share in found.items()}


def _sampler(sweep: Sweep, number: int) -> "BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler  # noqa: PLC0415  # a fifth of a second that most commands do not need

    seed = int(values.sha256(f"{sweep.sampler.seed}/{number}".encode())[:8], 16)
    if isinstance(sweep.sampler, Tpe):
        return TPESampler(n_startup_trials=sweep.sampler.startup, constant_liar=True, seed=seed)
    return RandomSampler(seed=seed)


def _study(sweep: Sweep, told: Sequence[Told], sampler: "BaseSampler | None") -> "optuna.Study":
    import optuna  # noqa: PLC0415  # as above

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    higher = sweep.objective.better == "higher_is_better"
    study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)
    states = {
        "running": optuna.trial.TrialState.RUNNING,
        "completed": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
    }
    sign = -1.0 if higher else 1.0  # Optuna reads what is reported on the way in the direction of the objective
    study.add_trials(
        [
            optuna.trial.create_trial(
                state=states.get(one.state, optuna.trial.TrialState.FAIL),
                value=one.value,
                params={key: _text(sweep.space[key], value) for key, value in one.params.items()},
                distributions={key: _distribution(sweep.space[key]) for key in one.params},
                intermediate_values={tokens: sign * loss for tokens, loss in one.curve},
            )
            for one in told
        ]
    )
    return study


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna import distributions  # noqa: PLC0415  # as above

    if isinstance(dimension, OneOf):
        return distributions.CategoricalDistribution([json.dumps(value) for value in dimension.values])
    if isinstance(dimension, Whole):
        return distributions.IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return distributions.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, LogUniform))


def _text(dimension: Dimension, value: Any) -> Any:
    """A choice is told to Optuna as JSON: it takes no lists, and takes 1 and true for the same."""
    if not isinstance(dimension, OneOf):
        return value
    return next(json.dumps(one) for one in dimension.values if spaces.same(one, value))


def _suggested(trial: "optuna.Trial", key: str, dimension: Dimension) -> Any:
    match dimension:
        case OneOf():
            return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in dimension.values]))
        case Whole():
            return trial.suggest_int(key, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
        case _:
            return trial.suggest_float(key, dimension.low, dimension.high, log=isinstance(dimension, LogUniform))
