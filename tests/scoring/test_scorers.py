"""Every scorer on answers whose mark a person would agree on."""

from typing import Any

import pytest

from tunix_rt import errors
from tunix_rt.scoring import scorers
from tunix_rt.scoring.scorers import Case
from tunix_rt.traces import Trace


def case(expected: str, output: str, finish: str = "stop", steps: tuple[str, ...] = ("think",), **meta: Any) -> Case:
    lines = [{"i": i, "type": "compute", "content": text} for i, text in enumerate(steps, start=1)]
    prompt = meta.pop("prompt", "How many?")
    trace = Trace.model_validate({"prompt": prompt, "steps": lines, "final_answer": expected, "meta": meta})
    return Case(item=trace.id, group="g", reference=trace, output=output, finish=finish, tokens=len(output))


def mark(name: str, expected: str, output: str, options: dict[str, Any] | None = None, **about: Any) -> str:
    return scorers.named(name, options).score(case(expected, output, **about)).outcome


@pytest.mark.parametrize(
    ("expected", "output", "outcome"),
    [
        ("72", "1. x\nAnswer: 72", "correct"),
        ("72", "so the answer is 72.", "correct"),
        ("1/2", "Answer: 0.50", "wrong"),
        ("Paris", "Answer: paris", "wrong"),
        ("72", "I think 72", "unparseable"),
        ("72", "well \\boxed{72}", "correct"),
    ],
)
def test_exact(expected: str, output: str, outcome: str) -> None:
    assert mark("exact", expected, output) == outcome


def test_exact_can_fold_case_and_tells_a_cut_off_output() -> None:
    assert mark("exact", "Paris", "Answer: paris", {"fold": "true"}) == "correct"
    assert mark("exact", "Paris", "Let us", finish="length") == "truncated"


@pytest.mark.parametrize(
    ("expected", "given", "options", "outcome"),
    [
        ("0.5", "1/2", {}, "correct"),
        ("3.14159", "3.14", {}, "wrong"),
        ("3.14159", "3.14", {"absolute": "0.01"}, "correct"),
        ("1000", "1009", {"relative": "0.01"}, "correct"),
        ("1000", "1011", {"relative": "0.01"}, "wrong"),
        ("2 km", "2000 m", {}, "correct"),
        ("2 km", "2 m", {}, "wrong"),
        ("2 km", "2.05 km", {"absolute": "0.1"}, "correct"),
        ("2 km", "2050 m", {"absolute": "0.1"}, "correct"),
        ("2 km", "2", {}, "correct"),
        ("2 km", "2 m", {"units": "ignored"}, "correct"),
        ("$72", "72 dollars", {}, "correct"),
        ("$0.72", "72 cents", {}, "correct"),
        ("$72", "€72", {}, "wrong"),
        ("$1,200.50", "1200.5", {}, "correct"),
        ("12%", "12 percent", {}, "correct"),
        ("12%", "0.12", {}, "wrong"),
        ("12%", "0.12", {"percent": "hundredth"}, "correct"),
        ("3 apples", "3 pears", {}, "wrong"),
        ("72", "It is 72 dollars in all", {}, "correct"),
        ("72", "either 71 or 72", {}, "unparseable"),
        ("72", "many", {}, "unparseable"),
        ("1e9", "5", {}, "unparseable"),
    ],
)
def test_numeric(expected: str, given: str, options: dict[str, str], outcome: str) -> None:
    assert mark("numeric", expected, f"Answer: {given}", options) == outcome


def test_numeric_leaves_words_out() -> None:
    assert not scorers.named("numeric").applies(case("yes", "Answer: yes"))
    assert scorers.named("numeric").applies(case("12 %", "x"))


OPTIONS = {"choices": ["red", "blue", "green"]}


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ("B", "correct"),
        ("(b)", "correct"),
        ("**B.** blue", "correct"),
        ("blue", "correct"),
        ("option B", "correct"),
        ("C", "wrong"),
        ("red", "wrong"),
        ("D", "unparseable"),
        ("because", "unparseable"),
    ],
)
def test_choice(given: str, outcome: str) -> None:
    for expected in ("B", "blue"):
        assert mark("choice", expected, f"Answer: {given}", **OPTIONS) == outcome


def test_choice_reads_the_options_of_the_prompt() -> None:
    prompt = "Which colour?\nA) red\nB) blue"
    assert mark("choice", "B", "Answer: blue", prompt=prompt) == "correct"
    assert not scorers.named("choice").applies(case("B", "Answer: B"))


def test_regex_takes_the_last_group_or_the_mere_match() -> None:
    assert mark("regex", "7", "total=3 total=7", {"pattern": r"total=(\d+)"}) == "correct"
    assert mark("regex", "7", "total=7 total=3", {"pattern": r"total=(\d+)"}) == "wrong"
    assert mark("regex", "7", "nothing", {"pattern": r"total=(\d+)"}) == "unparseable"
    assert mark("regex", "7", "it is done", {"pattern": "done"}) == "correct"


def test_what_a_scorer_does_not_know_is_named() -> None:
    with pytest.raises(errors.NotFound, match="Did you mean 'numeric'"):
        scorers.named("numerik")
    with pytest.raises(errors.Invalid, match=r"unknown key 'absolut'\. Did you mean 'absolute'"):
        scorers.named("numeric", {"absolut": 1})
    with pytest.raises(errors.Invalid, match="not a pattern RE2 reads"):
        scorers.named("regex", {"pattern": r"(?<=a)b"})


BAGS = {"prompt": "3 bags of 4 apples and 5 more. How many apples?", "steps": ("3 * 4 = 12", "12 + 5 = 17")}


def _steps(output: str) -> tuple[str, dict[str, Any]]:
    found = scorers.named("steps").score(case("17", output, **BAGS))
    return found.outcome, found.details


def test_steps_tell_right_answers_from_right_reasoning() -> None:
    outcome, details = _steps("1. 3 * 4 = 12\n2. 12 + 5 = 17\nAnswer: 17")
    assert (outcome, details["reasoning"], details["answer_right"], details["coverage"]) == ("correct", "right", True, 1.0)
    outcome, details = _steps("1. 3 * 4 = 13\n2. 13 + 5 = 17\nAnswer: 17")
    assert (outcome, details["reasoning"], details["first_wrong"]) == ("wrong", "wrong", 1)
    assert details["answer_right"]
    outcome, details = _steps("1. 3 * 4 = 12\n2. 12 + 5 = 17\nAnswer: 16")
    assert (outcome, details["reasoning"], details["answer_right"]) == ("wrong", "right", False)


def test_steps_of_free_text_are_its_lines_and_what_cannot_be_checked_is_not_right() -> None:
    outcome, details = _steps("First 3 * 4 = 12.\nThen 12 + 5 = 17.\nThe answer is 17")
    assert (outcome, details["reasoning"]) == ("correct", "right")
    _, details = _steps("Well, I feel it.\nAnswer: 17")
    assert details["reasoning"] == "unchecked"
    assert _steps("")[0] == "unparseable"
    assert _steps("1. 3 * 4 = 12")[0] == "unparseable"


def test_format_and_length() -> None:
    assert mark("format", "1", "1. x\nAnswer: 2") == "correct"
    assert mark("format", "1", "Answer 2") == "unparseable"
    assert mark("length", "1", "x" * 10, {"most": 10}) == "correct"
    assert mark("length", "1", "x" * 11, {"most": 10}) == "wrong"
    assert mark("length", "1", "x", finish="length") == "truncated"


ATTEMPT = {"prompt": "Sum?\n\nAttempt:\n1. 1 + 2 = 3\n2. 3 + 3 = 7\nAnswer: 7\n\nWhich step?", "review": "find"}


@pytest.mark.parametrize(
    ("output", "first_wrong", "outcome", "said"),
    [
        ("1. x\nAnswer: 2", 2, "correct", 2),
        ("1. x\nAnswer: 1", 2, "correct", 1),
        ("1. x\nAnswer: none", 2, "wrong", 0),
        ("1. x\nAnswer: none", 0, "correct", 0),
        ("1. x\nAnswer: step 2", 0, "wrong", 2),
        ("1. x\nAnswer: 7", 2, "unparseable", None),
        ("I think that step 2 is wrong.", 2, "correct", 2),
        ("Step 1 looks good. There is no mistake.", 0, "correct", 0),
        ("3 + 3 = 6", 2, "unparseable", None),
    ],
)
def test_detection_asks_first_whether_there_is_a_wrong_step(
    output: str, first_wrong: int, outcome: str, said: int | None
) -> None:
    expected = str(first_wrong or "none")
    found = scorers.named("detection").score(case(expected, output, first_wrong=first_wrong, **ATTEMPT))
    assert (found.outcome, found.details["said"]) == (outcome, said)


def test_detection_leaves_other_items_out() -> None:
    assert not scorers.named("detection").applies(case("2", "Answer: 2", first_wrong=2))
