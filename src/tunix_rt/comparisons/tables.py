"""Several candidates against one baseline, read as one table: Holm's adjustment keeps the whole of it honest."""

from collections.abc import Mapping

from tunix_rt import statistics
from tunix_rt.comparisons.pairs import Block, Comparison, Evaluation, compare
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


def table(baseline: Evaluation, candidates: Mapping[str, Evaluation], margin: float = 0.05) -> list[Row]:
    made = {name: compare(baseline, candidate, margin) for name, candidate in candidates.items()}
    p_values = [clustered_p(comparison) for comparison in made.values()]
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


def clustered_p(block: Block) -> float:
    """Two-sided p of the clustered t test behind the interval; verdicts rest on it, not on McNemar's, which knows no groups.

    The standard error is read off the end of the interval nearer to zero, which is never the one cut at -1 or 1.
    """
    nearer = block.ci95[0] if block.difference > 0 else block.ci95[1]
    return statistics.p_of_interval(block.difference, abs(block.difference - nearer), block.groups)
