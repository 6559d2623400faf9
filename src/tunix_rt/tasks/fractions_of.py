"""A fraction of an amount: divide by the lower number, multiply by the upper one."""

from fractions import Fraction

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import given
from tunix_rt.tasks.lexicon import PAINTED, PEOPLE
from tunix_rt.tasks.rng import Rng

PART = {
    "part-what": "What is {top}/{bottom} of {whole}?",
    "part-find": "Find {top}/{bottom} of {whole}.",
    "part-red": "{who} has {whole:u}, and {top}/{bottom} of them are {color}. How many {things} are {color}?",
    "part-gives": "{who} gives {top}/{bottom} of {his} {whole:u} to {friend}. How many {things} does {friend} get?",
}
REST = {
    "rest-bag": "A bag holds {whole:u}. {who} takes out {top}/{bottom} of them. How many {things} stay in the bag?",
    "rest-sold": "{who} sells {top}/{bottom} of {whole:u}. How many {things} does {who} still have?",
    "rest-left": "{who} has {whole:u} and gives away {top}/{bottom} of them. How many {things} are left?",
    "rest-other": "Of {whole:u}, {top}/{bottom} are {color}. How many are not {color}?",
}
COLORS = ("red", "blue", "green", "yellow", "white")


def make(rng: Rng, level: int) -> Draft:
    who, friend = rng.some(PEOPLE, 2)
    thing = rng.pick(PAINTED)
    share = Fraction(1, rng.between(2, 6)) if level == 1 else rng.pick(_PROPER)
    whole = given(share.denominator * rng.between(2, 9 if level < 3 else 12), thing)
    top, bottom = given(share.numerator), given(share.denominator)
    words = {"who": who, "friend": friend, "his": who.his, "things": thing.many, "color": rng.pick(COLORS)}
    form, prompt = phrase(rng, REST if level == 3 else PART, whole=whole, top=top, bottom=bottom, **words)
    unit = working.div(whole, bottom)
    part = working.mul(unit, top)
    if top.value == 1:
        lines = [step("plan", f"{top}/{bottom} means divide by {bottom}"), step("compute", f"{unit:eq}", unit)]
    else:
        lines = [step("compute", f"One part of {bottom}: {unit:eq}", unit), step("compute", f"{top} parts: {part:eq}", part)]
    if level < 3:
        return Draft(form, prompt, f"{top}/{bottom} of {whole}?", tuple(lines), f"{part}")
    rest = working.sub(whole, part)
    lines.append(step("compute", f"The rest: {rest:eq}", rest))
    return Draft(form, prompt, f"{whole} minus {top}/{bottom} of it?", tuple(lines), f"{rest}")


_PROPER = tuple(sorted({Fraction(top, bottom) for bottom in range(3, 9) for top in range(2, bottom)}))

TASK = Task(
    name="fractions",
    version=1,
    section="reasoning",
    about="a fraction of an amount, and the rest",
    forms=names(PART, REST),
    capacity=(6_000, 6_000, 50_000),
    make=make,
)
