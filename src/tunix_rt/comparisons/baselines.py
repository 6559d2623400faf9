"""Baselines: a name for the evaluation that candidates have to hold against, within an evaluation set and a dataset.

One name can stand for another evaluation on another set, or for runs trained on another dataset; without a dataset it is for
all. A baseline names metric and direction too, so that nobody chooses them after the fact.
"""

from pathlib import Path

from tunix_rt import errors, evals, values
from tunix_rt.comparisons.metrics import Direction, direction
from tunix_rt.comparisons.pairs import load
from tunix_rt.settings import Settings
from tunix_rt.values import Value

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"


class Baseline(Value):
    """`dataset` None is for candidates trained on any dataset."""

    name: str
    evaluation_id: str
    evalset: str
    evalset_digest: str
    dataset: str | None = None
    metric: str = "strict"
    direction: Direction = "higher_is_better"


def _path(settings: Settings) -> Path:
    return settings.home / "baselines.json"


def listed(settings: Settings, name: str | None = None) -> list[Baseline]:
    """By name, evaluation set and dataset."""
    path = _path(settings)
    rows = values.read_json(path) if path.is_file() else []
    found = [Baseline.parse(row, source=str(path)) for row in rows]
    return [one for one in found if name in (None, one.name)]


def put(
    settings: Settings, name: str, evaluation: str, *, dataset: str | None, metric: str, better: Direction | None
) -> Baseline:
    """Give the evaluation the name within its set and `dataset`; one that had it there gives way."""
    if not values.fits(NAME, name):
        raise errors.Invalid(f"a baseline's name is lower-case letters, digits and ._-, not {name!r}.", field="name")
    summary = load(evals.find(settings, evaluation)).summary
    made = Baseline(
        name=name,
        evaluation_id=summary.evaluation_id,
        evalset=summary.evalset,
        evalset_digest=summary.evalset_digest,
        dataset=dataset,
        metric=metric,
        direction=better or direction(metric),
    )
    direction(metric)
    others = [one for one in listed(settings) if _scope(one) != _scope(made)]
    rows = sorted([*others, made], key=lambda one: (one.name, one.evalset, one.dataset or ""))
    values.write_json(_path(settings), [one.model_dump(mode="json") for one in rows])
    return made


def _scope(one: Baseline) -> tuple[str, str, str | None]:
    return one.name, one.evalset_digest, one.dataset


def scoped(settings: Settings, name: str, evalset_digest: str, dataset: str | None) -> Baseline:
    """The baseline of that name for candidates on this set: one for their dataset before one for all.

    NotFound says where else the name is known, or suggests the nearest.
    """
    found = [one for one in listed(settings, name) if one.evalset_digest == evalset_digest]
    exact = [one for one in found if one.dataset == dataset and dataset is not None]
    general = [one for one in found if one.dataset is None]
    if chosen := (exact or general):
        return chosen[0]
    elsewhere = [f"{one.evalset}{f' for {one.dataset}' if one.dataset else ''}" for one in listed(settings, name)]
    if elsewhere:
        raise errors.NotFound(
            f"baseline {name!r} is only set on {', '.join(elsewhere)}, not where this candidate is.", name=name
        )
    known = {one.name for one in listed(settings)}
    raise errors.NotFound(
        f"no evaluation and no baseline {name!r}; tunix-rt baselines set NAME EVAL makes one.{errors.nearest(name, known)}",
        name=name,
    )
