"""Packing loses nothing, cuts nothing, and follows from the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunix_rt import errors
from tunix_rt.engine import packing
from tunix_rt.engine.prompts import Example
from tunix_rt.jobs import Batch


def examples_of(lengths: list[tuple[int, int]]) -> list[Example]:
    """(prefix, completion) lengths to examples whose tokens name their example and place."""
    return [
        Example(f"e{number}", tuple(1000 * (number + 1) + place for place in range(prefix + rest)), prefix)
        for number, (prefix, rest) in enumerate(lengths)
    ]


sizes = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 20)), min_size=1, max_size=60)
batches = st.builds(Batch, row_tokens=st.just(32), rows=st.integers(1, 3), accumulation=st.integers(1, 3))


@given(sizes, batches, st.integers(0, 5), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_every_example_is_seen_once_an_epoch_and_whole(
    lengths: list[tuple[int, int]], batch: Batch, seed: int, epochs: int
) -> None:
    examples = examples_of(lengths)
    steps = packing.plan(examples, batch, seed, epochs)
    assert sorted(i for step in steps for i in step.ids) == sorted(e.id for e in examples * epochs)
    seen = []
    for micro in (micro for step in steps for micro in step.micro):
        for row, segments, positions in zip(micro.tokens, micro.segments, micro.positions, strict=True):
            for segment in range(1, segments.max() + 1):
                here = segments == segment
                seen.append(tuple(row[here]))
                assert list(positions[here]) == list(range(here.sum()))
    assert sorted(seen) == sorted(e.tokens for e in examples * epochs)


@given(sizes, batches, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_exactly_the_completions_are_trained_with_equal_weight(lengths: list[tuple[int, int]], batch: Batch, seed: int) -> None:
    examples = {e.id: e for e in examples_of(lengths)}
    for step in packing.plan(list(examples.values()), batch, seed, 1):
        targets: list[int] = []
        for micro in step.micro:
            used = micro.weights > 0
            flat = micro.tokens.reshape(-1)
            assert np.array_equal(flat[micro.slots[used] + 1], micro.targets[used])
            assert np.array_equal(
                micro.segments.reshape(-1)[micro.slots[used]], micro.segments.reshape(-1)[micro.slots[used] + 1]
            )
            targets += micro.targets[used].tolist()
            np.testing.assert_allclose(micro.weights[used], batch.accumulation / step.trained, rtol=1e-6)
        assert sorted(targets) == sorted(token for i in step.ids for token in examples[i].tokens[examples[i].prefix :])
        assert step.trained == len(targets)


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
