"""One unknown: undo the addition, then the multiplication, then check."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Quantity, calc, given
from tunix_rt.tasks.rng import Rng

ONE = {
    "one-solve": "Solve for x: {equation}.",
    "one-find": "Find x if {equation}.",
    "one-value": "What value of x makes {equation} true?",
    "one-number": "Which number x satisfies {equation}?",
}
TWO = {
    "two-solve": "Solve the equation {equation} for x.",
    "two-think": "I think of a number, multiply it by {a} and {change}. The result is {c}. What is my number?",
    "two-what": "If {equation}, what is x?",
    "two-unknown": "The unknown x satisfies {equation}. Find it.",
}
BOTH = {
    "both-solve": "Solve for x: {equation}.",
    "both-equal": "For which x are {left} and {right} equal?",
    "both-given": "Given that {equation}, find x.",
    "both-sides": "Find the x for which both sides are equal: {equation}.",
}


def make(rng: Rng, level: int) -> Draft:
    if level == 1:
        return _one(rng)
    if level == 2:
        return _two(rng)
    return _both(rng)


def _one(rng: Rng) -> Draft:
    x, kind = given(rng.between(3, 40)), rng.pick(("add", "sub", "mul"))
    if kind == "mul":
        x, b = given(rng.between(2, 12)), given(rng.between(2, 9))
        c = given(int(x.value * b.value))
        equation, answer = f"{b} * x = {c}", working.div(c, b)
    elif kind == "add":
        b = given(rng.between(3, 40))
        c = given(int(x.value + b.value))
        equation, answer = f"x + {b} = {c}", working.sub(c, b)
    else:
        b = given(rng.between(2, int(x.value) - 1))
        c = given(int(x.value - b.value))
        equation, answer = f"x - {b} = {c}", working.add(c, b)
    form, prompt = phrase(rng, ONE, equation=equation)
    undo = {"add": "subtract", "sub": "add", "mul": "divide by"}[kind]
    lines = (step("plan", f"{equation}, so {undo} {b}"), step("compute", f"x = {answer:eq}", answer))
    return Draft(form, prompt, f"{equation}; x?", lines, f"{answer}")


def _two(rng: Rng) -> Draft:
    x, a, b = given(rng.between(2, 12)), given(rng.between(2, 9)), given(rng.between(1, 20))
    product = int(x.value * a.value)
    minus = rng.chance(1, 2) and product > b.value
    c = given(product - int(b.value) if minus else product + int(b.value))
    sign, change = ("-", f"subtract {b}") if minus else ("+", f"add {b}")
    equation = f"{a} * x {sign} {b} = {c}"
    form, prompt = phrase(rng, TWO, equation=equation, a=a, c=c, change=change)
    rest = working.add(c, b) if minus else working.sub(c, b)
    answer = working.div(rest, a)
    solved = calc("solve", a, -int(b.value) if minus else b, c)
    lines = (
        step("compute", f"{a} * x = {rest:eq}", rest),
        step("compute", f"x = {answer:eq}", answer),
        step("verify", f"{a} * {answer} {sign} {b} = {c}, so x = {answer}", solved),
    )
    return Draft(form, prompt, f"{equation}; x?", lines, f"{answer}")


def _both(rng: Rng) -> Draft:
    x, d = given(rng.between(2, 10)), rng.between(2, 5)
    more = rng.between(2, 5)
    a, b = given(d + more), given(rng.between(1, 15))
    right = given(int(x.value) * more + int(b.value))
    few: Quantity = given(d)
    one, other = f"{a} * x + {b}", f"{few} * x + {right}"
    equation = f"{one} = {other}"
    form, prompt = phrase(rng, BOTH, equation=equation, left=one, right=other)
    many, rest = calc("sub", a, few), working.sub(right, b)
    answer = working.div(rest, many)
    lines = (
        step("transform", f"x on the left: {many:eq}", many),
        step("transform", f"numbers on the right: {rest:eq}", rest),
        step("compute", f"{many} * x = {rest}, so x = {answer:eq}", answer),
    )
    return Draft(form, prompt, f"{equation}; x?", lines, f"{answer}")


TASK = Task(
    name="equation",
    version=2,
    section="reasoning",
    about="linear equations in one unknown",
    forms=names(ONE, TWO, BOTH),
    capacity=(5_000, 7_500, 6_000),
    make=make,
)
