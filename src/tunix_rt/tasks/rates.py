"""Work at a steady rate: so much a day for some days, the rate itself, and what is left to do."""

from typing import NamedTuple

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Noun, given, noun
from tunix_rt.tasks.lexicon import PEOPLE, a
from tunix_rt.tasks.rng import Rng


class Work(NamedTuple):
    """`does` and `do` name an action in two forms; `low` to `high` of the thing in one unit of time is plausible."""

    does: str
    do: str
    thing: Noun
    time: Noun
    whole: str
    low: int
    high: int


DAY, HOUR, MINUTE, WEEK = noun("day"), noun("hour"), noun("minute"), noun("week")
WORKS = (
    Work("reads", "read", noun("page"), DAY, "a book of", 8, 40),
    Work("types", "type", noun("word"), MINUTE, "a text of", 20, 60),
    Work("paints", "paint", noun("fence board"), HOUR, "a job of", 4, 15),
    Work("bakes", "bake", noun("roll"), HOUR, "an order of", 12, 45),
    Work("plants", "plant", noun("tree"), DAY, "a list of", 5, 20),
    Work("folds", "fold", noun("napkin"), MINUTE, "a pile of", 3, 9),
    Work("writes", "write", noun("postcard"), HOUR, "a pile of", 4, 12),
    Work("solves", "solve", noun("puzzle"), WEEK, "a book of", 3, 15),
    Work("washes", "wash", noun("plate"), MINUTE, "a stack of", 3, 8),
    Work("learns", "learn", noun("Spanish word"), DAY, "a list of", 5, 25),
)
RATE = {
    "rate-plain": "{who} {does} {rate:u} {a_time}. How many {things} does {who} {do} in {span:u}?",
    "rate-every": "Every {time} {who} {does} {rate:u}. How many {things} is that in {span:u}?",
    "rate-after": "{who} {does} {rate} {things} per {time}. How many {things} are done after {span:u}?",
    "rate-pace": "At {rate} {things} per {time}, how many {things} does {who} {do} in {span:u}?",
}
UNIT = {
    "unit-same": "{who} {does} {done:u} in {span:u}. At the same pace, how many {things} does {who} {do} in {more:u}?",
    "unit-pace": "{who} needs {span:u} to {do} {done:u}. How many {things} can {who} {do} in {more:u} at the same pace?",
    "unit-how": "How many {things} does {who} {do} in {more:u} if {he} {does} {done} in {span:u} and keeps the pace?",
    "unit-rate": "In {span:u} {who} {does} {done:u}. How many {things} does {who} {do} in {more:u} at this rate?",
}
LEFT = {
    "left-book": "{who} has {whole} {total:u} and {does} {rate} {a_time}. How many {things} are left after {span:u}?",
    "left-done": "{who} wants to {do} {total:u}. {who} has done {rate} per {time} for {span:u}. How many {things} "
    "are still to do?",
    "left-still": "{who} has {total:u} to {do} and {does} {rate} every {time}. How many {things} are still left "
    "after {span:u}?",
    "left-todo": "There are {total:u} to {do}. {who} {does} {rate} per {time}. How many {things} remain after {span:u}?",
}


def make(rng: Rng, level: int) -> Draft:
    work, who = rng.pick(WORKS), rng.pick(PEOPLE)
    rate, span = given(rng.between(work.low, work.high), work.thing), given(rng.between(2, 6), work.time)
    words = {
        "who": who,
        "he": who.he,
        "does": work.does,
        "do": work.do,
        "things": work.thing.many,
        "time": work.time.one,
        "a_time": a(work.time.one),
        "whole": work.whole,
    }
    done = working.mul(rate, span, work.thing)
    if level == 1:
        form, prompt = phrase(rng, RATE, rate=rate, span=span, **words)
        lines = (step("plan", f"{rate} {a(work.time.one)} for {span:u}: {rate} * {span}"), step("compute", f"{done:eq}", done))
        return Draft(form, prompt, f"{rate:u} {a(work.time.one)}, {span:u}: how many?", lines, f"{done}")
    if level == 2:
        more = given(int(span.value) + rng.between(1, 4), work.time)
        form, prompt = phrase(rng, UNIT, done=done, span=span, more=more, **words)
        unit = working.div(done, span, work.thing)
        answer = working.mul(unit, more, work.thing)
        lines = (
            step("compute", f"In one {work.time.one}: {unit:eq}", unit),
            step("compute", f"In {more:u}: {answer:eq}", answer),
        )
        return Draft(form, prompt, f"{done:u} in {span:u}: how many in {more:u}?", lines, f"{answer}")
    total = given((int(done.value) // 10 + rng.between(2, 12)) * 10, work.thing)
    form, prompt = phrase(rng, LEFT, total=total, rate=rate, span=span, **words)
    left = working.sub(total, done, work.thing)
    lines = (step("compute", f"Done: {done:eq}", done), step("compute", f"Left: {left:eq}", left))
    return Draft(form, prompt, f"{total:u}, {rate} {a(work.time.one)}: how many left after {span:u}?", lines, f"{left}")


TASK = Task(
    name="rates",
    version=1,
    section="reasoning",
    about="work at a steady rate",
    forms=names(RATE, UNIT, LEFT),
    capacity=(50_000, 50_000, 50_000),
    make=make,
)
