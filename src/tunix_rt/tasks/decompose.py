"""Multiplying by place value: split one factor, multiply the parts, add the products."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Line, Task, phrase, step
from tunix_rt.tasks.handles import calc, given
from tunix_rt.tasks.rng import Rng

FORMS = {
    "split": "Work out {a} * {b} by splitting {a} into its place values.",
    "parts": "Break {a} into parts to find {a} * {b}.",
    "times": "What is {a} times {b}? Use place values.",
    "product": "Find the product of {a} and {b} step by step.",
}


def make(rng: Rng, level: int) -> Draft:
    a, b = given(_factor(rng, level)), given(rng.between(2, 5) if level == 1 else rng.between(3, 9))
    form, prompt = phrase(rng, FORMS, a=a, b=b)
    parts = [calc("mul", part, b) for part in working.places(a)]
    lines: list[Line] = [step("decompose", f"{working.split(a):eq}", working.split(a))]
    lines += [step("compute", f"{part:eq}", part) for part in parts]
    sums = working.total(parts)
    lines += [step("compute", f"{running:eq}", running) for running in sums]
    return Draft(form, prompt, f"{a} * {b}?", tuple(lines), f"{sums[-1]}")


def _factor(rng: Rng, level: int) -> int:
    if level == 1:
        return rng.between(1, 5) * 10 + rng.between(1, 9)
    if level == 2:
        return rng.between(2, 9) * 10 + rng.between(1, 9)
    return rng.between(1, 4) * 100 + rng.between(1, 9) * 10 + rng.between(0, 9)


TASK = Task(
    name="decompose",
    version=1,
    section="reasoning",
    about="multiplication by place value",
    forms=tuple(FORMS),
    capacity=(720, 2_000, 10_000),
    make=make,
)
