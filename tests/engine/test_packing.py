"""Packing loses nothing, cuts nothing, and follows from the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunix_rt import errors
from tunix_rt.engine import packing
from tunix_rt.engine.prompts import Example
from tunix_rt.jobs import Batch


def examples_of(lengths: list[tuple[int, int]], beginning: int = 0) -> list[Example]:
    """(prefix, completion) lengths to examples whose tokens name their example and place, after so many that are the same."""
    return [
        Example(
            f"e{number}",
            (*range(beginning), *(1000 * (number + 1) + place for place in range(prefix + rest))),
            beginning + prefix,
        )
        for number, (prefix, rest) in enumerate(lengths)
    ]


sizes = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 16)), min_size=1, max_size=60)
beginnings = st.integers(1, 4)
batches = st.builds(
    Batch, row_tokens=st.just(32), rows=st.integers(1, 3), accumulation=st.integers(1, 3), share_prefix=st.booleans()
)


@given(sizes, beginnings, batches, st.integers(0, 5), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_every_example_is_seen_once_an_epoch_and_whole(
    lengths: list[tuple[int, int]], beginning: int, batch: Batch, seed: int, epochs: int
) -> None:
    examples = examples_of(lengths, beginning)
    steps = packing.plan(examples, batch, seed, epochs)
    shared = packing.common(examples, batch)
    if len(examples) > 1:
        assert shared == (beginning if batch.share_prefix else 0)
    assert {step.shared for step in steps} == {shared}
    assert sorted(i for step in steps for i in step.ids) == sorted(e.id for e in examples * epochs)
    seen = []
    for micro in (micro for step in steps for micro in step.micro):
        for row, segments, positions in zip(micro.tokens, micro.segments, micro.positions, strict=True):
            for segment in range(1, segments.max() + 1):
                here = (segments == segment) | (segments == packing.SHARED)
                seen.append(tuple(row[here]))
                assert list(positions[here]) == list(range(here.sum()))
    assert sorted(seen) == sorted(e.tokens for e in examples * epochs)
    for step in steps:
        taken = sum(int((micro.segments != 0).sum()) for micro in step.micro)
        assert taken == step.useful - step.spared == batch.step_rows * batch.row_tokens - step.padding


@given(sizes, beginnings, batches, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_exactly_the_completions_are_trained_with_equal_weight(
    lengths: list[tuple[int, int]], beginning: int, batch: Batch, seed: int
) -> None:
    examples = {e.id: e for e in examples_of(lengths, beginning)}
    for step in packing.plan(list(examples.values()), batch, seed, 1):
        targets: list[int] = []
        for micro in step.micro:
            used = micro.weights > 0
            tokens, segments, positions = (array.reshape(-1) for array in (micro.tokens, micro.segments, micro.positions))
            for slot, target in zip(micro.slots[used], micro.targets[used], strict=True):
                [example] = (examples[i] for i in step.ids if target in examples[i].tokens[examples[i].prefix :])
                place = example.tokens.index(target)
                assert positions[slot] == place - 1
                assert tokens[slot] == example.tokens[place - 1]
                assert segments[slot] == packing.SHARED or (tokens[slot + 1], segments[slot + 1]) == (target, segments[slot])
            targets += micro.targets[used].tolist()
            np.testing.assert_allclose(micro.weights[used], batch.accumulation / step.trained, rtol=1e-6)
        assert sorted(targets) == sorted(token for i in step.ids for token in examples[i].tokens[examples[i].prefix :])
        assert step.trained == len(targets)


def test_what_all_prompts_begin_with_is_shared_and_no_more() -> None:
    def example(given: list[int], trained: list[int]) -> Example:
        return Example(str(given + trained), (*given, *trained), len(given))

    def common(*examples: Example) -> int:
        return packing.common(examples, Batch())

    assert common(example([1, 2, 3, 4], [9]), example([1, 2, 7, 4], [9])) == 2
    assert common(example([1, 2], [3, 4]), example([1, 2, 3], [4])) == 2  # what is trained on is no prompt
    assert common(example([1, 2], [9]), example([1, 2, 3], [9]), example([5], [9])) == 0
    assert common(example([1, 2], [9])) == 2


def test_rows_that_share_hold_more() -> None:
    examples = examples_of([(2, 6)] * 60, beginning=8)
    batch = Batch(row_tokens=32, rows=1, accumulation=1)
    plain, shared = (packing.plan(examples, batch.model_copy(update={"share_prefix": share}), 0, 1) for share in (False, True))
    assert (len(plain), len(shared)) == (30, 20)
    assert sum(step.useful for step in plain) == sum(step.useful for step in shared)


def test_order_depends_on_seed_and_epoch_only() -> None:
    examples = examples_of([(2, 3)] * 40)
    first = [e.id for e in packing.order(examples, 1, 0)]
    assert first == [e.id for e in packing.order(list(reversed(examples)), 1, 0)]
    assert first != [e.id for e in packing.order(examples, 1, 1)]
    assert first != [e.id for e in packing.order(examples, 2, 0)]


def test_all_micro_batches_have_one_shape() -> None:
    steps = packing.plan(
        examples_of([(3, 4), (9, 19), (1, 1), (12, 2)] * 9), Batch(row_tokens=32, rows=2, accumulation=2), 0, 2
    )
    assert len({tuple(array.shape for array in micro) for step in steps for micro in step.micro}) == 1


def test_a_trace_longer_than_a_row_is_refused_by_name() -> None:
    with pytest.raises(errors.Invalid, match=r"trace e1 has 40 tokens, a row has 32.*row_tokens"):
        packing.plan(examples_of([(2, 3), (20, 20)]), Batch(row_tokens=32), 0, 1)


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="nothing to train on"):
        packing.plan([], Batch(), 0, 1)
