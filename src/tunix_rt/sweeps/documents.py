"""A sweep as JSON-ready data: what the command line prints and the service answers."""

from typing import Any

from tunix_rt.sweeps.axes import axes
from tunix_rt.sweeps.ledger import Standing, Trial
from tunix_rt.sweeps.sampling import most


def summary(found: Standing) -> dict[str, Any]:
    """Without its trials and its spec."""
    objective, best, default = found.spec.objective, found.best, found.default
    return {
        "sweep_id": found.sweep_id,
        "name": found.spec.name,
        "state": found.state,
        "message": found.message,
        "metric": objective.metric,
        "direction": objective.better,
        "trials_most": most(found.spec),
        "trials_asked": len(found.trials),
        "counts": found.counts,
        "best": None if best is None else trial_document(found, best),
        "default": None if default is None else trial_document(found, default),
        "confirmed": None if found.confirmed is None else {"trial": found.chosen, **found.confirmed.model_dump(mode="json")},
        "importance": found.importance,
        "created": found.created.isoformat(),
        "ended": None if found.ended is None else found.ended.isoformat(),
    }


def ranked(found: Standing) -> list[tuple[str, float]]:
    """(parameter, importance), the most important first."""
    return sorted((found.importance or {}).items(), key=lambda pair: -pair[1])


def trial_document(found: Standing, trial: Trial) -> dict[str, Any]:
    return {"sweep_id": found.sweep_id, **trial.model_dump(mode="json", exclude={"sweep_id"})}


def document(found: Standing) -> dict[str, Any]:
    """With trials, spec and the axes of parallel coordinates."""
    return {
        **summary(found),
        "spec": found.spec.model_dump(mode="json", exclude_none=True),
        "trials": [trial_document(found, trial) for trial in found.trials],
        "axes": [axis.model_dump(mode="json") for axis in axes(found)],
    }
