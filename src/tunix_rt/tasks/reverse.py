"""Writing a string backwards, letter by letter; a keyed permutation over (word, form) makes every item new."""

from functools import cache

from tunix_rt.tasks.core import Draft, Task, step
from tunix_rt.tasks.handles import arrange, rewrite, word
from tunix_rt.tasks.lexicon import WORDS
from tunix_rt.tasks.rng import Rng

SPELLED = {
    "spelled-string": "Reverse the string '{word}'.",
    "spelled-backwards": "Write '{word}' backwards, hyphens included.",
    "spelled-letters": "Put the letters of '{word}' in reverse order, with hyphens between them.",
    "spelled-last": "Write '{word}' from the last letter to the first, with hyphens.",
}
WHOLE = {
    "word-reverse": "Reverse the word '{word}'.",
    "word-backwards": "Write the word '{word}' backwards.",
    "word-spell": "Spell the word '{word}' from the last letter to the first.",
    "word-string": "What is the string '{word}' in reverse order?",
}
LENGTHS = {1: (3, 5), 2: (3, 4), 3: (5, 10)}
"""Level 1 gives the letters apart ('l-e-m-o-n'), so that only their order is in question; after that the word is whole."""


def make(rng: Rng, level: int) -> Draft:
    forms = SPELLED if level == 1 else WHOLE
    index, which = divmod(rng.unique(_capacity(level)), len(forms))
    form = tuple(forms)[which]
    plain = word(_words(level)[index])
    letters = arrange("spell", plain)
    start = rewrite("join", letters, "-") if level == 1 else plain
    turned = arrange("reverse_list", letters)
    answer = rewrite("reverse", start)
    lines = (
        step("decompose", f"letters of {start}: {letters: }", *(() if level == 1 else (letters,))),
        step("transform", f"backwards: {turned: }", turned),
        step("conclude", f"{start} reversed is {answer}", answer),
    )
    return Draft(form, forms[form].format(word=start), f"Reverse: {start}", lines, f"{answer}")


@cache
def _words(level: int) -> tuple[str, ...]:
    low, high = LENGTHS[level]
    return tuple(word for word in WORDS if low <= len(word) <= high and word != word[::-1])


def _capacity(level: int) -> int:
    return len(_words(level)) * len(SPELLED)


TASK = Task(
    name="reverse",
    version=1,
    section="synthetic",
    about="a string backwards",
    forms=(*SPELLED, *WHOLE),
    capacity=(_capacity(1), _capacity(2), _capacity(3)),
    make=make,
)
