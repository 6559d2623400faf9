"""Averages: add the values one after another, divide by how many there are; or find the value that is missing."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Quantity, given, listing
from tunix_rt.tasks.lexicon import PEOPLE
from tunix_rt.tasks.rng import Rng

MEAN = {
    "mean-what": "What is the average of {values}?",
    "mean-find": "Find the mean of the numbers {values}.",
    "mean-scores": "{who} scores {values} points in {count} games. What is the average score?",
    "mean-rain": "On {count} days it rains {values} millimeters. How many millimeters a day is that on average?",
}
MISSING = {
    "missing-mean": "The numbers {known} and one more number have an average of {mean}. What is the other number?",
    "missing-needed": "Which number together with {known} gives an average of {mean}?",
    "missing-number": "The average of {count} numbers is {mean}. All but one of them are {known}. What is the missing number?",
    "missing-game": "{who} averages {mean} points over {count} games and scored {known} in all but the last. How many "
    "points came in the last game?",
}
SIZES = {1: (3, 4, 15), 2: (4, 10, 40), 3: (3, 10, 30)}


def make(rng: Rng, level: int) -> Draft:
    count, low, high = SIZES[level]
    values = [given(value) for value in _values(rng, count, low, high)]
    return _missing(rng, values) if level == 3 else _mean(rng, values)


def _values(rng: Rng, count: int, low: int, high: int) -> list[int]:
    """Different whole numbers with a whole average, near `low` to `high`."""
    while True:
        values = [rng.between(low, high) for _ in range(count - 1)]
        last = rng.between(low, high)
        last -= (sum(values) + last) % count
        if last >= low and len({*values, last}) == count:
            return [*values, last]


def _listed(values: list[Quantity]) -> str:
    *most, last = (str(value) for value in values)
    return f"{', '.join(most)} and {last}"


def _mean(rng: Rng, values: list[Quantity]) -> Draft:
    who, count = rng.pick(PEOPLE), given(len(values))
    form, prompt = phrase(rng, MEAN, who=who, values=_listed(values), count=count)
    sums = working.total(values)
    mean = working.div(sums[-1], count)
    lines = (
        *(step("compute", f"{running:eq}", running) for running in sums),
        step("compute", f"average = {mean:eq}", mean),
    )
    return Draft(form, prompt, f"Average: {listing([int(value.value) for value in values])}", lines, f"{mean}")


def _missing(rng: Rng, values: list[Quantity]) -> Draft:
    who, count = rng.pick(PEOPLE), given(len(values))
    mean = given(sum(int(value.value) for value in values) // len(values))
    known = values[:-1]
    form, prompt = phrase(rng, MISSING, who=who, known=_listed(known), count=count, mean=mean)
    needed = working.mul(mean, count)
    sums = working.total(known)
    answer = working.sub(needed, sums[-1])
    lines = (
        step("compute", f"Sum needed: {needed:eq}", needed),
        *(step("compute", f"Known: {running:eq}", running) for running in sums),
        step("compute", f"Missing: {answer:eq}", answer),
    )
    return Draft(form, prompt, f"Average {mean} of {count}; known {_listed(known)}; missing?", lines, f"{answer}")


TASK = Task(
    name="average",
    version=2,
    section="reasoning",
    about="the mean, or the value it needs",
    forms=names(MEAN, MISSING),
    capacity=(4_000, 100_000, 8_000),
    make=make,
)
