"""Several training seeds of one recipe: the seed as a random effect, crossed with the template groups of the items.

Items alone say how sure the result of this run is. Whether the *recipe* is better needs the spread between seeds too, and
with few seeds that is known badly: the interval says so by its degrees of freedom.
"""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from tunix_rt import errors
from tunix_rt.statistics.estimates import (
    ALPHA,
    POWER,
    Equivalence,
    Interval,
    Verdict,
    clustered_standard_error,
    differences,
    t_below,
    t_quantile,
    verdict_of,
)


class AcrossSeeds(NamedTuple):
    """The mean over seeds and items. `between` is the standard deviation of the seeds' own means, `by_seed` are those."""

    value: float
    standard_error: float
    df: float
    seeds: int
    groups: int
    between: float
    by_seed: tuple[float, ...]
    ci95: Interval


def across_seeds(values: Sequence[Sequence[float]], groups: Sequence[Hashable]) -> AcrossSeeds:
    """`values[s][i]` is the score of item i under seed s, or its difference to a baseline; every seed has every item.

    The variance is clustered by seed and by group at once (Cameron, Gelbach & Miller 2011, JBES 29:238-249): that by seed,
    plus that by group, minus that by both, and never below the larger of the first two. One seed or one group leaves the
    interval infinite. From three of both on it is t with the degrees of freedom of a sum of variances (Satterthwaite 1946,
    Biometrics Bull. 2:110-114): close to groups - 1 where seeds differ little, to seeds - 1 where they differ most. Two cannot
    say how much they differ: t with 1.
    """
    if not values or not groups or any(len(row) != len(groups) for row in values):
        raise errors.Invalid("every seed needs a score for every item, and there has to be at least one of both.")
    flat = [value for row in values for value in row]
    by_seed = tuple(math.fsum(row) / len(row) for row in values)
    seeds, kinds = len(values), len(set(groups))
    centre = math.fsum(flat) / len(flat)
    between = math.sqrt(math.fsum((one - centre) ** 2 for one in by_seed) / (seeds - 1)) if seeds > 1 else math.nan
    if seeds < 2 or kinds < 2:
        return AcrossSeeds(centre, math.inf, 0, seeds, kinds, between, by_seed, Interval(-math.inf, math.inf))
    labels = [(seed, group) for seed in range(seeds) for group in groups]
    seed_part = clustered_standard_error(flat, [seed for seed, _ in labels]) ** 2
    group_part = clustered_standard_error(flat, [group for _, group in labels]) ** 2
    both_part = clustered_standard_error(flat, labels) ** 2
    variance = max(seed_part + group_part - both_part, seed_part, group_part)
    df = _degrees_of_freedom(variance, (seed_part, seeds), (group_part, kinds))
    error = math.sqrt(variance)
    half = t_quantile(1 - ALPHA / 2, df) * error
    return AcrossSeeds(centre, error, df, seeds, kinds, between, by_seed, Interval(centre - half, centre + half))


def differences_across_seeds(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], groups: Sequence[Hashable]
) -> AcrossSeeds:
    """Of `after` minus `before`, scores in [0, 1] seed by seed, with a standard error no smaller than that of each item's mean
    over the seeds: seeds that agree on every item leave an interval of some width, as one of them alone does."""
    changes = [[y - x for x, y in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]
    spread = across_seeds(changes, groups)
    over_items = differences(item_means(before), item_means(after), groups)
    if not math.isfinite(spread.standard_error):
        return spread
    error = max(over_items.standard_error, spread.standard_error)
    half = t_quantile(1 - ALPHA / 2, spread.df) * error
    ci95 = Interval(over_items.value - half, over_items.value + half)
    return spread._replace(value=over_items.value, standard_error=error, ci95=ci95)


def item_means(rows: Sequence[Sequence[float]]) -> list[float]:
    """Each item's mean over the seeds."""
    return [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]


def _degrees_of_freedom(variance: float, *parts: tuple[float, int]) -> float:
    """Of a variance put together from `parts`, each with how many levels it was taken over."""
    fewest, most = (pick(levels for _, levels in parts) - 1 for pick in (min, max))
    if fewest < 2 or variance == 0:
        return fewest
    whole = variance**2 / math.fsum(part**2 / (levels - 1) for part, levels in parts)
    return min(max(whole, fewest), most)


class Tested(NamedTuple):
    ci95: Interval
    p_value: float
    minimum_detectable_effect: float
    equivalence_p_value: float
    verdict: Verdict


def tested(value: float, error: float, df: float, margin: float) -> Tested:
    """A difference with its standard error, held against 0 and against the margin by t tests with `df` degrees of freedom.

    The minimum detectable effect is (t at 0.975 + t at 0.8) standard errors (Bloom 1995, Eval. Rev. 19:547-556), at most 1.
    """
    if df < 1 or not 0 < error < math.inf:
        return Tested(Interval(-math.inf, math.inf), 1.0, 1.0, 1.0, "cannot tell")
    half = t_quantile(1 - ALPHA / 2, df) * error
    ci95 = Interval(value - half, value + half)
    within = t_below(-(margin - abs(value)) / error, df)
    effect = min(1.0, (t_quantile(1 - ALPHA / 2, df) + t_quantile(POWER, df)) * error)
    verdict = verdict_of(ci95, Equivalence(within, within < ALPHA))
    return Tested(ci95, 2 * t_below(-abs(value) / error, df), effect, within, verdict)
