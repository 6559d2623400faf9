"""Intervals and paired tests for scores between 0 and 1, where items of one template group are not independent.

Items made from one template succeed and fail together, so intervals over items alone are too narrow: groups, not items,
carry the information. Nothing here is surer than its data: no observed variation still leaves an interval of some
width, and a single group leaves the whole range. Sums are exact (`math.fsum`), so the order of items does not matter.
"""

import importlib
import math
from collections.abc import Hashable, Sequence
from typing import Any, Literal, NamedTuple

from tunix_rt import errors

Verdict = Literal["better", "worse", "equivalent", "cannot tell"]
ALPHA = 0.05
POWER = 0.8


class Interval(NamedTuple):
    low: float
    high: float


class Estimate(NamedTuple):
    """A mean with its standard error, the number of groups behind it and its 95 % interval."""

    value: float
    standard_error: float
    groups: int
    ci95: Interval


class Equivalence(NamedTuple):
    """`p_value` of the two one-sided tests together; small means the difference lies within the margin."""

    p_value: float
    equivalent: bool


class Paired(NamedTuple):
    """Candidate minus baseline on the same items. `fixed` items score higher than before, `broken` ones lower."""

    n: int
    groups: int
    difference: float
    ci95: Interval
    p_value: float
    fixed: int
    broken: int
    minimum_detectable_effect: float
    equivalence_p_value: float
    verdict: Verdict


class _Pseudo(NamedTuple):
    """Imagined observations that keep the standard error of 0/1 scores honest: how many, their sum, sum of squares."""

    n: float
    total: float
    squares: float


_TWO_OF_EACH = _Pseudo(4, 2, 2)  # two zeros and two ones
_HALF_PER_CELL = _Pseudo(2, 0, 1)  # half an item in each cell of the 2 x 2 table of a pair


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a rate (Wilson 1927, JASA 22:209-212, without continuity correction)."""
    if n < 1 or not 0 <= successes <= n:
        raise errors.Invalid(f"a rate needs 0 <= successes <= n and n >= 1, not {successes!r} of {n!r}.")
    return _score_interval(successes / n, n, float(_special().ndtri(0.5 + confidence / 2)))


def _score_interval(rate: float, n: float, z: float) -> Interval:
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Interval(0.0 if rate == 0 else centre - half, 1.0 if rate == 1 else centre + half)


def clustered_standard_error(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """Cluster-robust (CR1) standard error of the mean (Cameron & Miller 2015, J. Human Resources 50:317-372).

    With residuals e: sqrt(G / (G - 1) * sum over groups of (sum of e in the group)^2) / n; infinite for a single group.
    With every item its own group this is the ordinary s / sqrt(n).
    """
    centre = math.fsum(values) / len(values)
    residuals: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        residuals.setdefault(group, []).append(value - centre)
    count = len(residuals)
    if count < 2:
        return math.inf
    squares = math.fsum(math.fsum(part) ** 2 for part in residuals.values())
    return math.sqrt(count / (count - 1) * squares) / len(values)


def mean(values: Sequence[float], groups: Sequence[Hashable] | None = None) -> Estimate:
    """The mean of scores in [0, 1] with its clustered interval: t with G - 1 degrees of freedom, clipped to [0, 1].

    For scores of 0 and 1 the interval is Wilson's for as many independent items as these are worth, their number divided by
    the design effect, with t for z (Franco et al. 2019, J. Surv. Stat. Methodol. 7:334-364): near 0 and 1 a symmetric one
    covers too rarely. Their standard error is the larger of the clustered one and that of independent items with two zeros
    and two ones added (Agresti & Coull 1998, Am. Stat. 52:119-126): all items right does not read as certainty.
    """
    found = _estimate(_scores(values), groups, _TWO_OF_EACH, Interval(0.0, 1.0))
    if found.groups < 2 or not set(values) <= {0, 1}:
        return found
    labels = range(len(values)) if groups is None else groups
    independent = found.value * (1 - found.value) / len(values)
    design_effect = max(1.0, clustered_standard_error(values, labels) ** 2 / independent) if independent else 1.0
    worth, t = len(values) / design_effect, t_quantile(1 - ALPHA / 2, found.groups - 1)
    return found._replace(ci95=_score_interval(found.value, worth, t))


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided McNemar mid-p of the discordant pairs (Fagerland, Lydersen & Laake 2013, BMC Med. Res. Meth. 13:91).

    Twice the binomial(fixed + broken, 1/2) probability of fewer than the smaller count, plus that of exactly it. Exact
    integer arithmetic; 1 when the counts are equal.
    """
    discordant, smaller = fixed + broken, min(fixed, broken)
    at = math.comb(discordant, smaller)
    term, below = at, 0
    for k in range(smaller, 0, -1):
        term = term * k // (discordant - k + 1)
        below += term
    return (2 * below + at) / (1 << discordant)


def minimum_detectable_effect(n: float, discordance: float, df: float = math.inf) -> float:
    """The smallest true difference that `n` independent pairs detect with power 0.8 at two-sided alpha 0.05.

    Solves sqrt(n) d = t_a sqrt(p) + t_b sqrt(p - d^2) for d, p being the share of discordant pairs (Connor 1987,
    Biometrics 43:207-211), with t quantiles at `df` in place of normal ones (Bloom 1995, Eval. Rev. 19:547-556).
    No difference exceeds the share of discordant pairs, so where d would, p = d. At most 1, which may mean none at all.
    """
    if df < 1:
        return 1.0
    a, b = t_quantile(1 - ALPHA / 2, df), t_quantile(POWER, df)
    square = b * b * (n + b * b - a * a)
    if square < 0:
        return 1.0
    effect = math.sqrt(discordance) * (a * math.sqrt(n) + math.sqrt(square)) / (n + b * b)
    return effect if effect <= discordance else _one_way_effect(n, a, b)


def _one_way_effect(n: float, a: float, b: float) -> float:
    """The same equation with p = d, every discordant pair pointing one way: sqrt(n d) = a + b sqrt(1 - d), by bisection."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.sqrt(n * middle) < a + b * math.sqrt(1 - middle) else (low, middle)
    return high


def equivalence(difference: Estimate, margin: float) -> Equivalence:
    """Two one-sided t tests of |difference| < margin (Schuirmann 1987, J. Pharmacokin. Biopharm. 15:657-680)."""
    if not 0 < margin < 1:
        raise errors.Invalid(f"the margin is {margin!r}; it must lie between 0 and 1 (0.05 is five points).")
    if difference.groups < 2:
        return Equivalence(1.0, False)
    room = (margin - abs(difference.value)) / difference.standard_error
    p_value = t_below(-room, difference.groups - 1)
    return Equivalence(p_value, p_value < ALPHA)


def one_sided_bounds(difference: Estimate, alpha: float = ALPHA) -> Interval:
    """The lower and the upper bound that each hold with confidence 1 - alpha on their own; infinite for a single group."""
    if difference.groups < 2:
        return Interval(-math.inf, math.inf)
    half = t_quantile(1 - alpha, difference.groups - 1) * difference.standard_error
    return Interval(difference.value - half, difference.value + half)


def p_value(difference: Estimate) -> float:
    """Two-sided p of the clustered t test that it is 0; 1 for a single group or no difference."""
    if difference.groups < 2 or difference.value == 0:
        return 1.0
    if difference.standard_error == 0:
        return 0.0
    return 2 * t_below(-abs(difference.value) / difference.standard_error, difference.groups - 1)


def differences(baseline: Sequence[float], candidate: Sequence[float], groups: Sequence[Hashable] | None = None) -> Estimate:
    """The estimate of candidate minus baseline that `paired` rests on."""
    pairs = zip(_scores(baseline), _scores(candidate), strict=True)
    return _estimate([after - before for before, after in pairs], groups, _HALF_PER_CELL, Interval(-1.0, 1.0))


def paired(
    baseline: Sequence[float],
    candidate: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    margin: float = 0.05,
) -> Paired:
    """Compare two lists of scores in [0, 1] of the same items in the same order.

    The interval is clustered by `groups`; without them every item counts as independent. For scores of 0 and 1 its
    standard error is the larger of the clustered one and that of independent pairs with half a pair added to each cell
    (Agresti & Min 2005, Stat. Med. 24:729-740). `p_value` is McNemar's mid-p and knows no groups, so the verdict rests
    on the interval: better or worse when it excludes zero, else equivalent when the two one-sided tests put it within
    the margin, else cannot tell.
    """
    pairs = list(zip(_scores(baseline), _scores(candidate), strict=True))
    differences = [after - before for before, after in pairs]
    estimate = _estimate(differences, groups, _HALF_PER_CELL, Interval(-1.0, 1.0))
    fixed = sum(after > before for before, after in pairs)
    broken = sum(after < before for before, after in pairs)
    same = equivalence(estimate, margin)
    return Paired(
        n=len(pairs),
        groups=estimate.groups,
        difference=estimate.value,
        ci95=estimate.ci95,
        p_value=mcnemar(fixed, broken),
        fixed=fixed,
        broken=broken,
        minimum_detectable_effect=_detectable(differences, estimate),
        equivalence_p_value=same.p_value,
        verdict=verdict_of(estimate.ci95, same),
    )


def _scores(values: Sequence[float]) -> Sequence[float]:
    if not values:
        raise errors.Invalid("there are no items, so there is nothing to estimate.")
    outside = next((value for value in values if not 0 <= value <= 1), None)
    if outside is not None:
        raise errors.Invalid(f"the score {outside!r} is not between 0 and 1.")
    return values


def _estimate(values: Sequence[float], groups: Sequence[Hashable] | None, pseudo: _Pseudo, limits: Interval) -> Estimate:
    labels = range(len(values)) if groups is None else groups
    value, count = math.fsum(values) / len(values), len(set(labels))
    if count < 2:
        return Estimate(value, math.inf, count, limits)
    error = max(clustered_standard_error(values, labels), _least_error(values, pseudo))
    half = t_quantile(1 - ALPHA / 2, count - 1) * error
    return Estimate(value, error, count, Interval(max(limits.low, value - half), min(limits.high, value + half)))


def _least_error(values: Sequence[float], pseudo: _Pseudo) -> float:
    """The standard error of independent 0/1 items or their differences with `pseudo` added.

    Other scores get no such floor, unless they are all alike: half an item of difference 1 would drown small ones.
    """
    if len(set(values)) > 1 and not set(values) <= {-1, 0, 1}:
        return 0.0
    n = len(values) + pseudo.n
    centre = (math.fsum(values) + pseudo.total) / n
    return math.sqrt(((math.fsum(v * v for v in values) + pseudo.squares) / n - centre * centre) / n)


def _detectable(differences: Sequence[float], estimate: Estimate) -> float:
    """At this discordance and this many items, divided by how much the groups inflate the variance (design effect)."""
    if estimate.groups < 2:
        return 1.0
    n = len(differences)
    discordance = (math.fsum(d * d for d in differences) + _HALF_PER_CELL.squares) / (n + _HALF_PER_CELL.n)
    independent = max(
        clustered_standard_error(differences, range(n)),
        _least_error(differences, _HALF_PER_CELL),
    )
    design_effect = max(1.0, (estimate.standard_error / independent) ** 2)
    return minimum_detectable_effect(n / design_effect, discordance, estimate.groups - 1)


def verdict_of(ci95: Interval, same: Equivalence) -> Verdict:
    if ci95.low > 0:
        return "better"
    if ci95.high < 0:
        return "worse"
    return "equivalent" if same.equivalent else "cannot tell"


def t_quantile(p: float, df: float) -> float:
    """Of Student's distribution, or of the normal one for infinite `df`."""
    return float(_special().stdtrit(df, p) if math.isfinite(df) else _special().ndtri(p))


def t_below(value: float, df: float) -> float:
    """The probability that a number of Student's distribution is below `value`."""
    return float(_special().stdtr(df, value))


def _special() -> Any:
    """SciPy's distributions: 27 MB and a fifth of a second, for those who compare."""
    return importlib.import_module("scipy.special")
