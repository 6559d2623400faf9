"""Checking somebody's arithmetic: compute it, compare, and say yes or no, or give the right result."""

from collections.abc import Callable
from typing import NamedTuple

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import SYMBOLS, Quantity, assert_, given
from tunix_rt.tasks.lexicon import PEOPLE
from tunix_rt.tasks.rng import Rng

JUDGE = {
    "judge-equal": "Is {sum} equal to {claimed}? Check, then answer yes or no.",
    "judge-says": "{who} says that {sum} = {claimed}. Is that correct? Answer yes or no.",
    "judge-check": "Check this result and answer yes or no: {sum} = {claimed}.",
    "judge-make": "Does {sum} make {claimed}? Answer yes or no.",
}
MEND = {
    "mend-wrote": "{who} wrote {sum} = {claimed}, which is wrong. What is the correct result?",
    "mend-mistake": "There is a mistake in {sum} = {claimed}. What should the result be?",
    "mend-not": "{sum} is not {claimed}. What is it?",
    "mend-fix": "Correct the wrong result {sum} = {claimed} and give the right number.",
}


class Sum(NamedTuple):
    text: str
    result: Quantity


def make(rng: Rng, level: int) -> Draft:
    who = rng.pick(PEOPLE)
    asked = _sum(rng, level)
    mend = level > 1 and rng.chance(1, 3)
    claimed = asked.result if not mend and rng.chance(1, 2) else given(_near(rng, int(asked.result.value)))
    form, prompt = phrase(rng, MEND if mend else JUDGE, who=who, sum=asked.text, claimed=claimed)
    same = assert_("compare", asked.result, "=", claimed)
    verdict = f"{asked.result} and {claimed} are {'the same' if same.value else 'different'}"
    lines = [step("compute", f"{asked.result:eq}", asked.result)]
    if mend:
        lines.append(step("correct", f"{verdict}, so the correct result is {asked.result}", same))
        return Draft(form, prompt, f"{asked.text} = {claimed} is wrong. Correct result?", tuple(lines), f"{asked.result}")
    lines.append(step("verify", f"{verdict}, so the answer is {same}", same))
    return Draft(form, prompt, f"{asked.text} = {claimed}: yes or no?", tuple(lines), f"{same}")


def _sum(rng: Rng, level: int) -> Sum:
    op: str = rng.pick(("mul", "mul", "add", "sub"))
    a, b = (given(value) for value in _OPERANDS[op](rng, level))
    method: Callable[[Quantity, Quantity], Quantity] = {"mul": working.mul, "add": working.add, "sub": working.sub}[op]
    return Sum(f"{a} {SYMBOLS[op]} {b}", method(a, b))


def _factors(rng: Rng, level: int) -> tuple[int, int]:
    low, high = {1: (2, 10), 2: (11, 49), 3: (51, 99)}[level]
    return rng.between(low, high), rng.between(2, 9)


def _terms(rng: Rng, level: int) -> tuple[int, int]:
    """A number and a single digit at level 1; two numbers of equal length after that."""
    low, high = {1: (11, 69), 2: (21, 99), 3: (125, 450)}[level]
    return rng.between(low, high), rng.between(2, 9) if level == 1 else rng.between(low, high)


def _difference(rng: Rng, level: int) -> tuple[int, int]:
    a, b = sorted(_terms(rng, level), reverse=True)
    return a + 10, b


_OPERANDS = {"mul": _factors, "add": _terms, "sub": _difference}


def _near(rng: Rng, value: int) -> int:
    """A wrong result such as people write: off by one, two or ten, or with the last two digits swapped."""
    swapped = value // 100 * 100 + value % 10 * 10 + value // 10 % 10
    wrong = [value + 1, value - 1, value + 2, value + 10, value - 10 if value > 20 else value + 3]
    if value > 99 and swapped != value:
        wrong.append(swapped)
    return rng.pick(wrong)


TASK = Task(
    name="verify",
    version=1,
    section="reasoning",
    about="is a result right, and what is it",
    forms=names(JUDGE, MEND),
    capacity=(11_000, 17_000, 17_000),
    make=make,
)
