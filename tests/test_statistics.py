"""Literals in this file were computed with scipy 1.17.1 and statsmodels 0.15.0 by the call named beside them."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import errors, statistics

GROUPS = [0] * 5 + [1] * 3 + [2] * 8 + [3] * 4 + [4] * 6 + [5] * 2
BEFORE = [1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 0]
AFTER = [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0]

scores = st.lists(st.sampled_from([0, 1]), min_size=2, max_size=60)
pairs = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from("abcd")), min_size=2, max_size=60)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # proportion_confint(successes, n, method="wilson")
        (69, 96, 0.6217410386959605, 0.7989258916163062),
        (0, 20, 0.0, 0.1611251580528194),
        (20, 20, 0.8388748419471804, 1.0),
        (1, 550, 0.00032102586905691146, 0.010226141966901893),
        (275, 550, 0.4583585959868895, 0.5416414040131105),
    ],
)
def test_wilson_agrees_with_statsmodels(successes: int, n: int, low: float, high: float) -> None:
    assert statistics.wilson(successes, n) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_rate_and_mirrors(rate: tuple[int, int]) -> None:
    successes, n = rate
    low, high = statistics.wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert statistics.wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(errors.Invalid, match="successes"):
        statistics.wilson(successes, n)


@pytest.mark.parametrize(
    ("values", "error"),
    [  # OLS(values, ones(28)).fit(cov_type="cluster", cov_kwds={"groups": GROUPS}, use_t=True).bse
        (BEFORE, 0.17339434150986163),
        (AFTER, 0.15260134996670846),
        ([a - b for a, b in zip(AFTER, BEFORE, strict=True)], 0.2874944542499731),
    ],
)
def test_clustered_error_agrees_with_statsmodels(values: list[int], error: float) -> None:
    assert statistics.clustered_standard_error(values, GROUPS) == pytest.approx(error, abs=1e-14)


def test_without_groups_it_is_the_ordinary_standard_error() -> None:
    # The literal is scipy.stats.sem of the same list.
    assert statistics.clustered_standard_error(BEFORE, range(28)) == pytest.approx(0.09221388919541469, abs=1e-14)


def test_clustered_interval_agrees_with_statsmodels_and_stays_in_range() -> None:
    # the same fit's conf_int(): [0.19713279816977264, 1.088581487544513]
    halves = statistics.mean([value / 2 for value in BEFORE], GROUPS)
    assert halves.ci95 == pytest.approx((0.19713279816977264 / 2, 1.088581487544513 / 2), abs=1e-12)
    shifted = statistics.mean([0.2 + 0.8 * value for value in BEFORE], GROUPS)
    assert shifted.ci95 == pytest.approx((0.2 + 0.8 * 0.19713279816977264, 1.0), abs=1e-12)
    assert (halves.value, halves.groups) == (pytest.approx(9 / 28), 6)


def test_the_interval_of_a_rate_is_wilsons_for_what_its_items_are_worth() -> None:
    """Solved here from its definition: the rates whose score test with t in place of z just does not refuse what was seen."""
    found, t = statistics.mean(BEFORE, GROUPS), scipy.stats.t.ppf(0.975, 5)
    rate = 18 / 28
    worth = 28 * (rate * (1 - rate) / 28) / statistics.clustered_standard_error(BEFORE, GROUPS) ** 2
    assert worth < 20  # the groups count

    def refused(truth: float) -> float:
        return float(abs(rate - truth) / np.sqrt(truth * (1 - truth) / worth) - t)

    ends = [scipy.optimize.brentq(refused, *bracket) for bracket in ((1e-6, rate), (rate, 1 - 1e-6))]
    assert found.ci95 == pytest.approx(tuple(ends), abs=1e-9)


def test_items_that_do_not_go_with_their_groups_are_worth_their_number_and_no_more() -> None:
    apart, n = statistics.mean([0, 1] * 20, [k // 2 for k in range(40)]), 40
    t = scipy.stats.t.ppf(0.975, 19)
    half = t / (1 + t * t / n) * np.sqrt(0.25 / n + t * t / (4 * n * n))
    assert apart.ci95 == pytest.approx((0.5 - half, 0.5 + half))
    assert statistics.mean([0] * 40, [k // 2 for k in range(40)]).ci95 == pytest.approx((0, t * t / (n + t * t)))


@given(scores)
def test_a_mean_lies_in_its_interval_and_zero_width_is_impossible(values: list[int]) -> None:
    value, _, _, (low, high) = statistics.mean(values)
    assert 0 <= low <= value <= high <= 1
    assert low < high


def test_one_group_tells_nothing() -> None:
    assert statistics.mean([1, 1, 1, 0], ["a"] * 4).ci95 == (0, 1)
    compared = statistics.paired([0] * 50, [1] * 50, ["a"] * 50)
    assert (compared.ci95, compared.verdict, compared.minimum_detectable_effect) == ((-1, 1), "cannot tell", 1)


def test_no_difference_and_a_single_group_have_a_p_of_1() -> None:
    assert statistics.p_value(statistics.differences([0, 1, 0, 1], [1, 0, 0, 1], ["a", "a", "b", "b"])) == 1
    assert statistics.p_value(statistics.differences([0] * 50, [1] * 50, ["a"] * 50)) == 1


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"),
    [  # 2 * binom.cdf(min - 1, n, 0.5) + binom.pmf(min, n, 0.5)
        (9, 3, 0.09228515625),
        (3, 9, 0.09228515625),
        (140, 2, 1.8469337967555538e-39),
        (1, 0, 0.5),
        (0, 0, 1.0),
        (250, 250, 1.0),
    ],
)
def test_mcnemar_agrees_with_scipy(fixed: int, broken: int, p_value: float) -> None:
    assert statistics.mcnemar(fixed, broken) == pytest.approx(p_value, rel=1e-12)


def test_mid_p_is_below_the_exact_test() -> None:
    # statsmodels mcnemar([[0, 9], [3, 0]], exact=True).pvalue
    assert statistics.mcnemar(9, 3) < 0.14599609375


REAL = ([0.09, 0.24, 0.8, 0.58, 0.09, 0.43, 0.48, 0.16], [0.14, 0.08, 0.81, 0.48, 0.17, 0.23, 0.39, 0.23])


def test_scores_between_zero_and_one_agree_with_the_paired_t_test() -> None:
    compared = statistics.paired(*REAL, margin=0.2)
    # The literals are of ttest_rel(after, before).confidence_interval() and ttost_paired(after, before, -0.2, 0.2).
    assert compared.ci95 == pytest.approx((-0.13361696651135951, 0.04861696651135955), abs=1e-12)
    assert compared.equivalence_p_value == pytest.approx(0.0023231773525845905, abs=1e-12)
    assert compared.verdict == "equivalent"


@given(pairs)
def test_swapping_baseline_and_candidate_mirrors_everything(rows: list[tuple[int, int, str]]) -> None:
    before, after, groups = zip(*rows, strict=True)
    one, other = statistics.paired(before, after, groups), statistics.paired(after, before, groups)
    assert (one.fixed, one.broken) == (other.broken, other.fixed)
    assert one.p_value == other.p_value
    assert one.ci95 == pytest.approx((-other.ci95.high, -other.ci95.low))
    assert one.minimum_detectable_effect == pytest.approx(other.minimum_detectable_effect)
    assert {one.verdict, other.verdict} in ({"better", "worse"}, {one.verdict})


@given(pairs)
def test_the_order_of_items_does_not_matter(rows: list[tuple[int, int, str]]) -> None:
    backwards = statistics.paired(*zip(*reversed(rows), strict=True))
    assert backwards == statistics.paired(*zip(*rows, strict=True))


@given(pairs)
def test_a_difference_lies_in_its_interval(rows: list[tuple[int, int, str]]) -> None:
    before, after, groups = zip(*rows, strict=True)
    compared = statistics.paired(before, after, groups)
    assert -1 <= compared.ci95.low <= compared.difference <= compared.ci95.high <= 1
    assert compared.n * compared.difference == pytest.approx(compared.fixed - compared.broken)


def test_many_fixed_and_few_broken_is_better() -> None:
    groups = [i % 40 for i in range(200)]
    compared = statistics.paired([0] * 195 + [1] * 5, [1] * 140 + [0] * 60, groups)
    assert (compared.verdict, compared.fixed, compared.broken) == ("better", 140, 5)


@pytest.mark.parametrize(("n", "verdict"), [(20, "cannot tell"), (400, "equivalent")])
def test_identical_systems_are_equivalent_only_on_enough_items(n: int, verdict: str) -> None:
    compared = statistics.paired([1, 0] * (n // 2), [1, 0] * (n // 2))
    assert (compared.difference, compared.p_value, compared.verdict) == (0, 1, verdict)


@pytest.mark.parametrize(("values", "problem"), [([], "no items"), ([0, 2], "not between 0 and 1"), ([math.nan], "nan")])
def test_refuses_scores_it_cannot_use(values: list[float], problem: str) -> None:
    with pytest.raises(errors.Invalid, match=problem):
        statistics.paired(values, values)


def test_refuses_a_margin_that_makes_no_sense() -> None:
    with pytest.raises(errors.Invalid, match="margin"):
        statistics.paired([0, 1], [1, 1], margin=5)


@given(st.integers(2, 2000), st.floats(0.001, 1))
def test_no_detectable_effect_exceeds_the_discordance_it_needs(n: int, discordance: float) -> None:
    effect = statistics.minimum_detectable_effect(n, discordance)
    assert 0 < effect <= 1
    if effect > discordance:
        assert effect == pytest.approx(statistics.minimum_detectable_effect(n, effect))


def test_too_few_items_detect_nothing() -> None:
    assert statistics.minimum_detectable_effect(2, 0.5, df=1) == 1
    assert statistics.clustered_standard_error([0, 1, 1], "aaa") == math.inf


def test_more_items_detect_smaller_effects() -> None:
    effects = [statistics.minimum_detectable_effect(n, 0.3) for n in (10, 100, 1000, 10_000)]
    assert effects == sorted(effects, reverse=True)


def _two_systems(rng: np.random.Generator, effect: float, spread: float) -> tuple[list[int], list[int], list[int]]:
    """40 templates of 10 items; `spread` is how much a template moves the success of its items."""
    groups = np.repeat(np.arange(40), 10)
    level = rng.uniform(0.5 - spread, 0.5 + spread, 40)[groups]
    shift = effect + rng.uniform(-spread / 2, spread / 2, 40)[groups]
    before = rng.random(400) < level - shift / 2
    after = rng.random(400) < level + shift / 2
    return before.astype(int).tolist(), after.astype(int).tolist(), groups.tolist()


def test_clustered_intervals_cover_the_truth_and_naive_ones_do_not() -> None:
    rng = np.random.default_rng(11)
    samples = [_two_systems(rng, 0.0, 0.45)[::2] for _ in range(400)]
    clustered = [statistics.mean(values, groups).ci95 for values, groups in samples]
    naive = [statistics.wilson(sum(values), len(values)) for values, _ in samples]
    covered = [sum(low <= 0.5 <= high for low, high in intervals) / 400 for intervals in (clustered, naive)]
    assert covered[0] > 0.92
    assert covered[1] < 0.85


def test_a_true_difference_of_zero_is_rarely_called_better_or_worse() -> None:
    rng = np.random.default_rng(12)
    verdicts = [statistics.paired(*_two_systems(rng, 0.0, 0.4)).verdict for _ in range(400)]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) / 400 < 0.08


def test_the_minimum_detectable_effect_is_detected_about_four_times_in_five() -> None:
    rng = np.random.default_rng(13)
    effect = statistics.paired(*_two_systems(rng, 0.0, 0.4)).minimum_detectable_effect
    verdicts = [statistics.paired(*_two_systems(rng, effect, 0.4)).verdict for _ in range(300)]
    assert 0.7 < verdicts.count("better") / 300 < 0.92
