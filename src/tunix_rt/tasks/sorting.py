"""Putting words in alphabetical order by their first letters, and numbers in order by taking the smallest each time."""

from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Quantity, arrange, calc, given, listing
from tunix_rt.tasks.lexicon import WORDS
from tunix_rt.tasks.rng import Rng

WORD = {
    "words-sort": "Sort these words alphabetically: {items}.",
    "words-order": "Put the words {items} in alphabetical order.",
    "words-dictionary": "In which order does a dictionary list {items}?",
    "words-arrange": "Arrange {items} from A to Z.",
}
NUMBER = {
    "numbers-sort": "Sort these numbers from smallest to largest: {items}.",
    "numbers-order": "Put {items} in increasing order.",
    "numbers-ascending": "Write {items} in ascending order.",
    "numbers-line": "Line up {items}, the smallest first.",
}


def make(rng: Rng, level: int) -> Draft:
    return _numbers(rng, level + 2) if level > 1 and rng.chance(1, 2) else _words(rng, level + 2)


def _words(rng: Rng, count: int) -> Draft:
    chosen: list[str] = []
    while len(chosen) < count:
        word = rng.pick(WORDS)
        if word[0] not in {other[0] for other in chosen}:
            chosen.append(word)
    items = listing(chosen)
    form, prompt = phrase(rng, WORD, items=items)
    ordered = arrange("sort", items)
    letters = arrange("sort", [word[0] for word in chosen])
    initials = ", ".join(f"{word} {word[0]}" for word in chosen)
    paired = ", ".join(f"{letter} {word}" for letter, word in zip(letters.value, ordered.value, strict=True))
    lines = (
        step("select", f"first letters: {initials}"),
        step("transform", f"in order: {paired}", letters),
        step("conclude", f"sorted: {ordered}", ordered),
    )
    return Draft(form, prompt, f"Sort: {items}", lines, f"{ordered}")


def _numbers(rng: Rng, count: int) -> Draft:
    rest = [given(value) for value in rng.some(range(2, 99), count)]
    items = listing(_bare(rest))
    form, prompt = phrase(rng, NUMBER, items=items)
    lines = []
    while len(rest) > 1:
        smallest = calc("smallest", rest)
        lines.append(step("select", f"smallest of {listing(_bare(rest))} is {smallest}", smallest))
        rest = [number for number in rest if number.value != smallest.value]
    ordered = arrange("sort", items)
    lines.append(step("conclude", f"sorted: {ordered}", ordered))
    return Draft(form, prompt, f"Sort: {items}", tuple(lines), f"{ordered}")


def _bare(numbers: list[Quantity]) -> list[int]:
    return [int(number.value) for number in numbers]


TASK = Task(
    name="sorting",
    version=1,
    section="synthetic",
    about="words and numbers in order",
    forms=names(WORD, NUMBER),
    capacity=(100_000, 100_000, 100_000),
    make=make,
)
