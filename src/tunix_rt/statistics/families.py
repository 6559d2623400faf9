"""Several tests read as one table."""

from collections.abc import Sequence

from tunix_rt import errors


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979, Scand. J. Stat. 6:65-70): one below alpha holds for the whole table.

    The i-th smallest of m is multiplied by m - i + 1, made no smaller than the one before it, and cut at 1.
    """
    outside = next((p for p in p_values if not 0 <= p <= 1), None)
    if outside is not None:
        raise errors.Invalid(f"the p-value {outside!r} is not between 0 and 1.")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted
