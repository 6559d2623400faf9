"""Several candidates against one baseline, read as one table: Holm's adjustment keeps the whole of it honest."""

from collections.abc import Mapping, Sequence

from tunix_rt import errors, statistics
from tunix_rt.comparisons.pairs import Comparison, Evaluation, compare, marks_of, pairs_of
from tunix_rt.statistics import Verdict
from tunix_rt.values import Value


class Row(Value):
    """`p_adjusted` is over all rows of the table. `verdict` is the comparison's own, unless that is better or worse and the
    adjusted p is not below 0.05: then cannot tell."""

    name: str
    comparison: Comparison
    p_value: float
    p_adjusted: float
    verdict: Verdict


def table(
    baseline: Evaluation, candidates: Mapping[str, Evaluation], margin: float = 0.05, *, any_instruction: bool = False
) -> list[Row]:
    made = {name: compare(baseline, one, margin, any_instruction=any_instruction) for name, one in candidates.items()}
    p_values = [clustered_p(baseline, one, any_instruction=any_instruction) for one in candidates.values()]
    return [
        Row(
            name=name,
            comparison=comparison,
            p_value=p,
            p_adjusted=adjusted,
            verdict=comparison.verdict if comparison.verdict not in ("better", "worse") or adjusted < 0.05 else "cannot tell",
        )
        for (name, comparison), p, adjusted in zip(made.items(), p_values, statistics.holm(p_values), strict=True)
    ]


class OverSeeds(Value):
    """The mean difference of runs of one recipe with several seeds to the baseline: the seed as a random effect, crossed with
    the template groups. `between` is the standard deviation of the seeds' own differences."""

    seeds: int
    groups: int
    difference: float
    ci95: tuple[float, float]
    between: float
    by_seed: tuple[float, ...]


def over_seeds(baseline: Evaluation, candidates: Sequence[Evaluation], *, any_instruction: bool = False) -> OverSeeds:
    """By the strict reading. `errors.Invalid` unless the candidates are different runs of the same base model."""
    found = [one.summary for one in candidates]
    if len({one.run_id for one in found} - {None}) < max(2, len(found)) or len({one.model_digest for one in found}) > 1:
        raise errors.Invalid("several seeds are at least two different runs of one base model; name one evaluation of each.")
    rows = [
        sorted(pairs_of(baseline, one, any_instruction=any_instruction), key=lambda pair: pair[0].item) for one in candidates
    ]
    before, after, groups = zip(*(marks_of(row, "strict") for row in rows), strict=True)
    made = statistics.differences_across_seeds(before, after, groups[0])
    return OverSeeds(
        seeds=made.seeds,
        groups=made.groups,
        difference=made.value,
        ci95=(max(-1.0, made.ci95.low), min(1.0, made.ci95.high)),
        between=made.between,
        by_seed=made.by_seed,
    )


def clustered_p(baseline: Evaluation, candidate: Evaluation, *, any_instruction: bool = False) -> float:
    """Two-sided p of the clustered t test behind the strict reading's interval; verdicts rest on it, not on McNemar's, which
    knows no groups. `errors.Invalid` when the two cannot be compared."""
    pairs = pairs_of(baseline, candidate, any_instruction=any_instruction)
    return statistics.p_value(statistics.differences(*marks_of(pairs, "strict")))
