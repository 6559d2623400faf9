"""Ages: older and younger, some years from now, and ages known only together."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, Words, names, phrase, step
from tunix_rt.tasks.handles import Quantity, calc, given, noun
from tunix_rt.tasks.lexicon import PEOPLE
from tunix_rt.tasks.rng import Rng

YEAR = noun("year")
GAP = {
    "gap-older": "{a} is {age} years old. {b} is {gap:u} older than {a}. How old is {b}?",
    "gap-than": "{b} is {gap:u} older than {a}, who is {age}. What is the age of {b}?",
    "gap-younger": "{a} is {age} years old. {b} is {gap:u} younger. How old is {b}?",
    "gap-brother": "{a}, who is {age}, has a cousin {b} who is {gap:u} younger. What is the age of {b}?",
}
LATER = {
    "later-times": "{a} is {age} years old and {b} is {times} as old. How old will {b} be in {years:u}?",
    "later-gap": "{a} is {age} years old. {b} is {gap:u} older. How old will {b} be in {years:u}?",
    "later-turn": "{a} is {age} now and {b} is {gap:u} older. What will the age of {b} be {years:u} from now?",
    "later-ago": "{a} is {age} years old and {b} is {times} as old. How old was {b} {years:u} ago?",
}
APART = {
    "apart-gap": "{a} and {b} are {sum} years old together. {b} is {gap:u} older than {a}. How old is {a}?",
    "apart-sum": "The ages of {a} and {b} add up to {sum}. {a} is {gap:u} younger than {b}. What is the age of {a}?",
}
TIMES = {
    "times-sum": "Together {a} and {b} are {sum} years old. {b} is {times} as old as {a}. How old is {a}?",
    "times-add": "The ages of {a} and {b} add up to {sum}, and {b} is {times} as old as {a}. What is the age of {a}?",
}


def make(rng: Rng, level: int) -> Draft:
    a, b = rng.some(PEOPLE, 2)
    people = {"a": a, "b": b}
    if level == 1:
        return _gap(rng, people)
    if level == 2:
        return _later(rng, people)
    return _apart(rng, people) if rng.chance(1, 2) else _times(rng, people)


def _gap(rng: Rng, people: Words) -> Draft:
    age, gap = given(rng.between(12, 58)), given(rng.between(2, 9), YEAR)
    form, prompt = phrase(rng, GAP, age=age, gap=gap, **people)
    older = form in ("gap-older", "gap-than")
    answer = working.add(age, gap) if older else working.sub(age, gap)
    word, sign = ("older", "+") if older else ("younger", "-")
    lines = (
        step("plan", f"{people['b']} is {word}, so {age} {sign} {gap}"),
        step("compute", f"{answer:eq}", answer),
    )
    return Draft(
        form, prompt, f"{people['a']} is {age}, {people['b']} {gap:u} {word}: age of {people['b']}?", lines, f"{answer}"
    )


def _later(rng: Rng, people: Words) -> Draft:
    age, gap, years = given(rng.between(6, 15)), given(rng.between(3, 9), YEAR), given(rng.between(2, 8), YEAR)
    factor = given(rng.between(2, 4))
    form, prompt = phrase(rng, LATER, age=age, gap=gap, years=years, times=_times_as(factor), **people)
    by_gap, back = form in ("later-gap", "later-turn"), form == "later-ago"
    now = working.add(age, gap) if by_gap else working.mul(age, factor)
    answer = working.sub(now, years) if back else working.add(now, years)
    lines = (
        step("compute", f"{people['b']} now: {now:eq}", now),
        step("compute", f"{'Then' if back else 'Later'}: {answer:eq}", answer),
    )
    relation = f"{gap:u} older" if by_gap else f"{_times_as(factor)} as old"
    when = f"{years:u} ago" if back else f"in {years:u}"
    return Draft(form, prompt, f"{people['a']} is {age}, {people['b']} {relation}: {people['b']} {when}?", lines, f"{answer}")


def _apart(rng: Rng, people: Words) -> Draft:
    age, gap = rng.between(5, 20), given(rng.between(2, 9), YEAR)
    both = given(2 * age + int(gap.value))
    form, prompt = phrase(rng, APART, sum=both, gap=gap, **people)
    rest = working.sub(both, gap)
    answer = working.div(rest, given(2))
    lines = (
        step("compute", f"Without the gap: {rest:eq}", rest),
        step("compute", f"Half of it: {answer:eq}", answer),
    )
    return Draft(form, prompt, f"{both} together, {gap:u} apart: the younger age?", lines, f"{answer}")


def _times(rng: Rng, people: Words) -> Draft:
    age, factor = rng.between(5, 20), given(rng.between(2, 4))
    both = given(age * (int(factor.value) + 1))
    form, prompt = phrase(rng, TIMES, sum=both, times=_times_as(factor), **people)
    parts = calc("add", factor, given(1))
    answer = working.div(both, parts)
    lines = (
        step("plan", f"Equal parts: {parts:eq}", parts),
        step("compute", f"One part: {answer:eq}", answer),
    )
    return Draft(form, prompt, f"{both} together, one {_times_as(factor)} as old: the younger age?", lines, f"{answer}")


def _times_as(factor: Quantity) -> str:
    return "twice" if factor.value == 2 else f"{factor} times"


TASK = Task(
    name="ages",
    version=1,
    section="reasoning",
    about="older, younger, later, together",
    forms=names(GAP, LATER, APART, TIMES),
    capacity=(100_000, 100_000, 100_000),
    make=make,
)
