"""The gate: a candidate against a baseline, one metric, one margin, one decision.

pass: surely not worse by more than the margin. fail: surely worse by more than it. Else inconclusive, which is no pass. Surely
is one-sided at alpha, in intervals clustered by template group; fewer than 30 items decide nothing.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from tunix_rt import errors, evals, jobs, runs, statistics, values
from tunix_rt.comparisons import baselines, locks, metrics
from tunix_rt.comparisons.locks import Criterion, Lock
from tunix_rt.comparisons.metrics import Direction
from tunix_rt.comparisons.pairs import Block, EvaluationSummary, load, pairs_of
from tunix_rt.evals import rescoring
from tunix_rt.evals.looks import Counted, counted, looks
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings
from tunix_rt.statistics import Interval

Decision = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "inconclusive": 3}
LEAST_ITEMS = 30
DRAWS_SEED = 0


class Gate(Block):
    """A paired comparison and the decision. `difference` is candidate minus baseline whatever the direction; `bounds` are the
    one-sided ones of the gain: the difference turned so that more is better. `lock_digest` is None when nothing was locked
    before the candidate was first asked: then the decision is exploratory. `scorer` is the digest of the scorer that gave both
    sides their marks.
    """

    decision: Decision
    reason: str
    exploratory: bool
    lock_digest: str | None
    criterion_digest: str
    candidate: str
    baseline: str
    baseline_name: str | None
    label: str
    baseline_label: str
    evalset: str
    evalset_digest: str
    dataset: str | None
    metric: str
    scorer: str | None = None
    direction: Direction
    margin: float
    alpha: float
    seed: int | None
    candidate_value: float
    baseline_value: float
    bounds: tuple[float, float]
    bootstrap_ci95: tuple[float, float]
    looks: int
    looks_at_runs: int


class Sides(NamedTuple):
    candidate: Path
    baseline: Path
    name: str | None
    metric: str
    direction: Direction


def judge(
    settings: Settings,
    candidate: str,
    baseline: str,
    margin: float,
    *,
    metric: str | None = None,
    alpha: float = statistics.ALPHA,
    seed: int | None = None,
) -> Gate:
    """Decide. `baseline` is the name of a baseline, or an evaluation's id or folder; `metric` overrides the baseline's own.

    `seed`: the training seed the criterion asks for; a candidate trained with another is an `errors.Invalid`, and so are sides
    that a scorer marked with other options than the other side, or than were locked.
    """
    if not 0 < margin < 1 or not 0 < alpha < 0.5:
        raise errors.Invalid(f"the margin {margin!r} lies between 0 and 1, alpha {alpha!r} between 0 and 0.5.", field="margin")
    folder = evals.find(settings, candidate)
    summary = load(folder).summary
    dataset, trained_seed = _training(settings, folder, summary)
    if seed is not None and trained_seed != seed:
        raise errors.Invalid(
            f"the criterion asks for seed {seed}, the candidate was trained with {trained_seed}.", field="seed"
        )
    sides = _sides(settings, folder, baseline, summary, dataset, metric)
    criterion = Criterion(
        metric=sides.metric,
        direction=sides.direction,
        margin=margin,
        alpha=alpha,
        evalset=summary.evalset,
        evalset_digest=summary.evalset_digest,
        baseline=load(sides.baseline).summary.evaluation_id,
        seed=seed,
    )
    if sides.metric in scorers.names():
        locked = locks.scorers_of(settings, criterion)
        scorer = rescoring.shared(sides.baseline, sides.candidate, sides.metric, locked)
        criterion = criterion.model_copy(update={"scorer": scorer})
    return _decided(settings, sides, criterion, locks.find(settings, criterion), dataset)


def _training(settings: Settings, folder: Path, summary: EvaluationSummary) -> tuple[str | None, int | None]:
    """The dataset and the seed of the run that was evaluated; None for a base model."""
    if summary.run_id is None:
        return None, None
    try:
        return of_run(runs.find(settings, summary.run_id))
    except errors.NotFound:
        inputs = folder / "inputs.json"
        adapter = jobs.read(folder)[1].adapter if inputs.is_file() else None
        if adapter is None or not (adapter.parent / "run.json").is_file():
            return None, None
        return of_run(runs.load(adapter.parent))


def of_run(run: runs.Trained) -> tuple[str, int]:
    return run.dataset, run.seed


def _sides(
    settings: Settings, folder: Path, baseline: str, summary: EvaluationSummary, dataset: str | None, metric: str | None
) -> Sides:
    chosen = metric or "strict"
    better = metrics.direction(chosen)
    try:
        other, name = evals.find(settings, baseline), None
    except errors.NotFound:
        found = baselines.scoped(settings, baseline, summary.evalset_digest, dataset)
        other, name, chosen = evals.find(settings, found.evaluation_id), found.name, metric or found.metric
        better = found.direction if chosen == found.metric else metrics.direction(chosen)
    return Sides(folder, other, name, chosen, better)


def _decided(settings: Settings, sides: Sides, criterion: Criterion, lock: Lock | None, dataset: str | None) -> Gate:
    before, after = load(sides.baseline), load(sides.candidate)
    pairs_of(before, after)  # refuses what is not comparable
    a, b = (metrics.scores(folder, sides.metric, criterion.scorer) for folder in (sides.baseline, sides.candidate))
    found, differences, groups = metrics.paired(a, b, criterion.margin)
    order = sorted(a.values)
    estimate = statistics.differences([a.values[item] for item in order], [b.values[item] for item in order], groups)
    bounds = _turned(statistics.one_sided_bounds(estimate, criterion.alpha), sides.direction)
    decision, reason = _decide(found.n, bounds, criterion.margin)
    confirmatory = lock is not None and lock.locked_at < first_asked(settings, sides.candidate, after.summary)
    drawn = statistics.cluster_bootstrap(differences, groups, DRAWS_SEED)
    resampled = drawn if found.groups > 1 else Interval(-1.0, 1.0)
    return Gate(
        **_turned_verdict(found, sides.direction),
        decision=decision,
        reason=reason,
        exploratory=not confirmatory,
        lock_digest=lock.criterion_digest if lock and confirmatory else None,
        criterion_digest=criterion.digest,
        candidate=after.summary.evaluation_id,
        baseline=before.summary.evaluation_id,
        baseline_name=sides.name,
        label=after.summary.label,
        baseline_label=before.summary.label,
        evalset=criterion.evalset,
        evalset_digest=criterion.evalset_digest,
        dataset=dataset,
        metric=sides.metric,
        scorer=criterion.scorer,
        direction=sides.direction,
        margin=criterion.margin,
        alpha=criterion.alpha,
        seed=criterion.seed,
        candidate_value=sum(b.values.values()) / found.n,
        baseline_value=sum(a.values.values()) / found.n,
        bounds=(max(-1.0, bounds.low), min(1.0, bounds.high)),
        bootstrap_ci95=resampled,
        **counted(settings, criterion.evalset_digest)._asdict(),
    )


def _turned(bounds: Interval, direction: Direction) -> Interval:
    return bounds if direction == "higher_is_better" else Interval(-bounds.high, -bounds.low)


def _turned_verdict(found: statistics.Paired, direction: Direction) -> dict[str, Any]:
    """The comparison with `better` and `worse` meant in the metric's direction."""
    row = found._asdict()
    if direction == "lower_is_better":
        row["verdict"] = {"better": "worse", "worse": "better"}.get(found.verdict, found.verdict)
    return row


def _decide(n: int, bounds: Interval, margin: float) -> tuple[Decision, str]:
    shown = f"{100 * margin:g} points"
    if n < LEAST_ITEMS:
        return "inconclusive", f"{n} items are too few to decide on; at least {LEAST_ITEMS} are needed"
    if bounds.low > -margin:
        return "pass", f"not worse than the baseline by more than {shown}"
    if bounds.high < -margin:
        return "fail", f"worse than the baseline by more than {shown}"
    return "inconclusive", f"these items cannot tell whether the candidate is worse by more than {shown}"


def first_asked(settings: Settings, folder: Path, summary: EvaluationSummary) -> float:
    """When what was evaluated was first asked anything of this set: the evaluation by its own event log, and it, its run or,
    without one, its model in whatever evaluation by the look ledger, which deleting a folder does not change."""
    about = (summary.model, summary.run_id)
    seen = looks(settings, summary.evalset_digest)
    mine = [look.at for look in seen if look.evaluation_id == summary.evaluation_id or (look.model, look.run_id) == about]
    return min([began(folder), *mine])


def began(folder: Path) -> float:
    """When the evaluation's first attempt began, by its own event log; 0 when that is not known, so that no lock counts."""
    path = folder / "events.jsonl"
    if not path.is_file():
        return 0.0
    return next((float(row["at"]) for _, row in values.read_jsonl(path) if "at" in row), 0.0)


def lockable(settings: Settings, baseline: str, margin: float, alpha: float, seed: int | None) -> list[Criterion]:
    """The criteria that a baseline's name stands for, one for each set it is set on. A scorer counts with the options it scored
    the baseline with last; `errors.NotFound` when it did not yet."""
    found = baselines.listed(settings, baseline)
    if not found:
        known = {one.name for one in baselines.listed(settings)}
        raise errors.NotFound(f"no baseline {baseline!r}.{errors.nearest(baseline, known)}", name=baseline)
    return [
        Criterion(
            metric=one.metric,
            direction=one.direction,
            margin=margin,
            alpha=alpha,
            evalset=one.evalset,
            evalset_digest=one.evalset_digest,
            baseline=one.evaluation_id,
            seed=seed,
            scorer=_scorer(settings, one),
        )
        for one in found
    ]


def _scorer(settings: Settings, baseline: baselines.Baseline) -> str | None:
    if baseline.metric not in scorers.names():
        return None
    return next(iter(rescoring.scored_by(evals.find(settings, baseline.evaluation_id), baseline.metric)))


def page(gate: Gate) -> str:
    """One page of Markdown."""
    stamp = (
        "Exploratory: no criterion was locked before the candidate was first evaluated on this set."
        if gate.exploratory
        else (
            f"Confirmatory: the criterion `{gate.lock_digest}` was locked before the candidate was first evaluated on this set."
        )
    )
    better = "more is better" if gate.direction == "higher_is_better" else "less is better"
    rows = [
        ("metric", f"{gate.metric}{f' `{gate.scorer[:12]}`' if gate.scorer else ''} ({better})"),
        ("candidate", f"{gate.label}, evaluation `{gate.candidate}`: {_points(gate.candidate_value)}"),
        ("baseline", f"{gate.baseline_label}, evaluation `{gate.baseline}`: {_points(gate.baseline_value)}"),
        ("evaluation set", f"{gate.evalset} `{gate.evalset_digest[:12]}`, {gate.n} items in {gate.groups} template groups"),
        ("trained on", gate.dataset or "nothing: a base model"),
        ("margin, alpha", f"{_points(gate.margin)}, {gate.alpha:g} one-sided"),
        ("difference", f"{100 * gate.difference:+.1f} points, 95 % {_interval(gate.ci95)} clustered"),
        ("bootstrap", f"95 % {_interval(gate.bootstrap_ci95)} over template groups"),
        ("gain, one-sided bounds", _interval(gate.bounds)),
        ("changed items", f"{gate.fixed} higher, {gate.broken} lower, McNemar mid-p {gate.p_value:.3g}"),
        ("smallest difference seen", f"{_points(gate.minimum_detectable_effect)} with power 0.8"),
        ("verdict of the comparison", gate.verdict),
        ("looks", str(Counted(gate.looks, gate.looks_at_runs))),
    ]
    lines = [f"# Gate: {gate.decision}", "", f"{gate.reason[0].upper()}{gate.reason[1:]}. {stamp}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows]
    return "\n".join(lines) + "\n"


def _points(value: float) -> str:
    return f"{100 * value:.1f} %"


def _interval(pair: tuple[float, float]) -> str:
    return f"[{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]"
