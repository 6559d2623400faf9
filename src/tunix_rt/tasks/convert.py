"""Changing units: large to small, a mixed amount, and small to large after adding up."""

from typing import NamedTuple

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Noun, Quantity, calc, given, noun
from tunix_rt.tasks.rng import Rng


class Pair(NamedTuple):
    """A large and a small unit, and the largest sensible amount of the large one."""

    large: Noun
    small: Noun
    most: int


PAIRS = (
    Pair(noun("hour"), noun("minute"), 9),
    Pair(noun("minute"), noun("second"), 9),
    Pair(noun("day"), noun("hour"), 9),
    Pair(noun("week"), noun("day"), 12),
    Pair(noun("meter"), noun("centimeter"), 20),
    Pair(noun("kilometer"), noun("meter"), 9),
    Pair(noun("kilogram"), noun("gram"), 9),
    Pair(noun("liter"), noun("milliliter"), 9),
    Pair(noun("centimeter"), noun("millimeter"), 40),
    Pair(noun("foot", "feet"), noun("inch", "inches"), 9),
)
DOWN = {
    "down-many": "How many {smalls} are there in {amount:u}?",
    "down-convert": "Convert {amount:u} to {smalls}.",
    "down-express": "Express {amount:u} in {smalls}.",
    "down-same": "{amount:u} is the same as how many {smalls}?",
}
MIXED = {
    "mixed-many": "How many {smalls} are {amount:u} and {extra:u} together?",
    "mixed-convert": "Convert {amount:u} and {extra:u} to {smalls}.",
    "mixed-express": "Express {amount:u} and {extra:u} in {smalls} only.",
    "mixed-plus": "{amount:u} plus {extra:u} makes how many {smalls}?",
}
UP = {
    "up-many": "How many {larges} are {total:u}?",
    "up-convert": "Convert {total:u} to {larges}.",
    "up-express": "Express {total:u} in whole {larges}.",
    "up-each": "{times} times {each:u}: how many {larges} is that in total?",
}


def make(rng: Rng, level: int) -> Draft:
    pair = rng.pick(PAIRS)
    one = given(1, pair.large)
    unit = calc("convert", one, pair.large.one, pair.small.one, noun=pair.small)
    if level == 1:
        return _down(rng, pair, one, unit)
    if level == 2:
        return _mixed(rng, pair, one, unit)
    return _up(rng, pair, one, unit)


def _down(rng: Rng, pair: Pair, one: Quantity, unit: Quantity) -> Draft:
    amount = given(rng.between(2, pair.most), pair.large)
    form, prompt = phrase(rng, DOWN, amount=amount, smalls=pair.small.many)
    total = working.mul(unit, amount, pair.small)
    lines = (
        step("formula", f"{one:u} = {unit:u}", unit),
        step("compute", f"{total:eq} {total.unit}", total),
    )
    return Draft(form, prompt, f"{amount:u} in {pair.small.many}?", lines, f"{total}")


def _mixed(rng: Rng, pair: Pair, one: Quantity, unit: Quantity) -> Draft:
    amount = given(rng.between(2, min(pair.most, 9)), pair.large)
    extra = given(_part(rng, int(unit.value)), pair.small)
    form, prompt = phrase(rng, MIXED, amount=amount, extra=extra, smalls=pair.small.many)
    most = working.mul(unit, amount, pair.small)
    total = working.add(most, extra, pair.small)
    lines = (
        step("formula", f"{one:u} = {unit:u}", unit),
        step("compute", f"{most:eq} {most.unit}", most),
        step("compute", f"{total:eq} {total.unit}", total),
    )
    return Draft(form, prompt, f"{amount:u} {extra:u} in {pair.small.many}?", lines, f"{total}")


def _part(rng: Rng, unit: int) -> int:
    """Less than one large unit; round when the unit is big."""
    if unit >= 1_000:
        return rng.between(1, 19) * 50
    if unit >= 60:
        return rng.between(1, unit // 5 - 1) * 5
    return rng.between(1, unit - 1)


def _up(rng: Rng, pair: Pair, one: Quantity, unit: Quantity) -> Draft:
    amount = given(rng.between(2, min(pair.most, 12)), pair.large)
    total = given(int(unit.value * amount.value), pair.small)
    times = given(rng.pick([n for n in (2, 3, 4, 5, 6, 8, 10) if total.value % n == 0] or [1]))
    each = given(int(total.value // times.value), pair.small)
    asks = {form: text for form, text in UP.items() if times.value > 1 or form != "up-each"}
    form, prompt = phrase(rng, asks, total=total, times=times, each=each, larges=pair.large.many)
    added = working.mul(each, times, pair.small)
    answer = working.div(total, unit, pair.large)
    first = (step("compute", f"{added:eq} {added.unit}", added),) if form == "up-each" else ()
    lines = (
        *first,
        step("formula", f"{one:u} = {unit:u}", unit),
        step("compute", f"{answer:eq} {answer.unit}", answer),
    )
    terse = f"{times} * {each:u} in {pair.large.many}?" if first else f"{total:u} in {pair.large.many}?"
    return Draft(form, prompt, terse, lines, f"{answer}")


TASK = Task(
    name="convert",
    version=1,
    section="reasoning",
    about="units of time, length, mass and volume",
    forms=names(DOWN, MIXED, UP),
    capacity=(480, 4_000, 700),
    make=make,
)
