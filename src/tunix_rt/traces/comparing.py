"""Two traces side by side: where the second leaves the first."""

from tunix_rt.traces import Step, Trace
from tunix_rt.values import Value


class Pair(Value):
    """The steps at one place; None where a trace has no step any more. Claims and types are not looked at, only words are."""

    i: int
    same: bool
    a: Step | None
    b: Step | None


class Divergence(Value):
    """`first_difference` is the number of the first step that differs, None when all are the same."""

    a: str
    b: str
    same_prompt: bool
    same_answer: bool
    first_difference: int | None
    steps: tuple[Pair, ...]


def compare(a: Trace, b: Trace) -> Divergence:
    """Step by step, by their text up to white space."""
    pairs = tuple(_pair(i, a, b) for i in range(max(len(a.steps), len(b.steps))))
    return Divergence(
        a=a.id,
        b=b.id,
        same_prompt=_same(a.prompt, b.prompt),
        same_answer=_same(a.final_answer, b.final_answer),
        first_difference=next((pair.i for pair in pairs if not pair.same), None),
        steps=pairs,
    )


def _pair(i: int, a: Trace, b: Trace) -> Pair:
    one = a.steps[i] if i < len(a.steps) else None
    other = b.steps[i] if i < len(b.steps) else None
    return Pair(i=i + 1, same=bool(one and other and _same(one.content, other.content)), a=one, b=other)


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
