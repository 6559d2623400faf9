"""What a decision can be about: a number between 0 and 1 for every item, and whether more of it is better."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tunix_rt import errors, jobs, statistics
from tunix_rt.comparisons.pairs import Evaluation, load
from tunix_rt.evals import scorecards
from tunix_rt.jobs import GenerateJob
from tunix_rt.scoring import scorers

Direction = Literal["higher_is_better", "lower_is_better"]
METRICS: dict[str, Direction] = {
    "strict": "higher_is_better",
    "lenient": "higher_is_better",
    "unparseable": "lower_is_better",
    "truncated": "lower_is_better",
    "tokens": "lower_is_better",
    **dict.fromkeys(scorers.NAMES, "higher_is_better"),
}


class Scores(NamedTuple):
    """By item, with the template group of each."""

    metric: str
    values: dict[str, float]
    groups: dict[str, str]


def direction(metric: str) -> Direction:
    if metric in METRICS:
        return METRICS[metric]
    if metric in scorers.names():  # of a plug-in
        return "higher_is_better"
    raise errors.NotFound(f"no metric {metric!r}.{errors.nearest(metric, {*METRICS, *scorers.names()})}", metric=metric)


def scores(folder: Path, metric: str, scorer: str | None = None) -> Scores:
    """`strict`, `lenient`: right or not. `unparseable`, `truncated`: ended so. `tokens`: of the most that were allowed. Else
    the marks of the scorer of that name, which has to have scored the evaluation before: those of the digest `scorer`, or else
    those made last."""
    direction(metric)
    if metric in scorers.names() or metric in ("strict", "lenient"):
        marks = scorecards.marks(folder, metric, scorer)
        return Scores(metric, {mark.item: mark.value for mark in marks}, {mark.item: mark.group for mark in marks})
    evaluation = load(folder)
    groups = {row.item: row.group for row in evaluation.scores}
    if metric == "tokens":
        return Scores(metric, _tokens(folder, evaluation), groups)
    return Scores(metric, {row.item: float(row.strict == metric) for row in evaluation.scores}, groups)


def _tokens(folder: Path, evaluation: Evaluation) -> dict[str, float]:
    job = jobs.read(folder)[0] if (folder / "config.json").is_file() else None
    said = {row.item: row.tokens for row in evaluation.predictions if row.tokens is not None}
    if not isinstance(job, GenerateJob) or len(said) < len(evaluation.predictions):
        raise errors.Invalid(f"{folder} does not say how many tokens were allowed, or used; choose another metric.")
    return {item: min(1.0, tokens / job.max_new_tokens) for item, tokens in said.items()}


def paired(a: Scores, b: Scores, margin: float) -> tuple[statistics.Paired, Sequence[float], Sequence[str]]:
    """The comparison of `b` with `a`, the differences of the items and their groups."""
    if a.values.keys() != b.values.keys():
        odd = sorted(a.values.keys() ^ b.values.keys())
        raise errors.Invalid(f"{a.metric!r} does not cover the same items in both: {len(odd)} differ, first {odd[0]!r}.")
    order = sorted(a.values)
    groups = [a.groups[item] for item in order]
    before, after = [a.values[item] for item in order], [b.values[item] for item in order]
    return statistics.paired(before, after, groups, margin), [y - x for x, y in zip(before, after, strict=True)], groups
