"""Which trials to stop early, by the held-out loss: pure functions of curves.

A curve is points of (tokens trained on so far, loss). Trials are compared at equal tokens, not at equal steps: a step of one
may hold many times the tokens of a step of another.
"""

from collections.abc import Sequence
from statistics import median

from tunix_rt.sweeps.specs import Asha, Median

Curve = Sequence[tuple[int, float]]


def hopeless(rule: Median | Asha, curve: Curve, looked: int, completed: Sequence[Curve], others: Sequence[Curve]) -> bool:
    """Whether to stop the trial of this curve, of which all but the points after the first `looked` were judged before.

    `completed` are the curves of completed trials, `others` those of all trials but this one.
    """
    finished = [points for points in completed if points]
    if not finished:
        return False
    whole = min(points[-1][0] for points in finished)
    if isinstance(rule, Asha):
        return _beaten(rule, curve, looked, whole, others)
    return any(_above_median(rule, curve[: n + 1], whole, finished) for n in range(looked, len(curve)))


def best(curve: Curve, tokens: float) -> float | None:
    """The lowest loss after at most so many tokens; None before the first point."""
    return min((loss for at, loss in curve if at <= tokens), default=None)


def _above_median(rule: Median, curve: Curve, whole: int, finished: Sequence[Curve]) -> bool:
    tokens = curve[-1][0]
    found = [loss for points in finished if (loss := best(points, tokens)) is not None]
    if tokens < rule.warmup * whole or len(found) < rule.startup:
        return False
    return min(loss for _, loss in curve) > median(found)


def _beaten(rule: Asha, curve: Curve, looked: int, whole: int, others: Sequence[Curve]) -> bool:
    """At each rung that the new points pass, among all that have come as far."""
    for power in range(rule.rungs, 0, -1):
        rung = whole / rule.reduction**power
        passed = next((n for n, (tokens, _) in enumerate(curve) if tokens >= rung), None)
        if passed is None or passed < looked:
            continue
        mine = min(loss for _, loss in curve[: passed + 1])
        better = sum(1 for points in others if (loss := _at(points, rung)) is not None and loss < mine)
        come = 1 + sum(_at(points, rung) is not None for points in others)
        if better >= max(1, come // rule.reduction):
            return True
    return False


def _at(curve: Curve, rung: float) -> float | None:
    """The lowest loss up to the first point at or after the rung; None for a trial that has not come so far."""
    passed = next((tokens for tokens, _ in curve if tokens >= rung), None)
    return None if passed is None else best(curve, passed)
