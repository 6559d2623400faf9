"""Random choices: a function of (seed, stream, k), uniform, and without repetition where a permutation is asked for."""

from collections import Counter

import pytest

from tunix_rt import errors
from tunix_rt.tasks.rng import Rng


def test_same_name_same_choices() -> None:
    assert [Rng(1, "x@1/1", 5).below(1000) for _ in range(3)] == [Rng(1, "x@1/1", 5).below(1000)] * 3


@pytest.mark.parametrize("other", [Rng(2, "x@1/1", 5), Rng(1, "x@2/1", 5), Rng(1, "x@1/1", 6)])
def test_seed_stream_and_position_all_count(other: Rng) -> None:
    mine = Rng(1, "x@1/1", 5)
    assert [mine.below(2**60) for _ in range(4)] != [other.below(2**60) for _ in range(4)]


def test_neighbouring_seeds_share_no_items() -> None:
    first = {Rng(1, "x", k).below(2**60) for k in range(500)}
    assert first.isdisjoint(Rng(2, "x", k).below(2**60) for k in range(500))


def test_below_is_uniform() -> None:
    rng = Rng(7, "uniform", 0)
    counts = Counter(rng.below(6) for _ in range(6000))
    assert set(counts) == set(range(6))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # chi-squared, 5 degrees, p = 0.001


def test_between_includes_both_ends() -> None:
    rng = Rng(7, "ends", 0)
    assert {rng.between(3, 5) for _ in range(100)} == {3, 4, 5}


def test_some_takes_each_position_once() -> None:
    assert sorted(Rng(7, "some", 0).some("abcdef", 6)) == list("abcdef")


@pytest.mark.parametrize("n", [1, 2, 3, 10, 255, 256, 257, 1000])
def test_unique_visits_everything_once(n: int) -> None:
    assert sorted(Rng(3, "permuted", k).unique(n) for k in range(n)) == list(range(n))


def test_unique_differs_by_seed() -> None:
    assert [Rng(1, "p", k).unique(100) for k in range(20)] != [Rng(2, "p", k).unique(100) for k in range(20)]


def test_unique_ends_with_its_space() -> None:
    with pytest.raises(errors.Invalid, match="has only 10 different items"):
        Rng(1, "p", 10).unique(10)
