"""An exact leak is found in any spelling, degrees of nearness are counted, and a difference names what came and went."""

import weakref
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import datasets
from tunix_rt.traces import Step, Trace


def trace(prompt: str, **meta: str) -> Trace:
    return Trace(prompt=prompt, steps=(Step(i=1, type="compute", content="x"),), final_answer="1", meta=meta)


def test_built_in_training_and_evaluation_sets_share_no_prompt() -> None:
    for train, held_out in (("dev-reasoning-v2", "dev-reasoning-v2-eval"), ("tiny-sums", "tiny-sums-eval")):
        found = datasets.leakage(*(datasets.generate(datasets.recipe(name)) for name in (train, held_out)))
        assert (found.exact, found.examples) == (0, ())
        assert 0 < found.skeletons <= found.items
        assert 0 <= found.ngram_median <= found.ngram_max <= 1


def test_one_leaked_prompt_is_found_in_another_spelling() -> None:
    """Negative control for the test above."""
    train = datasets.generate(datasets.recipe("tiny-sums"))
    held_out = [*datasets.generate(datasets.recipe("tiny-sums-eval")), trace("  " + train[5].prompt.upper() + " ")]
    found = datasets.leakage(train, held_out)
    assert found.exact == 1
    assert found.examples == (datasets.canonical_prompt(train[5].prompt),)


def test_degrees_of_nearness() -> None:
    train = [trace("Tom has 3 red apples and buys 4 more. How many apples does Tom have now?")]
    same_words = datasets.leakage(train, [trace("Tom has 5 red apples and buys 9 more. How many apples does Tom have now?")])
    assert (same_words.exact, same_words.skeletons, same_words.near) == (0, 1, 0)
    assert 0 < same_words.ngram_max < 1
    far = datasets.leakage(train, [trace("Reverse the word lemon.")])
    assert (far.exact, far.skeletons, far.near, far.ngram_max, far.ngram_close) == (0, 0, 0, 0.0, 0)


def test_overlap_is_told_by_tier_and_section() -> None:
    train = [trace("Tom has 3 red apples in a basket and buys 4 more at the market."), trace("Reverse the word lemon.")]
    held_out = [
        trace("Reverse the word lemon.", tier="iid", section="core"),
        trace("Reverse the word melon, please.", tier="template", section="core"),
        trace("Tom has 3 red apples in a basket and buys 5 more at the market.", tier="iid"),
    ]
    found = datasets.leakage(iter(train), iter(held_out))
    assert (found.trained, found.items, found.exact, found.near) == (2, 3, 1, 2)
    told = {name: (part.items, part.exact, part.skeletons, part.near) for name, part in (found.tiers | found.sections).items()}
    assert told == {"iid": (2, 1, 2, 2), "template": (1, 0, 0, 0), "core": (2, 1, 1, 1)}


def test_the_training_set_only_passes_by() -> None:
    alive: list[weakref.ref[Trace]] = []
    most = 0

    def passing() -> Iterator[Trace]:
        nonlocal most
        for number in range(2_000):
            made = trace(f"What is {number} + 1?")
            alive.append(weakref.ref(made))
            most = max(most, sum(one() is not None for one in alive[-50:]))
            yield made

    found = datasets.leakage(passing(), [trace("what is 1999 + 1?")])
    assert (found.exact, found.trained) == (1, 2_000)
    assert most <= 3


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_a_difference_is_by_content(first: set[int], second: set[int]) -> None:
    before, after = ([trace(f"{number}?") for number in sorted(numbers)] for numbers in (first, second))
    found = datasets.difference(before, after)
    assert {item.prompt for item in found.added} == {f"{number}?" for number in second - first}
    assert {item.prompt for item in found.removed} == {f"{number}?" for number in first - second}
    assert found.common == len(first & second)
