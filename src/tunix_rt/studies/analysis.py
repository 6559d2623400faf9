"""The tables of a finished study: every arm's measures, and the comparisons that were planned, Holm-adjusted.

An arm's seeds are a random effect beside the template groups of the items, so an interval is about the recipe, not about the
runs that happened to be made; with few seeds it is wide, and says so by its degrees of freedom. The base model answers
greedily and has no seed: its intervals are over items alone.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, evals, statistics
from tunix_rt.evals import rescoring, scorecards
from tunix_rt.scoring import scorers
from tunix_rt.scoring.scorers import Judge, Scored, Scorer
from tunix_rt.settings import Settings
from tunix_rt.statistics import Verdict
from tunix_rt.studies import plans
from tunix_rt.studies.plans import BASE, Question, Study
from tunix_rt.values import Value

Items = dict[str, float]


class Measure(Value):
    """A rate of one arm, `part` being the items it is over: "all", or those of one section."""

    question: str
    metric: str
    part: str
    arm: str
    n: int
    groups: int
    value: float
    ci95: tuple[float, float]
    by_seed: tuple[float, ...]


class Contrast(Value):
    """A planned comparison: arm minus reference on the same items. `p_adjusted` is over all comparisons of the question."""

    question: str
    metric: str
    arm: str
    reference: str
    n: int
    groups: int
    difference: float
    ci95: tuple[float, float]
    p_value: float
    p_adjusted: float
    minimum_detectable_effect: float
    by_seed: tuple[float, ...]
    verdict: Verdict


class Findings(Value):
    """`step_accuracy` is the share of right steps among those the checker could check, pooled over items, by arm and seed."""

    measures: tuple[Measure, ...]
    contrasts: tuple[Contrast, ...]
    step_accuracy: dict[str, tuple[float | None, ...]]
    most_frequent_step: float | None = None

    def measure(self, question: str, metric: str, arm: str, part: str = "all") -> Measure:
        """`errors.NotFound` when none of the items asked is one that the metric is about."""
        wanted = (question, metric, arm, part)
        for one in self.measures:
            if (one.question, one.metric, one.arm, one.part) == wanted:
                return one
        raise errors.NotFound(f"nothing was measured of {', '.join(wanted)}.", metric=metric, arm=arm)


class _Answers(NamedTuple):
    """One question: by arm, the values of each seed by item; the group and the section of every item."""

    by_arm: dict[str, list[Items]]
    groups: dict[str, str]
    sections: dict[str, str]


def analyse(settings: Settings, study: Study) -> Findings:
    """`errors.NotFound` from whatever evaluation is missing; ask `plans.missing` first."""
    measures: list[Measure] = []
    contrasts: list[Contrast] = []
    steps: dict[str, tuple[float | None, ...]] = {}
    usual = None
    for name, question in study.questions.items():
        folders = _folders(settings, study, name)
        for metric in _all_metrics(question):
            answers = _answers(settings, folders, metric)
            measures += _measures(name, metric, answers) if answers.groups else []
            if metric == question.metric:
                contrasts += _contrasts(study, name, metric, answers)
        if "steps" in question.metrics:
            steps = {arm: tuple(map(_step_accuracy, made)) for arm, made in folders.items()}
        if "detection" in question.metrics:
            usual = _usual_step(folders[BASE][0])
    return Findings(measures=tuple(measures), contrasts=tuple(contrasts), step_accuracy=steps, most_frequent_step=usual)


def _folders(settings: Settings, study: Study, question: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {BASE: [], **{arm: [] for arm in study.arms}}
    for made in plans.cells(settings, study):
        found[made.arm].append(evals.find(settings, made.evaluations[question]))
    return found


_OF_DETECTION: dict[str, Callable[[Scored], float | None]] = {
    "sensitivity": lambda row: float(row.outcome == "correct") if row.details["first_wrong"] else None,
    "false alarms": lambda row: None if row.details["first_wrong"] else float(row.outcome == "wrong"),
    "first wrong step exact": lambda row: (
        float(row.details["said"] == row.details["first_wrong"]) if row.details["first_wrong"] else None
    ),
    "unanswered": lambda row: float(row.details["said"] is None),
}


def _all_metrics(question: Question) -> tuple[str, ...]:
    return (*question.metrics, *(_OF_DETECTION if "detection" in question.metrics else ()))


def _answers(settings: Settings, folders: Mapping[str, Sequence[Path]], metric: str) -> _Answers:
    known = rescoring.items(settings, folders[BASE][0])
    by_arm = {arm: [_values(folder, metric) for folder in made] for arm, made in folders.items()}
    items = by_arm[BASE][0]
    return _Answers(
        by_arm,
        {item: str(known[item].meta.get("group", "")) for item in items},
        {item: str(known[item].meta.get("section", "")) for item in items},
    )


def _values(folder: Path, metric: str) -> Items:
    if metric not in _OF_DETECTION:
        return {mark.item: mark.value for mark in scorecards.marks(folder, metric, _digest(metric))}
    rows = [(row.item, _OF_DETECTION[metric](row)) for row in _scored(folder, "detection")[1]]
    return {item: value for item, value in rows if value is not None}


def _digest(metric: str) -> str | None:
    """Of the scorer as a study asks for it, so that nobody's other options count for an arm; None for a reading."""
    return rescoring.digest(scorers.named(metric)) if metric in scorers.KINDS else None


def _scored(folder: Path, scorer: str) -> tuple[Scorer | Judge, list[Scored]]:
    return rescoring.latest(folder, scorer, _digest(scorer))


def _measures(question: str, metric: str, answers: _Answers) -> list[Measure]:
    parts = {"all": list(answers.groups)}
    sections = sorted(set(answers.sections.values()))
    if len(sections) > 1:
        parts |= {name: [item for item, own in answers.sections.items() if own == name] for name in sections}
    return [
        _measure(question, metric, part, arm, made, items, answers.groups)
        for part, items in parts.items()
        for arm, made in answers.by_arm.items()
    ]


def _measure(
    question: str, metric: str, part: str, arm: str, made: list[Items], items: Sequence[str], groups: Mapping[str, str]
) -> Measure:
    labels = [groups[item] for item in items]
    rows = [[one[item] for item in items] for one in made]
    over_items = statistics.mean(statistics.item_means(rows), labels)
    spread = statistics.across_seeds(rows, labels)
    ci95 = over_items.ci95
    if len(rows) > 1:
        error = max(over_items.standard_error, spread.standard_error)
        low, high = statistics.tested(over_items.value, error, spread.df, 0.05).ci95
        ci95 = statistics.Interval(max(0.0, low), min(1.0, high))
    return Measure(
        question=question,
        metric=metric,
        part=part,
        arm=arm,
        n=len(items),
        groups=over_items.groups,
        value=over_items.value,
        ci95=ci95,
        by_seed=spread.by_seed,
    )


def _contrasts(study: Study, question: str, metric: str, answers: _Answers) -> list[Contrast]:
    made = [
        _contrast(study, question, metric, answers, arm, reference)
        for reference in study.references
        for arm in study.arms
        if arm != reference
    ]
    adjusted = statistics.holm([one.p_value for one in made])
    return [
        one.model_copy(
            update={
                "p_adjusted": p,
                "verdict": "cannot tell" if one.verdict in ("better", "worse") and p >= statistics.ALPHA else one.verdict,
            }
        )
        for one, p in zip(made, adjusted, strict=True)
    ]


def _contrast(study: Study, question: str, metric: str, answers: _Answers, arm: str, reference: str) -> Contrast:
    items = list(answers.groups)
    labels = [answers.groups[item] for item in items]
    after = [[one[item] for item in items] for one in answers.by_arm[arm]]
    before = [[one[item] for item in items] for one in answers.by_arm[reference]] * (len(after) if reference == BASE else 1)
    spread = statistics.differences_across_seeds(before, after, labels)
    found = statistics.tested(spread.value, spread.standard_error, spread.df, study.margin)
    return Contrast(
        question=question,
        metric=metric,
        arm=arm,
        reference=reference,
        n=len(items),
        groups=spread.groups,
        difference=spread.value,
        ci95=(max(-1.0, found.ci95.low), min(1.0, found.ci95.high)),
        p_value=found.p_value,
        p_adjusted=found.p_value,
        minimum_detectable_effect=found.minimum_detectable_effect,
        by_seed=spread.by_seed,
        verdict=found.verdict,
    )


def _step_accuracy(folder: Path) -> float | None:
    scorer, rows = _scored(folder, "steps")
    found = rescoring.summarise(folder, scorer, rows, skipped=0).measures["step_accuracy"]
    return None if found is None else float(found)


def _usual_step(folder: Path) -> float | None:
    scorer, rows = _scored(folder, "detection")
    found = rescoring.summarise(folder, scorer, rows, skipped=0).measures.get("most_frequent_step_exact")
    return None if found is None else float(found)
