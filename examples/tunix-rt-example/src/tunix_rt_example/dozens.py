"""How many single things some dozens are, and at level 3 what is left of them."""

from tunix_rt.tasks import Draft, Task
from tunix_rt.tasks.core import names, phrase, step
from tunix_rt.tasks.handles import calc, given, noun
from tunix_rt.tasks.rng import Rng

THINGS = tuple(map(noun, ("egg", "roll", "pencil", "button")))
MOST = (9, 49, 99)
WHOLE = {
    "whole-many": "How many {things} are {count} dozen {things}?",
    "whole-box": "A box holds {count} dozen {things}. How many {things} is that?",
    "whole-counts": "Count {count} dozen {things} one by one: how many are there?",
    "whole-buys": "Ada buys {count} dozen {things}. How many {things} does she have?",
}
REST = {
    "rest-uses": "Ada has {count} dozen {things} and uses {used}. How many are left?",
    "rest-takes": "Of {count} dozen {things}, {used} are taken away. How many remain?",
    "rest-sells": "A shop has {count} dozen {things} and sells {used} of them. How many does it still have?",
    "rest-breaks": "{used} of {count} dozen {things} break. How many are whole?",
}


def make(rng: Rng, level: int) -> Draft:
    thing = rng.pick(THINGS)
    count = given(rng.between(2, MOST[level - 1]))
    whole = calc("mul", count, given(12))
    first = step("compute", f"{whole:eq}", whole)
    if level < 3:
        form, prompt = phrase(rng, WHOLE, things=thing.many, count=count)
        return Draft(form, prompt, f"{count} dozen {thing.many}: how many?", (first,), f"{whole}")
    used = given(rng.between(2, 20))
    left = calc("sub", whole, used)
    form, prompt = phrase(rng, REST, things=thing.many, count=count, used=used)
    second = step("compute", f"{left:eq}", left)
    return Draft(form, prompt, f"{count} dozen {thing.many} less {used}: how many?", (first, second), f"{left}")


TASK = Task(
    name="dozens",
    version=1,
    section="reasoning",
    about="dozens as single things",
    forms=names(WHOLE, REST),
    capacity=(100, 600, 10_000),
    make=make,
)
