"""The cluster bootstrap: whole template groups are drawn again, so what is alike within them stays alike."""

import importlib
import math
from collections.abc import Hashable, Sequence
from typing import Any

from tunix_rt import errors
from tunix_rt.statistics.estimates import Interval

DRAWS = 10_000


def cluster_bootstrap(
    values: Sequence[float], groups: Sequence[Hashable], seed: int, draws: int = DRAWS, confidence: float = 0.95
) -> Interval:
    """Percentile interval of the mean over `draws` resamples of the groups (Field & Welsh 2007, JRSS B 69:369-390).

    The same values in the same order and the same seed give the same interval. Fewer than two groups say nothing: the
    interval is infinite. Percentile intervals are a little short for few groups; verdicts rest on the t interval.
    """
    if not values:
        raise errors.Invalid("there are no items, so there is nothing to resample.")
    numpy: Any = importlib.import_module("numpy")  # not for those who only count
    parts: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        parts.setdefault(group, []).append(value)
    if len(parts) < 2:
        return Interval(-math.inf, math.inf)
    sums = numpy.array([math.fsum(part) for part in parts.values()])
    sizes = numpy.array([len(part) for part in parts.values()], dtype=float)
    generator = numpy.random.Generator(numpy.random.PCG64(seed))
    times = generator.multinomial(len(parts), [1 / len(parts)] * len(parts), size=draws)
    means = (times @ sums) / (times @ sizes)
    low, high = numpy.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
