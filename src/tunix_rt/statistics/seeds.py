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
    Estimate,
    Interval,
    Verdict,
    clustered_standard_error,
    equivalence,
    p_of_interval,
    t_quantile,
    verdict_of,
)


class AcrossSeeds(NamedTuple):
    """The mean over seeds and items. `between` is the standard deviation of the seeds' own means, `by_seed` are those."""

    value: float
    standard_error: float
    seeds: int
    groups: int
    between: float
    by_seed: tuple[float, ...]
    ci95: Interval


def across_seeds(values: Sequence[Sequence[float]], groups: Sequence[Hashable]) -> AcrossSeeds:
    """`values[s][i]` is the score of item i under seed s, or its difference to a baseline; every seed has every item.

    The variance is clustered by seed and by group at once (Cameron, Gelbach & Miller 2011, JBES 29:238-249): that by seed,
    plus that by group, minus that by both, and never below the larger of the first two. The interval is t with the smaller
    of seeds - 1 and groups - 1 degrees of freedom; one seed or one group leaves it infinite.
    """
    if not values or not groups or any(len(row) != len(groups) for row in values):
        raise errors.Invalid("every seed needs a score for every item, and there has to be at least one of both.")
    flat = [value for row in values for value in row]
    by_seed = tuple(math.fsum(row) / len(row) for row in values)
    seeds, kinds = len(values), len(set(groups))
    centre = math.fsum(flat) / len(flat)
    between = math.sqrt(math.fsum((one - centre) ** 2 for one in by_seed) / (seeds - 1)) if seeds > 1 else math.nan
    if seeds < 2 or kinds < 2:
        return AcrossSeeds(centre, math.inf, seeds, kinds, between, by_seed, Interval(-math.inf, math.inf))
    labels = [(seed, group) for seed in range(seeds) for group in groups]
    seed_part = clustered_standard_error(flat, [seed for seed, _ in labels]) ** 2
    group_part = clustered_standard_error(flat, [group for _, group in labels]) ** 2
    both_part = clustered_standard_error(flat, labels) ** 2
    error = math.sqrt(max(seed_part + group_part - both_part, seed_part, group_part))
    half = t_quantile(1 - ALPHA / 2, min(seeds, kinds) - 1) * error
    return AcrossSeeds(centre, error, seeds, kinds, between, by_seed, Interval(centre - half, centre + half))


class Tested(NamedTuple):
    ci95: Interval
    p_value: float
    minimum_detectable_effect: float
    equivalence_p_value: float
    verdict: Verdict


def tested(value: float, error: float, df: int, margin: float) -> Tested:
    """A difference with its standard error, held against 0 and against the margin by t tests with `df` degrees of freedom.

    The minimum detectable effect is (t at 0.975 + t at 0.8) standard errors (Bloom 1995, Eval. Rev. 19:547-556), at most 1.
    """
    if df < 1 or not math.isfinite(error):
        return Tested(Interval(-math.inf, math.inf), 1.0, 1.0, 1.0, "cannot tell")
    half = t_quantile(1 - ALPHA / 2, df) * error
    ci95 = Interval(value - half, value + half)
    same = equivalence(Estimate(value, error, df + 1, ci95), margin)
    effect = min(1.0, (t_quantile(1 - ALPHA / 2, df) + t_quantile(POWER, df)) * error)
    return Tested(ci95, p_of_interval(value, half, df + 1), effect, same.p_value, verdict_of(ci95, same))
