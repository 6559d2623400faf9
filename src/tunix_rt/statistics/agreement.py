"""How far two judges of the same items agree, beyond what chance would bring about."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from tunix_rt import errors
from tunix_rt.statistics.estimates import Interval, mean, t_quantile

_ALL = Interval(-1.0, 1.0)


class Agreement(NamedTuple):
    """`share` of the n items have the same verdict from both. `kappa` is None when chance alone explains all agreement:
    when both say one and the same thing of every item."""

    n: int
    groups: int
    share: float
    ci95: Interval
    kappa: float | None
    kappa_ci95: Interval | None


def agreement(one: Sequence[bool], other: Sequence[bool], groups: Sequence[Hashable]) -> Agreement:
    """Cohen's kappa (1960) of two verdicts an item, with intervals clustered by group.

    The interval of kappa is t with groups - 1 degrees of freedom around a standard error by the jackknife that leaves out one
    group at a time; with a single group, or when leaving one out leaves kappa undefined, it is the whole range.
    """
    if not one or not len(one) == len(other) == len(groups):
        raise errors.Invalid("agreement needs two verdicts and a group for each item, and at least one item.")
    counts: dict[Hashable, list[int]] = {}
    for a, b, group in zip(one, other, groups, strict=True):
        counts.setdefault(group, [0, 0, 0, 0])[2 * a + b] += 1
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    same = mean([float(a == b) for a, b in zip(one, other, strict=True)], groups)
    kappa = _kappa(total)
    interval = None if kappa is None else _jackknife(kappa, total, list(counts.values()))
    return Agreement(len(one), len(counts), same.value, same.ci95, kappa, interval)


def _kappa(cells: Sequence[int]) -> float | None:
    """`cells`: neither, only the second, only the first, both."""
    n = sum(cells)
    if n == 0:
        return None
    neither, second, first, both = cells
    by_chance = ((first + both) * (second + both) + (neither + second) * (neither + first)) / n**2
    return None if by_chance == 1 else ((neither + both) / n - by_chance) / (1 - by_chance)


def _jackknife(kappa: float, total: Sequence[int], parts: Sequence[Sequence[int]]) -> Interval:
    left = [_kappa([whole - part for whole, part in zip(total, cells, strict=True)]) for cells in parts]
    known = [value for value in left if value is not None]
    if len(known) < len(left) or len(left) < 2:
        return _ALL
    size, centre = len(known), math.fsum(known) / len(known)
    error = math.sqrt((size - 1) / size * math.fsum((value - centre) ** 2 for value in known))
    half = t_quantile(0.975, size - 1) * error
    return Interval(max(-1.0, kappa - half), min(1.0, kappa + half))
