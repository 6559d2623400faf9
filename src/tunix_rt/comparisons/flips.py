"""Item by item what changed between two evaluations, and the first step at which the two outputs part ways."""

from collections.abc import Sequence
from typing import NamedTuple

from tunix_rt import scoring
from tunix_rt.comparisons.pairs import Change, Evaluation, change_of, pairs_of
from tunix_rt.scoring import Prediction
from tunix_rt.values import Value


class Divergence(NamedTuple):
    """The first step that differs, from 1; `before` or `after` is None where one has ended already."""

    step: int
    before: str | None
    after: str | None


class Flip(Value):
    """`diverges_at` is None when both wrote the same steps, or neither wrote any in the taught form."""

    item: str
    group: str
    change: Change
    diverges_at: int | None
    step_before: str | None
    step_after: str | None
    answer_before: str | None
    answer_after: str | None


def flips(a: Evaluation, b: Evaluation, changes: Sequence[Change] = ("fixed", "broken", "both wrong")) -> list[Flip]:
    """The items whose change is one of these, in the order of the changes and then by item."""
    before = {row.item: row for row in a.predictions}
    after = {row.item: row for row in b.predictions}
    found = []
    for one, other in pairs_of(a, b):
        change = change_of(one.strict, other.strict)
        if change in changes:
            apart = diverging(before[one.item], after[one.item])
            found.append(
                Flip(
                    item=one.item,
                    group=one.group,
                    change=change,
                    diverges_at=apart.step if apart else None,
                    step_before=apart.before if apart else None,
                    step_after=apart.after if apart else None,
                    answer_before=one.answer,
                    answer_after=other.answer,
                )
            )
    return sorted(found, key=lambda flip: (list(changes).index(flip.change), flip.item))


def diverging(one: Prediction, other: Prediction) -> Divergence | None:
    """Steps are compared as answers are: blanks and a final full stop make no difference."""
    first, second = one.steps, other.steps
    for at in range(max(len(first), len(second))):
        left = first[at] if at < len(first) else None
        right = second[at] if at < len(second) else None
        if left is None or right is None or scoring.normalise(left) != scoring.normalise(right):
            return Divergence(at + 1, left, right)
    return None
