"""Several attempts at one item: pass@k, mean@k and maj@k."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction

from tunix_rt import errors


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that at least one of `k` attempts is right, from `correct` of `n` (Chen et al. 2021, arXiv:2107.03374).

    1 - C(n - c, k) / C(n, k), in exact integers: the unbiased estimate, unlike 1 - (1 - c / n)^k.
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise errors.Invalid(f"pass@k needs 1 <= k <= n and 0 <= correct <= n, not k {k!r}, n {n!r}, correct {correct!r}.")
    return float(1 - Fraction(math.comb(n - correct, k), math.comb(n, k)))


def mean_at_k(correct: Sequence[bool]) -> float:
    """The share of an item's attempts that are right."""
    if not correct:
        raise errors.Invalid("an item without attempts has no mean@k.")
    return sum(correct) / len(correct)


def maj_at_k(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """Whether the most frequent answer of the attempts is right; the leading answers of a tie count by equal shares.

    `answers` are in a form in which equal ones are the same answer; None is an attempt without one, which has no vote.
    Attempts that give one answer are judged alike, so an answer is right when the first attempt that gave it is.
    """
    right: dict[Hashable, bool] = {}
    votes: Counter[Hashable] = Counter()
    for answer, ok in zip(answers, correct, strict=True):
        if answer is not None:
            votes[answer] += 1
            right.setdefault(answer, ok)
    if not votes:
        return 0.0
    most = max(votes.values())
    leading = [answer for answer, count in votes.items() if count == most]
    return sum(right[answer] for answer in leading) / len(leading)
