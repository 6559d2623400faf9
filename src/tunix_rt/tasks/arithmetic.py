"""Bare sums: the written methods with no story around them."""

from collections.abc import Callable

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Line, Task, names, phrase, step
from tunix_rt.tasks.handles import SYMBOLS, Quantity, given
from tunix_rt.tasks.rng import Rng

ANY = {
    "any-what": "What is {sum}?",
    "any-calculate": "Calculate {sum}.",
    "any-work": "Work out {sum}.",
    "any-bare": "{sum} = ?",
}
METHODS: dict[str, Callable[[Quantity, Quantity], Quantity]] = {
    "add": working.add, "sub": working.sub, "mul": working.mul, "div": working.div,
}  # fmt: skip


def make(rng: Rng, level: int) -> Draft:
    if level == 3 and rng.chance(1, 2):
        return _two(rng)
    op = rng.pick(tuple(METHODS))
    a, b = (given(value) for value in _operands(rng, op, level))
    result = METHODS[op](a, b)
    text = f"{a} {SYMBOLS[op]} {b}"
    form, prompt = phrase(rng, ANY, sum=text)
    lines = tuple(step("decompose", f"{number:eq}", number) for number in _splits(op, a, b, result))
    return Draft(form, prompt, text, (*lines, step("compute", f"{result:eq}", result)), f"{result}")


def _splits(op: str, a: Quantity, b: Quantity, result: Quantity) -> list[Quantity]:
    """The numbers that the written method takes apart, none where it goes directly."""
    if op == "div":
        return [working.chunks(a, b)] if len(working.places(result)) > 1 else []
    taken = a if op == "mul" else b
    direct = len(working.places(taken)) < 2 or (op == "add" and len(working.places(a)) < 2)
    return [] if direct else [working.split(taken)]


def _operands(rng: Rng, op: str, level: int) -> tuple[int, int]:
    """Facts and single digits at level 1, two figures at level 2, three at level 3."""
    if op == "mul":
        return rng.between(*((2, 10), (11, 49), (51, 99))[level - 1]), rng.between(2, 9)
    if op == "div":
        b = rng.between(2, 9)
        return b * rng.between(*((2, 10), (11, 19), (21, 49))[level - 1]), b
    low, high = ((11, 79), (11, 89), (101, 480))[level - 1]
    a, b = rng.between(low, high), rng.between(2, 9) if level == 1 else rng.between(low, high)
    return (max(a, b) + 7, min(a, b)) if op == "sub" else (a, b)


def _two(rng: Rng) -> Draft:
    """Brackets first, or times before plus."""
    a, b, c = given(rng.between(3, 20)), given(rng.between(2, 9)), given(rng.between(2, 30))
    lines: tuple[Line, ...]
    if rng.chance(1, 2):
        text, inner = f"{a} * {b} + {c}", working.mul(a, b)
        result = working.add(inner, c)
        lines = (step("plan", "Multiply first, then add."),)
    else:
        text, inner = f"({a} + {c}) * {b}", working.add(a, c)
        result = working.mul(inner, b)
        lines = (step("plan", "Brackets first, then multiply."),)
    form, prompt = phrase(rng, ANY, sum=text)
    lines += (step("compute", f"{inner:eq}", inner), step("compute", f"{result:eq}", result))
    return Draft(form, prompt, text, lines, f"{result}")


TASK = Task(
    name="arithmetic",
    version=1,
    section="synthetic",
    about="sums without a story",
    forms=names(ANY),
    capacity=(4_500, 10_000, 15_000),
    make=make,
)
