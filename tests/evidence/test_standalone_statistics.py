"""The script's own arithmetic against scipy and the package's."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tunix_rt import statistics
from tunix_rt.evidence import standalone

rows = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from("abcdefgh")), min_size=1, max_size=60
)


@pytest.mark.parametrize("df", [1, 2, 3, 10, 39, 199, 5000])
def test_student_t_agrees_with_scipy(df: int) -> None:
    for t in (-40, -2.5, -0.1, 0, 0.3, 2, 7):
        assert standalone.t_cdf(t, df) == pytest.approx(special.stdtr(df, t), abs=1e-12)
    for p in (0.05, 0.5, 0.8, 0.975, 0.999):
        assert standalone.t_quantile(p, df) == pytest.approx(special.stdtrit(df, p), rel=1e-10, abs=1e-12)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_the_package(rate: tuple[int, int]) -> None:
    assert standalone.wilson(*rate) == pytest.approx(list(statistics.wilson(*rate)), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from("abcdefgh")), min_size=1, max_size=60))
def test_the_interval_of_a_rate_agrees_with_the_package(items: list[tuple[int, str]]) -> None:
    right, groups = zip(*items, strict=True)
    assert standalone.rate(right, groups) == pytest.approx(list(statistics.mean(right, groups).ci95), abs=1e-10)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_agrees_with_the_package(fixed: int, broken: int) -> None:
    assert standalone.mid_p(fixed, broken) == pytest.approx(statistics.mcnemar(fixed, broken), rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(rows)
def test_a_paired_comparison_agrees_with_the_package(items: list[tuple[int, int, str]]) -> None:
    before, after, groups = zip(*items, strict=True)
    made = statistics.paired(before, after, groups)._asdict()
    assert (
        standalone.differences(standalone.compare(before, after, groups, 0.05), {**made, "ci95": list(made["ci95"])}, "") == []
    )


def test_nothing_observed_is_never_certainty() -> None:
    found = standalone.estimate([1] * 10, list("ababababab"), (4, 2, 2), 0.0)
    assert found["low"] < found["high"] == 1
    assert not math.isnan(found["low"])
