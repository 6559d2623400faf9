"""A criterion locked before the run: what will count as passing, written down while nobody knows the result.

The digest is over metric, direction, margin, alpha, evaluation set, baseline, training seed and, where a scorer gives the
marks, its digest: options are part of it. The lock notes when it was made; a decision is confirmatory only when the candidate
was first asked later (`gates.first_asked`). The clock and the files are this machine's and its owner's: to convince others,
publish the digest before the run.
"""

import time
from pathlib import Path

from pydantic import Field

from tunix_rt import values
from tunix_rt.comparisons.metrics import Direction
from tunix_rt.settings import Settings
from tunix_rt.values import Value


class Criterion(Value):
    """`seed` is the seed the candidate must have been trained with; None accepts any. `scorer` is the digest of the scorer with
    all its options; None where the metric needs none."""

    metric: str
    direction: Direction
    margin: float = Field(gt=0, lt=1)
    alpha: float = Field(gt=0, lt=0.5)
    evalset: str
    evalset_digest: str
    baseline: str
    seed: int | None = None
    scorer: str | None = None


class Lock(Value):
    """`locked_at` is in seconds since 1970."""

    criterion: Criterion
    criterion_digest: str
    locked_at: float


def _path(settings: Settings, digest: str) -> Path:
    return settings.home / "locks" / f"{digest}.json"


def put(settings: Settings, criterion: Criterion) -> Lock:
    """Lock the criterion now; one that is locked already keeps its time."""
    there = find(settings, criterion)
    if there is not None:
        return there
    lock = Lock(criterion=criterion, criterion_digest=criterion.digest, locked_at=round(time.time(), 3))
    values.write_json(_path(settings, criterion.digest), lock.model_dump(mode="json"))
    return lock


def find(settings: Settings, criterion: Criterion) -> Lock | None:
    path = _path(settings, criterion.digest)
    return Lock.parse(values.read_json(path), source=str(path)) if path.is_file() else None


def scorers_of(settings: Settings, criterion: Criterion) -> set[str]:
    """The scorers that this criterion, whatever its own, was locked with."""
    asked = criterion.model_copy(update={"scorer": None})
    found = [
        Lock.parse(values.read_json(path), source=str(path)).criterion for path in _path(settings, "*").parent.glob("*.json")
    ]
    return {one.scorer for one in found if one.scorer and one.model_copy(update={"scorer": None}) == asked}
