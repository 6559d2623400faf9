"""The score with and without the items that overlap with what was trained on."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tunix_rt import datasets, errors, statistics
from tunix_rt.datasets.leakage import CLOSE
from tunix_rt.evals import rescoring, scorecards
from tunix_rt.evals.scorecards import Mark
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.values import Value


class Part(Value):
    """The items that are left; None when there are none."""

    n: int
    correct: int
    accuracy: float | None
    ci95: tuple[float, float] | None
    ci95_clustered: tuple[float, float] | None


class Contamination(Value):
    """Overlapping items by kind, and the score of all items, of those without each kind, and of the overlapping ones alone.

    exact: the canonical prompt is in training. close: at least `threshold` of the prompt's own 5-word n-grams are.
    skeleton: the wording is, once digits are masked. `difference` is all items minus those that do not overlap exactly
    or closely: what the overlap may have added.
    """

    trained: int
    threshold: float = CLOSE
    exact: int
    close: int
    skeleton: int
    all: Part
    without_exact: Part
    without_overlap: Part
    without_skeleton: Part
    overlapping: Part
    difference: float | None


def contamination(settings: Settings, folder: Path, train: Iterable[Trace], metric: str = "strict") -> Contamination:
    """Hold every item of an evaluation against the training traces, which are read once."""
    rows = scorecards.marks(folder, metric)
    known = rescoring.items(settings, folder)
    if missing := [row.item for row in rows if row.item not in known]:
        raise errors.Tampered(f"item {missing[0][:12]!r} is not in the evaluation set.", item=missing[0])
    found = datasets.overlaps(train, [known[row.item] for row in rows])
    by_item = dict(zip((row.item for row in rows), found.rows, strict=True))
    exact = {item for item, row in by_item.items() if row.exact}
    close = {item for item, row in by_item.items() if row.share >= CLOSE}
    masked = {item for item, row in by_item.items() if row.skeleton}
    whole, apart = _part(rows), _without(rows, exact | close)
    both = None not in (whole.accuracy, apart.accuracy)
    return Contamination(
        trained=found.trained,
        exact=len(exact),
        close=len(close),
        skeleton=len(masked),
        all=whole,
        without_exact=_without(rows, exact),
        without_overlap=apart,
        without_skeleton=_without(rows, exact | close | masked),
        overlapping=_part([row for row in rows if row.item in exact | close]),
        difference=(whole.accuracy or 0.0) - (apart.accuracy or 0.0) if both else None,
    )


def _without(rows: Sequence[Mark], items: set[str]) -> Part:
    return _part([row for row in rows if row.item not in items])


def _part(rows: Sequence[Mark]) -> Part:
    if not rows:
        return Part(n=0, correct=0, accuracy=None, ci95=None, ci95_clustered=None)
    correct = sum(row.correct for row in rows)
    return Part(
        n=len(rows),
        correct=correct,
        accuracy=correct / len(rows),
        ci95=statistics.wilson(correct, len(rows)),
        ci95_clustered=statistics.mean([row.value for row in rows], [row.group for row in rows]).ci95,
    )
