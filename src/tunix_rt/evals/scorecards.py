"""One evaluation, cut by what its items are: section, category, difficulty, level and template group."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, statistics, values
from tunix_rt.evals import rescoring
from tunix_rt.scoring import ScoreRow
from tunix_rt.settings import Settings
from tunix_rt.values import Value

FACETS = ("section", "category", "difficulty", "level", "group")


class Line(Value):
    """The items that have one value of one facet. With fewer than two template groups the clustered interval is the whole
    range: one template says little about its kind."""

    facet: str
    value: str
    n: int
    groups: int
    correct: int
    accuracy: float
    ci95: tuple[float, float]
    ci95_clustered: tuple[float, float]


class Mark(NamedTuple):
    item: str
    group: str
    value: float
    correct: bool


def marks(folder: Path, metric: str, scorer: str | None = None) -> list[Mark]:
    """An item's value by a metric: `strict` or `lenient` reading, or the name of a scorer it was scored by: the marks of
    the digest `scorer`, or else those made last."""
    if metric in ("strict", "lenient"):
        rows = [
            ScoreRow.parse(row, source=f"{folder / 'scores.jsonl'}, line {number}")
            for number, row in values.read_jsonl(folder / "scores.jsonl")
        ]
        hits = [(row, getattr(row, metric) == "correct") for row in rows]
        return [Mark(row.item, row.group, float(hit), hit) for row, hit in hits]
    _, scored = rescoring.latest(folder, metric, scorer)
    return [Mark(row.item, row.group, row.value, row.outcome == "correct") for row in scored]


def scorecard(settings: Settings, folder: Path, metric: str = "strict", facets: Sequence[str] = FACETS) -> list[Line]:
    """A line for every value of every facet that at least one item has, in the order of the facets and by value."""
    known = rescoring.items(settings, folder)
    found: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    for mark in marks(folder, metric):
        for facet in facets:
            value = known[mark.item].meta.get(facet)
            if value is not None:
                found[facet, str(value)].append(mark)
    if not found:
        raise errors.Invalid(f"no item of this evaluation has any of the fields {', '.join(facets)} in its meta.")
    ordered = sorted(found, key=lambda key: (list(facets).index(key[0]), key[1]))
    return [_line(facet, value, found[facet, value]) for facet, value in ordered]


def _line(facet: str, value: str, rows: Sequence[Mark]) -> Line:
    correct = sum(row.correct for row in rows)
    clustered = statistics.mean([row.value for row in rows], [row.group for row in rows])
    return Line(
        facet=facet,
        value=value,
        n=len(rows),
        groups=clustered.groups,
        correct=correct,
        accuracy=correct / len(rows),
        ci95=statistics.wilson(correct, len(rows)),
        ci95_clustered=clustered.ci95,
    )
