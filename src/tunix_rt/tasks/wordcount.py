"""Counting the words of a sentence, one number a word."""

from tunix_rt.tasks.core import Draft, Task, phrase, step
from tunix_rt.tasks.handles import calc, listing
from tunix_rt.tasks.lexicon import words
from tunix_rt.tasks.rng import Rng

FORMS = {
    "sentence": "How many words are in this sentence: '{sentence}'?",
    "count": "Count the words: '{sentence}'.",
    "number": "What is the number of words in '{sentence}'?",
    "text": "The text '{sentence}' has how many words?",
}
SUBJECTS = words(
    "the baker;a small boy;my brother;the old man;our teacher;every child;a tired farmer;the tall girl;she;he;nobody",
    ";",
)
VERBS = words("sings sleeps waits laughs rests dances works smiles talks plays")
MANNERS = words("quietly;happily;again;alone;for a while;for an hour;as usual;every day;now and then", ";")
PLACES = words(
    "in the garden;by the river;under a tree;near the old bridge;at home;behind the house;in the warm kitchen;by the lake",
    ";",
)
ENDS = words("before lunch;after work;when it rains;while the sun sets;until the bell rings;while the others eat", ";")


def make(rng: Rng, level: int) -> Draft:
    parts = [rng.pick(SUBJECTS), rng.pick(VERBS)]
    parts += [rng.pick(MANNERS)] if level == 1 or rng.chance(1, 2) else []
    parts += [rng.pick(PLACES)] if level > 1 else []
    parts += [rng.pick(ENDS)] if level > 2 else []
    spoken = listing(" ".join(parts).split())
    sentence = format(spoken, " ").capitalize()
    form, prompt = phrase(rng, FORMS, sentence=sentence)
    total = calc("count", spoken)
    numbered = ", ".join(f"{i} {word}" for i, word in enumerate(spoken.value, 1))
    lines = (
        step("count", numbered, total),
        step("conclude", f"The last number is {total}."),
    )
    return Draft(form, prompt, f"Words in '{sentence}'?", lines, f"{total}")


TASK = Task(
    name="wordcount",
    version=1,
    section="golden",
    about="how many words a sentence has",
    forms=tuple(FORMS),
    capacity=(3_700, 8_000, 50_000),
    make=make,
)
