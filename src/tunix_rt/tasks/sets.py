"""Lists as sets: is it in the list, and what do two lists have in common."""

from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import arrange, assert_, listing, word
from tunix_rt.tasks.lexicon import COLORS, WORDS
from tunix_rt.tasks.rng import Rng

MEMBER = {
    "member-list": "Is '{one}' in the list {items}? Answer yes or no.",
    "member-contains": "Does the set {{{items}}} contain '{one}'? Answer yes or no.",
    "member-bag": "A bag holds these words: {items}. Is '{one}' one of them? Answer yes or no.",
    "member-belongs": "Answer yes or no: does '{one}' belong to {{{items}}}?",
}
COMMON = {
    "common-both": "The first list is {items}. The second list is {others}. Which word is in both lists?",
    "common-one": "One word is in {items} and also in {others}. Which word is it?",
    "common-find": "Find the word that appears both in ({items}) and in ({others}).",
    "common-share": "Set A is {{{items}}} and set B is {{{others}}}. Which element do they share?",
}
SEVERAL = {
    "several-both": "The first list is {items}. The second list is {others}. Which words are in both? Keep the "
    "order of the first list.",
    "several-find": "Find the words of ({items}) that are also in ({others}), in the order of the first list.",
    "several-common": "List the common words of {{{items}}} and {{{others}}} in the order of the first set.",
    "several-share": "Set A is {{{items}}} and set B is {{{others}}}. Which elements do they share, in the order of A?",
}


def make(rng: Rng, level: int) -> Draft:
    pool = COLORS if rng.chance(1, 3) else WORDS
    if level == 1:
        return _member(rng, pool)
    return _common(rng, pool, level - 1)


def _member(rng: Rng, pool: tuple[str, ...]) -> Draft:
    *chosen, stranger = rng.some(pool, rng.between(4, 6))
    items = listing(chosen)
    one = word(rng.pick(chosen) if rng.chance(1, 2) else stranger)
    form, prompt = phrase(rng, MEMBER, items=items, one=one)
    inside = assert_("member", one, items)
    seen = ", ".join(f"{other} {'yes' if other == one.value else 'no'}" for other in chosen)
    lines = (
        step("select", f"looking for {one}: {seen}", inside),
        step("conclude", f"{one} is {'in' if inside.value else 'not in'} the list, so the answer is {inside}"),
    )
    return Draft(form, prompt, f"'{one}' in {items}: yes or no?", lines, f"{inside}")


def _common(rng: Rng, pool: tuple[str, ...], shared: int) -> Draft:
    size = shared + 2
    words = rng.some(pool, 2 * size - shared)
    first, second = rng.some(words[:size], size), rng.some(words[size - shared :], size)
    items, others = listing(first), listing(second)
    form, prompt = phrase(rng, COMMON if shared == 1 else SEVERAL, items=items, others=others)
    both = arrange("common", items, others)
    seen = ", ".join(f"{one} {'yes' if one in second else 'no'}" for one in first)
    lines = (
        step("select", f"which are in {others}: {seen}", both),
        step("conclude", f"in both: {both}"),
    )
    return Draft(form, prompt, f"{items} | {others}: in both?", lines, f"{both}")


TASK = Task(
    name="sets",
    version=1,
    section="synthetic",
    about="membership and what lists share",
    forms=names(MEMBER, COMMON, SEVERAL),
    capacity=(100_000, 100_000, 100_000),
    make=make,
)
