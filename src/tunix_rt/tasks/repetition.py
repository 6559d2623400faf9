"""Writing a word a given number of times."""

from tunix_rt.tasks.core import Draft, Task, step
from tunix_rt.tasks.handles import calc, given, noun, rewrite, word
from tunix_rt.tasks.lexicon import WORDS
from tunix_rt.tasks.rng import Rng

TIME = noun("time")
FORMS = {
    "repeat": "Repeat the word '{word}' {times:u}, separated by spaces.",
    "write": "Write '{word}' {times:u} with spaces between.",
    "say": "Say the word '{word}' {times:u} in one line, without commas.",
    "output": "Output '{word}' {times:u} on one line, separated by single spaces.",
}
COUNTS = {1: (2, 3), 2: (4, 5), 3: (6, 9)}


def make(rng: Rng, level: int) -> Draft:
    low, high = COUNTS[level]
    index, rest = divmod(rng.unique(_capacity(level)), len(FORMS) * (high - low + 1))
    times = given(low + rest // len(FORMS), TIME)
    form = tuple(FORMS)[rest % len(FORMS)]
    chosen = word(WORDS[index])
    line = rewrite("repeat", chosen, times, " ")
    numbered = ", ".join(f"{given(i)} {chosen}" for i in range(1, int(times.value) + 1))
    lines = (
        step("count", f"{times:u}: {numbered}", calc("count", [chosen] * int(times.value))),
        step("conclude", f"{chosen} {times:u}: {line}", line),
    )
    return Draft(form, FORMS[form].format(word=chosen, times=times), f"'{chosen}' x {times}", lines, f"{line}")


def _capacity(level: int) -> int:
    low, high = COUNTS[level]
    return len(WORDS) * len(FORMS) * (high - low + 1)


TASK = Task(
    name="repetition",
    version=1,
    section="golden",
    about="a word several times",
    forms=tuple(FORMS),
    capacity=(_capacity(1), _capacity(2), _capacity(3)),
    make=make,
)
