"""Writing words in capital letters."""

from tunix_rt.tasks.core import Draft, Task, step
from tunix_rt.tasks.handles import rewrite, word
from tunix_rt.tasks.lexicon import COLORS, WORDS
from tunix_rt.tasks.rng import Rng

FORMS = {
    "capitals": "Write '{words}' in capital letters.",
    "uppercase": "Convert '{words}' to uppercase.",
    "change": "Change every letter of '{words}' to a capital letter.",
    "shout": "How does '{words}' look in all caps?",
}
NOUNS = tuple(word for word in WORDS if word not in COLORS)


def make(rng: Rng, level: int) -> Draft:
    index, which = divmod(rng.unique(_capacity(level)), len(FORMS))
    form = tuple(FORMS)[which]
    rest, noun = divmod(index, len(NOUNS))
    chosen = [NOUNS[noun]]
    if level > 1:
        rest, color = divmod(rest, len(COLORS))
        chosen.insert(0, COLORS[color])
    if level > 2:
        others = [other for other in COLORS if other not in chosen]
        chosen = [others[rest], "and", *chosen]
    words = word(" ".join(chosen))
    uppers = [rewrite("upper", word(one)) for one in chosen]
    together = rewrite("upper", words)
    lines = (
        *(step("transform", f"{one}: {upper}", upper) for one, upper in zip(chosen, uppers, strict=True)),
        step("conclude", f"{words} in capitals is {together}", together),
    )
    return Draft(form, FORMS[form].format(words=words), f"Uppercase: {words}", lines, f"{together}")


def _capacity(level: int) -> int:
    return len(NOUNS) * len(FORMS) * (1, len(COLORS), len(COLORS) * (len(COLORS) - 1))[level - 1]


TASK = Task(
    name="uppercase",
    version=1,
    section="golden",
    about="words in capital letters",
    forms=tuple(FORMS),
    capacity=(_capacity(1), _capacity(2), _capacity(3)),
    make=make,
)
