import pytest

from tunix_rt import errors, scoring, statistics

OUTPUTS = ["1. 3 + 4 = 7\nAnswer: 7", "1. 3 + 4 = 8\nAnswer: 8", "It is 7.", "1. 3 + 4 = ", "hm"]
FINISH = ["stop", "stop", "stop", "length", "stop"]


def _rows(copies: int = 1) -> list[scoring.ScoreRow]:
    return [
        scoring.score(f"{copy}-{i}", f"group-{i % 2}", "7", output, finish)
        for copy in range(copies)
        for i, (output, finish) in enumerate(zip(OUTPUTS, FINISH, strict=True))
    ]


def test_all_four_outcomes_are_counted() -> None:
    summary = scoring.summarise(_rows())
    assert summary.model_dump(include={"n", "correct", "wrong", "unparseable", "truncated", "accuracy"}) == {
        "n": 5,
        "correct": 1,
        "wrong": 1,
        "unparseable": 2,
        "truncated": 1,
        "accuracy": 0.2,
    }
    assert (summary.lenient.correct, summary.lenient.wrong, summary.lenient.truncated) == (2, 1, 1)


def test_intervals_are_wilson_and_clustered() -> None:
    rows = _rows(copies=8)
    summary = scoring.summarise(rows)
    assert summary.ci95 == statistics.wilson(8, 40)
    clustered = statistics.mean([float(row.strict == "correct") for row in rows], [row.group for row in rows])
    assert (summary.groups, summary.ci95_clustered) == (2, clustered.ci95)


def test_the_summary_has_exactly_the_documented_keys_in_order() -> None:
    summary = scoring.summarise(_rows()).model_dump(mode="json")
    counts = ["n", "correct", "wrong", "unparseable", "truncated", "accuracy", "ci95"]
    assert list(summary) == [*counts, "groups", "ci95_clustered", "lenient"]
    assert list(summary["lenient"]) == counts


def test_no_items_have_no_accuracy() -> None:
    with pytest.raises(errors.Invalid, match="no item"):
        scoring.summarise([])
