"""Percentages: a part of a whole, what a cut or a gift leaves, and which percentage a part is."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import given, noun
from tunix_rt.tasks.lexicon import PEOPLE, THINGS, words
from tunix_rt.tasks.rng import Rng

CHILD = noun("child", "children")
DEAR = words("bicycle jacket table camera guitar carpet chair watch tent suitcase coat desk")  # tens of dollars or more
TENS, SHORTCUTS, HARDER = range(20, 100, 10), (10, 20, 25, 50), (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80)
STEPS = {10: 10, 50: 4, 20: 10, 25: 8, 30: 10, 40: 10, 60: 10, 70: 10, 80: 10, 90: 10, 75: 8, 5: 20, 15: 20}
"""Every multiple of STEPS[p] has a whole number as its p %, and as each intermediate value of the written method."""

PART = {
    "part-what": "What is {rate} of {whole}?",
    "part-find": "Find {rate} of {whole}.",
    "part-gives": "{who} has {whole:u} and gives away {rate} of them. How many {things} does {who} give away?",
    "part-camp": "There are {children:u} at a summer camp, and {rate} of them can swim. How many children can swim?",
}
LEFT = {
    "left-cut": "{A_good} costs {price}. The price is cut by {rate}. What is the new price?",
    "left-keeps": "{who} has {whole:u} and gives away {rate} of them. How many {things} are left?",
    "left-saves": "{who} has {price} and spends {rate} of it. How much money is left?",
    "left-ill": "There are {children:u} at a summer camp. One day {rate} of them are ill. How many children are not ill?",
}
SHARE = {
    "share-what": "What percent of {whole} is {part}?",
    "share-chess": "{part} out of {whole} children play chess. What percent of the children is that?",
    "share-test": "A test has {whole} questions. {who} answers {part} of them correctly. What percent is correct?",
    "share-seats": "A hall has {whole} seats and {part} of them are taken. What percent of the seats are taken?",
}


def make(rng: Rng, level: int) -> Draft:
    if level < 3:
        return _part(rng, level)
    return _left(rng) if rng.chance(2, 3) else _share(rng)


def _part(rng: Rng, level: int) -> Draft:
    """Tens of a round number by way of one tenth at level 1; the rates that are one division at level 2."""
    who, thing = rng.pick(PEOPLE), rng.pick(THINGS)
    rate = given(rng.pick(TENS if level == 1 else SHORTCUTS), style="percent")
    whole = given(10 * rng.between(2, 9) if level == 1 else _divisible(rng, working.DIVISORS[int(rate.value)]), thing)
    form, prompt = phrase(rng, PART, who=who, rate=rate, whole=whole, things=thing.many, children=whole.named(CHILD))
    parts = working.percent(rate, whole)
    divisor = given(working.DIVISORS.get(int(rate.value), 10))
    plan = (step("plan", f"{rate} means divide by {divisor}"),) if len(parts) == 1 else ()
    lines = (*plan, *(step("compute", f"{part:eq}", part) for part in parts))
    return Draft(form, prompt, f"{rate} of {whole}?", lines, f"{parts[-1]}")


def _divisible(rng: Rng, divisor: int) -> int:
    """A multiple that is not round, so that dividing is the shorter way; tenths need a round one."""
    factor = rng.between(3, 19)
    return divisor * (factor if divisor == 10 or divisor * factor % 10 else factor + 1)


def _left(rng: Rng) -> Draft:
    who, thing, good = rng.pick(PEOPLE), rng.pick(THINGS), rng.pick(DEAR)
    number = rng.pick(HARDER)
    rate, amount = given(number, style="percent"), STEPS[number] * rng.between(2, 12)
    plain, price = given(amount, thing), given(amount, style="dollars")
    nouns = {"who": who, "things": thing.many, "A_good": f"A {good}"}
    form, prompt = phrase(rng, LEFT, rate=rate, whole=plain, price=price, children=plain.named(CHILD), **nouns)
    whole = price if form in ("left-cut", "left-saves") else plain
    parts = working.percent(rate, whole)
    left = working.sub(whole, parts[-1])
    lines = (*(step("compute", f"{part:eq}", part) for part in parts), step("compute", f"Left: {left:eq}", left))
    return Draft(form, prompt, f"{whole} minus {rate} of it?", lines, f"{left}")


def _share(rng: Rng) -> Draft:
    who = rng.pick(PEOPLE)
    tenth, tens = rng.between(2, 12), given(rng.between(1, 9))
    whole, part = given(tenth * 10), given(tenth * int(tens.value))
    form, prompt = phrase(rng, SHARE, who=who, whole=whole, part=part)
    ten = given(10, style="percent")
    unit = working.percent(ten, whole)[-1]
    times = working.div(part, unit)
    share = working.mul(times, ten)
    lines = (
        step("compute", f"{unit:eq}", unit),
        step("compute", f"{times:eq}", times),
        step("compute", f"{share:eq}", share),
    )
    return Draft(form, prompt, f"{part} of {whole} in percent?", lines, f"{share}")


TASK = Task(
    name="percent",
    version=1,
    section="reasoning",
    about="a part, the rest, or the percentage",
    forms=names(PART, LEFT, SHARE),
    capacity=(4_500, 4_500, 8_500),
    make=make,
)
