"""Edge cases that any prompt can be put through without touching what it asks: the steps, claims and answer stay as they are.

The two sides of a split are decided after a transform, on the prompt that a model will really see.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from tunix_rt.tasks.core import Draft
from tunix_rt.tasks.handles import given
from tunix_rt.tasks.lexicon import PEOPLE
from tunix_rt.tasks.rng import Rng

SETTINGS = (
    "It was a quiet afternoon and the rain had just stopped.",
    "The old library on the corner was open late that week.",
    "A radio was playing softly in the next room.",
    "Outside, a dog barked at a passing bicycle.",
    "The tea on the table had gone cold long before.",
    "Somebody had left a green umbrella by the door.",
    "The teacher wrote the question on the board and waited.",
    "Nobody in the room was in a hurry.",
    "The clock on the wall had stopped in the spring and nobody had mended it.",
    "A letter from an old friend lay unopened on the desk.",
    "The window was open and the curtains moved in the wind.",
    "Later there would be soup and fresh bread for everybody.",
    "The question came from a puzzle book with a torn cover.",
    "Most of this story has nothing to do with the question.",
)


class Detail(NamedTuple):
    """A true sentence that no question is about, with a number of plausible size."""

    text: str
    low: int
    high: int


DETAILS = (
    Detail("The bus outside is number {n}.", 2, 99),
    Detail("The school has {n} classrooms.", 12, 40),
    Detail("The puzzle book has {n} pages.", 48, 160),
    Detail("{who} copied this question from page {n} of a magazine.", 3, 90),
    Detail("The clock tower near the market is {n} meters tall.", 25, 80),
    Detail("{who} lives at house number {n}.", 2, 120),
    Detail("The nearest station is {n} minutes away on foot.", 4, 25),
    Detail("The poster on the wall is {n} years old.", 3, 60),
    Detail("There are {n} chairs in the room.", 6, 30),
    Detail("{who} sits in row {n}.", 2, 20),
    Detail("The lesson began {n} minutes ago.", 5, 40),
    Detail("The library next door owns {n} atlases.", 5, 70),
)
MARKS = ("### ", ">>> ", "*** ", "[Q] ", "~~ ", "% ", "@user: ", "{q} ", "<task> ", "// ")
TAILS = (" ###", " <<<", " ***", " [/Q]", " ~~", " %", " #help", " {/q}", " </task>", " \\\\")
SIGNS = ("→ ", "★ ", "Übung: ", "Question № ∞ — ", "❓ ", "¿Listo? ", "« À vous » ", "問題: ", "Задача: ", "✏️ ")
ENDINGS = (" ✓", " …", " — merci !", " ☺", " 🙂", " ¡Gracias!", " ありがとう", " ♥", " (café)", " ∎")
_QUOTED = re.compile(r"((?<!\w)'[^']*'(?!\w))")
GAPS = ("  ", "   ", "\t", "\n", " \n ")


def minimal(_rng: Rng, draft: Draft) -> str:
    return draft.terse


def long(rng: Rng, draft: Draft) -> str:
    before = rng.some(SETTINGS, rng.between(5, 8))
    after = "Please think about the question carefully and ignore everything that does not matter."
    return f"{' '.join(before)}\n\n{draft.prompt}\n\n{after}"


def distractor(rng: Rng, draft: Draft) -> str:
    """One or two true details before the question, each with a number that it does not need."""
    chosen = rng.some(DETAILS, rng.between(1, 2))
    told = [detail.text.format(n=given(rng.between(detail.low, detail.high)), who=rng.pick(PEOPLE)) for detail in chosen]
    return " ".join([*told, draft.prompt])


def symbols(rng: Rng, draft: Draft) -> str:
    which = rng.below(len(MARKS))
    return f"{MARKS[which]}{draft.prompt}{TAILS[which]}"


def unicode(rng: Rng, draft: Draft) -> str:
    return f"{rng.pick(SIGNS)}{draft.prompt}{rng.pick(ENDINGS)}"


def whitespace(rng: Rng, draft: Draft) -> str:
    """Text in single quotes is what the question is about, so it stays as it is."""
    parts = _QUOTED.split(draft.prompt)
    spaced = [part if i % 2 else _gapped(rng, part) for i, part in enumerate(parts)]
    return f"{rng.pick(GAPS)}{''.join(spaced)}{rng.pick(GAPS)}"


def _gapped(rng: Rng, text: str) -> str:
    first, *others = text.split(" ")
    return first + "".join((rng.pick(GAPS) if rng.chance(1, 3) else " ") + word for word in others)


class Transform(NamedTuple):
    version: int
    about: str
    apply: Callable[[Rng, Draft], str]


TRANSFORMS = {
    "minimal": Transform(1, "only the question, as short as it can be", minimal),
    "long": Transform(1, "the question inside a page of talk that does not matter", long),
    "symbols": Transform(1, "special characters around the question", symbols),
    "unicode": Transform(1, "letters, signs and emoji from other scripts around the question", unicode),
    "distractor": Transform(1, "true details with numbers that the question does not need", distractor),
    "whitespace": Transform(1, "runs of spaces, tabs and line breaks between the words", whitespace),
}
