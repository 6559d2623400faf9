"""Leaderboard, baselines, tables, flips and the gate, on evaluations whose truth is known."""

import time
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from tunix_rt import comparisons, errors, evals, scoring
from tunix_rt.comparisons import Filters, baselines, gates, locks
from tunix_rt.evals import rescoring
from tunix_rt.evals.looks import Look, note
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings

Answering = Callable[..., str]


def loaded(place: Settings, name: str) -> comparisons.Evaluation:
    return comparisons.load(evals.find(place, name))


# ── the gate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_better_passes_damaged_fails_and_twenty_items_decide_nothing(place: Settings, answering: Answering) -> None:
    base, better, damaged = answering(0.5, 1), answering(0.8, 2), answering(0.1, 3)
    passed = comparisons.judge(place, better, base, 0.05)
    assert (passed.decision, passed.verdict) == ("pass", "better")
    failed = comparisons.judge(place, damaged, base, 0.05)
    assert (failed.decision, failed.verdict) == ("fail", "worse")
    few, other = answering(0.5, 4, limit=20), answering(0.9, 5, limit=20)
    unsure = comparisons.judge(place, other, few, 0.3)
    assert (unsure.decision, unsure.n) == ("inconclusive", 20)
    assert "20 items are too few" in unsure.reason


def test_equal_systems_are_not_told_apart_and_pass_only_a_margin_the_items_can_see(
    place: Settings, answering: Answering
) -> None:
    one, other = answering(0.6, 6), answering(0.6, 7)
    wide = comparisons.judge(place, other, one, 0.25)
    assert wide.decision == "pass"
    assert wide.verdict in ("cannot tell", "equivalent")
    narrow = comparisons.judge(place, other, one, 0.001)
    assert (narrow.decision, narrow.verdict) == ("inconclusive", "cannot tell")


def test_the_same_answers_in_another_order_are_equivalent(place: Settings, answering: Answering) -> None:
    name = answering(0.6, 8)
    evaluation = loaded(place, name)
    order = np.random.default_rng(0).permutation(len(evaluation.scores))
    shuffled = evaluation._replace(
        scores=tuple(evaluation.scores[k] for k in order), predictions=tuple(evaluation.predictions[k] for k in order)
    )
    made = comparisons.compare(evaluation, shuffled, 0.05)
    assert (made.verdict, made.difference, made.p_value) == ("equivalent", 0.0, 1.0)


def test_equal_systems_are_wrongly_called_apart_in_at_most_one_of_twenty(place: Settings, answering: Answering) -> None:
    names = [answering(0.6, seed) for seed in range(100, 110)]
    made = [loaded(place, name) for name in names]
    verdicts = [comparisons.compare(a, b).verdict for i, a in enumerate(made) for b in made[i + 1 :]]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) / len(verdicts) <= 0.055


def test_less_can_be_better(place: Settings, answering: Answering) -> None:
    base, candidate = answering(0.6, 9), answering(0.6, 10)
    for name in (base, candidate):
        folder = evals.find(place, name)
        evals.rescore(place, folder, scorers.named("length", {"most": 8}))
    made = comparisons.judge(place, candidate, base, 0.1, metric="unparseable")
    assert (made.direction, made.decision, made.difference) == ("lower_is_better", "pass", 0.0)
    baselines.put(place, "short", base, dataset=None, metric="strict", better="lower_is_better")
    worse = comparisons.judge(place, answering(0.95, 11), "short", 0.05)
    assert (worse.direction, worse.decision, worse.verdict) == ("lower_is_better", "fail", "worse")
    assert worse.difference > 0
    assert worse.bounds[1] < -0.05
    scored = comparisons.judge(place, candidate, base, 0.5, metric="length")
    assert scored.metric == "length"


def test_a_lock_counts_only_when_it_was_made_before(place: Settings, answering: Answering) -> None:
    base = answering(0.5, 12)
    early = answering(0.8, 13, began=time.time() - 60)
    baselines.put(place, "main", base, dataset=None, metric="strict", better=None)
    assert comparisons.judge(place, early, "main", 0.05).exploratory
    (criterion,) = gates.lockable(place, "main", 0.05, 0.05, None)
    lock = locks.put(place, criterion)
    assert locks.put(place, criterion) == lock
    assert comparisons.judge(place, early, "main", 0.05).exploratory
    late = answering(0.8, 14, began=time.time() + 60)
    made = comparisons.judge(place, late, "main", 0.05)
    assert (made.exploratory, made.lock_digest, made.decision) == (False, lock.criterion_digest, "pass")
    assert lock.criterion_digest in comparisons.page(made)
    for changed in ({"margin": 0.06}, {"margin": 0.05, "metric": "lenient"}, {"margin": 0.05, "alpha": 0.01}):
        assert comparisons.judge(place, late, "main", **changed).exploratory
    with pytest.raises(errors.Invalid, match="seed 7"):
        comparisons.judge(place, late, "main", 0.05, seed=7)


@pytest.mark.parametrize(
    ("about", "looked", "exploratory"),
    [
        ({}, {}, True),  # the same evaluation, whose folder was deleted
        ({}, {"evaluation_id": "another"}, True),  # the same model with another limit
        ({"run_id": "r", "adapter_digest": "a" * 64}, {"evaluation_id": "another"}, True),  # the same run with another limit
        ({}, {"at": 1.0}, False),  # a look after the lock
        ({}, {"evaluation_id": "another", "evalset_digest": "e"}, False),  # at another set
        ({}, {"evaluation_id": "another", "run_id": "other"}, False),  # of something else
        ({"run_id": "r", "adapter_digest": "a" * 64}, {"evaluation_id": "another", "run_id": None}, False),
    ],
)
def test_a_lock_made_after_looking_counts_for_nothing(
    place: Settings, answering: Answering, about: dict[str, str], looked: dict[str, object], exploratory: bool
) -> None:
    baselines.put(place, "main", answering(0.5, 80), dataset=None, metric="strict", better=None)
    lock = locks.put(place, gates.lockable(place, "main", 0.05, 0.05, None)[0])
    name = answering(0.8, 81, began=lock.locked_at + 60, **about)
    summary = loaded(place, name).summary.model_dump()
    look = {key: summary[key] for key in ("evaluation_id", "evalset", "evalset_digest", "model", "run_id")}
    assert not comparisons.judge(place, name, "main", 0.05).exploratory
    at = lock.locked_at + float(looked.get("at", 0))
    note(place, Look.parse(look | looked | {"at": at}, source="the look"))
    assert comparisons.judge(place, name, "main", 0.05).exploratory == exploratory


def _numeric(place: Settings, name: str, absolute: float) -> str:
    evals.rescore(place, evals.find(place, name), scorer := scorers.named("numeric", {"absolute": absolute}))
    return rescoring.digest(scorer)


def test_marks_of_scorers_with_other_options_are_not_held_against_each_other(place: Settings, answering: Answering) -> None:
    base, candidate = answering(0.5, 70), answering(0.5, 71)
    exact, loose = _numeric(place, base, 0), _numeric(place, candidate, 1e9)
    refused = rf"absolute 0.0 and 1000000000.0; .*: tunix-rt rescore {base} --scorer numeric; .* {candidate} --scorer numeric$"
    with pytest.raises(errors.Invalid, match=refused) as found:
        comparisons.judge(place, candidate, base, 0.05, metric="numeric")
    assert found.value.details == {"baseline": exact, "candidate": loose}
    with pytest.raises(errors.Invalid, match=rf"rescore {base} --scorer numeric --option absolute=1000000000.0$"):
        comparisons.judge(place, base, candidate, 0.05, metric="numeric")
    assert _numeric(place, candidate, 0) == exact
    assert comparisons.judge(place, candidate, base, 0.05, metric="numeric").scorer == exact
    assert exact[:12] in comparisons.page(comparisons.judge(place, candidate, base, 0.05, metric="numeric"))


def test_a_lock_pins_the_scorer_with_its_options(place: Settings, answering: Answering) -> None:
    base = answering(0.5, 72)
    baselines.put(place, "main", base, dataset=None, metric="numeric", better=None)
    with pytest.raises(errors.NotFound, match=f"rescore {base} --scorer numeric"):
        gates.lockable(place, "main", 0.05, 0.05, None)
    exact = _numeric(place, base, 0)
    lock = locks.put(place, gates.lockable(place, "main", 0.05, 0.05, None)[0])
    assert lock.criterion.scorer == exact
    candidate = answering(0.8, 73, began=time.time() + 60)
    _, loose = (_numeric(place, name, 1e9) for name in (base, candidate))  # chosen afterwards
    with pytest.raises(errors.Invalid, match=r"absolute 0.0 and 1000000000.0, and the first is locked"):
        comparisons.judge(place, candidate, "main", 0.05)
    other = comparisons.judge(place, candidate, "main", 0.06)  # not what was locked
    assert (other.exploratory, other.scorer) == (True, loose)
    _numeric(place, candidate, 0)
    made = comparisons.judge(place, candidate, "main", 0.05)
    assert (made.exploratory, made.scorer, made.lock_digest) == (False, exact, lock.criterion_digest)


def test_the_page_says_what_was_found(place: Settings, answering: Answering) -> None:
    base, better = answering(0.5, 15), answering(0.8, 16)
    made = comparisons.judge(place, better, base, 0.05)
    page = comparisons.page(made)
    assert page.startswith("# Gate: pass\n")
    assert "Exploratory" in page
    assert f"{100 * made.difference:+.1f} points" in page
    assert len(page.splitlines()) < 40


def test_what_cannot_be_decided_on_is_named(place: Settings, answering: Answering) -> None:
    base = answering(0.5, 17)
    with pytest.raises(errors.NotFound, match="no evaluation and no baseline"):
        comparisons.judge(place, base, "nothing", 0.05)
    with pytest.raises(errors.NotFound, match="Did you mean 'strict'"):
        comparisons.judge(place, base, base, 0.05, metric="strickt")
    with pytest.raises(errors.Invalid, match="margin"):
        comparisons.judge(place, base, base, 0.0)
    with pytest.raises(errors.NotFound, match="rescore"):
        comparisons.judge(place, base, base, 0.05, metric="steps")


# ── baselines ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_baseline_is_scoped_by_set_and_dataset(place: Settings, answering: Answering) -> None:
    one, other = answering(0.5, 18), answering(0.6, 19)
    general = baselines.put(place, "main", one, dataset=None, metric="strict", better=None)
    special = baselines.put(place, "main", other, dataset="sums", metric="strict", better=None)
    assert baselines.listed(place) == [general, special]
    assert baselines.scoped(place, "main", general.evalset_digest, "sums") == special
    assert baselines.scoped(place, "main", general.evalset_digest, "others") == general
    assert baselines.scoped(place, "main", general.evalset_digest, None) == general
    again = baselines.put(place, "main", other, dataset=None, metric="lenient", better=None)
    assert baselines.listed(place) == [again, special]
    with pytest.raises(errors.NotFound, match="only set on eval-wide, eval-wide for sums"):
        baselines.scoped(place, "main", "0" * 64, None)
    with pytest.raises(errors.NotFound, match="Did you mean 'main'"):
        baselines.scoped(place, "mian", general.evalset_digest, None)
    with pytest.raises(errors.Invalid, match="lower-case"):
        baselines.put(place, "../x", one, dataset=None, metric="strict", better=None)


# ── boards and tables ───────────────────────────────────────────────────────────────────────────────────────────────


def test_ties_share_a_rank_and_a_clear_difference_does_not(place: Settings, answering: Answering) -> None:
    low, twin, high = answering(0.30, 20), answering(0.31, 21), answering(0.9, 22)
    (board,) = comparisons.leaderboard(place, Filters())
    assert next((entry.evaluation_id, entry.rank) for entry in board.entries) == (high, 1)
    assert {entry.evaluation_id: entry.rank for entry in board.entries} == {high: 1, low: 2, twin: 2}
    assert {entry.evaluation_id: entry.tied for entry in board.entries} == {high: (), low: (twin,), twin: (low,)}
    answering(0.3, 23, limit=20)
    assert [len(board.entries) for board in comparisons.leaderboard(place, Filters())] == [3, 1]


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_new_tokens", 101), ("temperature", 0.8), ("top_k", 5), ("top_p", 0.9), ("samples", 2), ("stop", ("\n\n",))],
)
def test_answers_drawn_in_other_ways_are_not_held_against_each_other(
    place: Settings, answering: Answering, field: str, value: object
) -> None:
    about = {"temperature": 0.7}
    one, twin = answering(0.5, 60, **about), answering(0.5, 61, **about)
    other = answering(0.9, 62, **{**about, field: value})
    was, now = (getattr(comparisons.limits_of(evals.find(place, name)), field) for name in (one, other))
    with pytest.raises(errors.Invalid, match=f"drawn with {field} .*--any-instruction") as found:
        comparisons.compare(loaded(place, one), loaded(place, other))
    named = tuple(found.value.details[side] for side in ("baseline", "candidate"))
    assert named == (([], ["\n\n"]) if field == "stop" else (was, now))
    with pytest.raises(errors.Invalid, match=f"drawn with {field}"):
        comparisons.judge(place, other, one, 0.05)
    assert comparisons.compare(loaded(place, one), loaded(place, other), any_instruction=True).verdict == "better"
    assert comparisons.judge(place, twin, one, 0.05).n == 240  # another sampling seed alone is no other way
    boards = comparisons.leaderboard(place, Filters())
    assert [{entry.evaluation_id for entry in board.entries} for board in boards] == [{one, twin}, {other}]
    assert [getattr(board.limits, field) for board in boards if board.limits] == [was, now]


def test_an_outside_result_is_on_every_board_it_compares_with(place: Settings, answering: Answering) -> None:
    short, long, outside = answering(0.5, 63), answering(0.5, 64, max_new_tokens=101), answering(0.9, 65)
    (evals.find(place, outside) / "config.json").unlink()
    assert {comparisons.compare(loaded(place, one), loaded(place, outside)).verdict for one in (short, long)} == {"better"}
    boards = comparisons.leaderboard(place, Filters())
    names = [{entry.evaluation_id for entry in board.entries} for board in boards]
    assert len(names) == 2
    assert all(each in names for each in ({short, outside}, {long, outside}))


def test_a_board_can_be_narrowed(place: Settings, answering: Answering) -> None:
    name = answering(0.5, 24)
    today = comparisons.boards.finished(evals.find(place, name)).date()

    def shown(**filters: object) -> int:
        return sum(len(board.entries) for board in comparisons.leaderboard(place, Filters(**filters)))

    assert shown(model="tiny", config="base", evalset="eval-wide", since=today, until=today) == 1
    assert shown(model="other") == shown(config="x") == shown(dataset="d") == shown(evalset="e") == 0
    assert shown(since=date(2999, 1, 1)) == shown(until=date(1999, 1, 1)) == 0


def test_a_table_is_adjusted_as_a_whole(place: Settings, answering: Answering) -> None:
    base = loaded(place, answering(0.5, 25))
    candidates = {f"c{seed}": loaded(place, answering(0.5, seed)) for seed in range(30, 36)}
    rows = comparisons.table(base, {**candidates, "good": loaded(place, answering(0.9, 40))})
    assert all(row.p_adjusted >= row.p_value for row in rows)
    assert [row.name for row in rows if row.verdict == "better"] == ["good"]
    found = rows[-1].comparison
    assert (rows[-1].p_value < 0.05) == (found.ci95[0] > 0)


def test_several_seeds_are_one_recipe(place: Settings, answering: Answering) -> None:
    base = loaded(place, answering(0.4, 50))
    about = {"adapter_digest": "a" * 64}
    runs = [loaded(place, answering(0.7, seed, run_id=f"20250101-000000-{seed:06d}", **about)) for seed in (51, 52, 53)]
    made = comparisons.over_seeds(base, runs)
    alone = [comparisons.compare(base, one) for one in runs]
    assert made.by_seed == pytest.approx([one.difference for one in alone])
    assert made.difference == pytest.approx(np.mean(made.by_seed))
    assert made.between == pytest.approx(np.std(made.by_seed, ddof=1))
    unequal = [
        loaded(place, answering(share, seed, run_id=f"20250101-000000-{seed:06d}", **about))
        for share, seed in ((0.4, 54), (0.7, 55), (0.95, 56))
    ]
    low, high = comparisons.over_seeds(base, unequal).ci95
    assert high - low > 2 * max(one.ci95[1] - one.ci95[0] for one in alone)  # what seeds differ by is in it
    for wrong in (runs[:1], [runs[0], runs[0]], [runs[0], base]):
        with pytest.raises(errors.Invalid, match="at least two different runs"):
            comparisons.over_seeds(base, wrong)


def test_seeds_that_agree_on_every_item_are_no_certainty(place: Settings, answering: Answering) -> None:
    base = loaded(place, answering(0.0, 57))
    about = {"adapter_digest": "a" * 64}
    alike = [loaded(place, answering(0.0, seed, run_id=f"r{seed}", **about)) for seed in (57, 58, 59)]
    made = comparisons.over_seeds(base, alike)
    assert (made.difference, made.between) == (0.0, 0.0)
    low, high = made.ci95
    assert low < comparisons.compare(base, alike[0]).ci95[0] < 0 < high  # seeds - 1 degrees of freedom, one run has groups - 1


def test_a_flip_names_the_first_step_that_differs(place: Settings, answering: Answering) -> None:
    a, b = loaded(place, answering(0.5, 26)), loaded(place, answering(0.8, 27))
    found = comparisons.flips(a, b)
    assert [flip.change for flip in found] == sorted((flip.change for flip in found), key=comparisons.CHANGES.index)
    made = comparisons.compare(a, b)
    counts = [sum(flip.change == change for flip in found) for change in ("fixed", "broken")]
    assert counts == [made.fixed, made.broken]
    assert {flip.diverges_at for flip in found} == {None}  # all wrote the one step "x"


def _said(*steps: str) -> scoring.Prediction:
    about = {"item": "i", "prompt": "p", "output": "", "answer": "1", "tokens": 1, "prompt_tokens": 1, "finish": "stop"}
    return scoring.Prediction(**about, steps=steps)


def test_where_two_outputs_part_ways() -> None:
    diverging = comparisons.diverging
    assert diverging(_said("a", "b."), _said("a", "b")) is None
    assert diverging(_said("a", "b"), _said("a", "c")) == (2, "b", "c")
    assert diverging(_said("a"), _said("a", "c")) == (2, None, "c")
