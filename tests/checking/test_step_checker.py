"""What one step's text says: found, evaluated exactly, asked where its numbers come from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunix_rt import checking, tasks
from tunix_rt.checking import StepCheck, TraceCheck
from tunix_rt.claims import Claim
from tunix_rt.traces import Step, Trace

NUMBERS = (
    " ".join(map(str, range(101))) + " 1,234 $31.50 3/4 2 1/2 33.33 0.75 1.5 ½ 2½"
)  # a prompt that gives every operand below


def trace(*contents: str, prompt: str = NUMBERS, answer: str = "whatever") -> Trace:
    steps = tuple(Step(i=i, type="compute", content=content) for i, content in enumerate(contents, 1))
    return Trace(prompt=prompt, steps=steps, final_answer=answer)


def checked(*contents: str, prompt: str = NUMBERS, answer: str = "whatever") -> TraceCheck:
    return checking.check(trace(*contents, prompt=prompt, answer=answer))


def last(*contents: str, prompt: str = NUMBERS) -> StepCheck:
    return checked(*contents, prompt=prompt).steps[-1]


@pytest.mark.parametrize(
    "text",
    [
        "30 * 5 = 150 kilometers",
        "38 + 47 = 78 + 7 = 85",
        "7 - 9 = -2",
        "12 = 10 + 2",
        "(1 + 2) * (3 + 4) = 21",
        "2(3 + 4) = 14",
        "-3 + 5 = 2",
        "2^5 = 32",
        "5² = 25",
        "10 ÷ 4 = 2.5",
        "5 × 3 = 15, 5 · 3 = 15 and 5 x 3 = 15",
        "10 − 4 = 6",
        "1,234 + 6 = 1,240",
        "2 1/2 + 1/2 = 3",
        "3/4 = 0.75",
        "20% of 50 = 10",
        "1/3 of 9 = 3",
        "7 / 10 * 100 = 70%",
        "7 * 10% = 70%",
        "$31.50 * 2 = $63",
        "€5 * 3 = €15.00",
        "$5/hour * 3 hours = $15",
        "60 km/h * 2 h = 120 km",
        "2 m^2 + 3 m^2 = 5 m^2",
        "100 / 3 = 33.33",
        "100 / 7 ≈ 14.3",
        "5 feet = 60 inches",
        "1 hour = 60 minutes",
        "3 dozen = 36",
        "84 / 12 = 7 dozen eggs",
        "3 dozen x 12 eggs/dozen = 36 eggs",
        "4 - 1.5 = 2.5 dozen",
        "¾ x 3/3 = 9/12",
        "2½ + ½ = 3",
        "2m + 3m = 5m",
        "48/2 = <<48/2=24>>24 clips",
        "**5 * 3 = 15**",
        "- 5 * 3 = 15",
        "1. 5 * 3 = 15",
        r"\frac{6}{2} = 3",
        r"\(6 \times 2 = 12\)",
        "3 + 4 is equal to 7",
        "3 times 5 equals 15",
        "3 + 4 is not equal to 8",
        "3 < 5",
        "50 and 48 are different",
        "First: 3 + 4 = 7 and 7 * 2 = 14.",
        "28 / 9 = 3 remainder 1",
        "20% means divide by 5",
    ],
)
def test_a_true_statement_is_ok(text: str) -> None:
    assert last(text).verdict == "ok"


@pytest.mark.parametrize(
    ("text", "expected", "got"),
    [
        ("30 * 5 = 140 kilometers", "150", "140"),
        ("38 + 47 = 78 + 8 = 86", "85", "78 + 8"),
        ("100 / 3 = 33.34", "100/3", "33.34"),
        ("10 / 4 = 3", "2.5", "3"),
        ("20% of 50 = 12", "10", "12"),
        ("$8 * 3 = $25", "$24", "$25"),
        ("1 hour = 100 minutes", "1", "100 minutes"),
        ("3 + 4 equals 8", "7", "8"),
        ("First: 3 + 4 = 7 and 7 * 2 = 15.", "14", "15"),
        ("48/2 = <<48/2=25>>25 clips", "24", "25"),
        ("5 < 3", "5", "3"),
        ("50 and 48 are the same", "different", "the same"),
        ("28 / 9 = 3 remainder 2", "3 remainder 1", "3 remainder 2"),
        ("20% means divide by 4", "5", "4"),
        ("84 / 12 = 8 dozen eggs", "7", "8"),
        ("3 dozen * 2 = 71", "72", "71"),
        ("½ + ½ = 2", "1", "2"),
        ("2m + 3m = 6m", "5", "6"),
    ],
)
def test_a_false_statement_is_wrong_and_says_what_is_true(text: str, expected: str, got: str) -> None:
    check = last(text)
    assert check.verdict == "wrong"
    assert (check.expected, check.got) == (expected, got) or check.kind == "unit"
    assert check.span is not None
    assert check.kind in ("unit", "comparison", "plan") or got in text[slice(*check.span)]


@pytest.mark.parametrize(
    "text",
    [
        "Think first.",
        "1 box = 12 eggs",
        "The sum of 3 and 5 + 2 = 10",
        "the area of 4 = 16",
        "distance = pace * time",
        "f(3) = 9 and f(3 + 1) = 16",
        "a_1 = 3, x1 + 3 = 5",
        "√16 = 4, log_2 8 = 3, 5! = 120",
        r"\sqrt{16} = 4",
        "let n = 5",
        "the numbers 3, 4 = 12",
        "5 / 0 = 0",
        "4a + 3b = 0, so 18a + b = 1/2",
        "b^2 - 4ac > 0",
        r"\(243 \mod 11 = 1\)",
        "f'(1) = 0, g(2) = 4 / sqrt(16) = 1",
        "Q(0 - 1) = (0 - 1 + 1)P(0 - 1) - 3",
        "12 ± 2 + 1 = 0",
        "4s + 16 = 2s + 32",
        "The animals have 2g + 4s = 70 legs.",
        "2D + 18 = 98",
        "32 / 96 = 33.333...%",
        "25 classmates + his 1 teacher + 1 himself = 27 people",
    ],
)
def test_what_cannot_be_judged_is_unchecked(text: str) -> None:
    assert last(text).verdict == "unchecked"


def test_an_operand_from_nowhere_is_ungrounded() -> None:
    assert checked("30 * 7 = 210", prompt="30 kilometers in 5 hours").steps[0].model_dump(exclude={"span"}) == {
        "i": 1,
        "verdict": "ungrounded",
        "kind": "operand",
        "expected": None,
        "got": "7",
    }
    assert last("30 * 5 = 150", "150 * 2 = 300", prompt="30 kilometers in 5 hours").verdict == "ok"


def test_a_rounded_value_may_stand_for_the_exact_one() -> None:
    assert last("100 / 3 = 33.33", "33.33 * 3 = 100").verdict == "ok"
    assert last("33.33 * 3 = 100", prompt="33.33 3").verdict == "wrong"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("2 * x = 7 - 3 = 4", "ok"),
        ("x = 4 / 2 = 2", "ok"),
        ("2x = 5", "wrong"),
        ("so x = 3", "wrong"),
        ("y = 3", "unchecked"),
        ("If x = 3, it is odd", "unchecked"),
    ],
)
def test_an_equation_must_hold_for_the_prompts_solution(text: str, verdict: str) -> None:
    assert last(text, prompt="Solve 2 * x + 3 = 7. 4").verdict == verdict


def test_one_mistake_is_reported_once() -> None:
    check = checked("14 * 2 = 27", "27 + 3 = 30", answer="30")
    assert [step.verdict for step in check.steps] == ["wrong", "ok"]
    assert check.first_wrong == 1
    check = checked("10 / 4 = 2.4", "2.4 + 1 = 3.4", answer="3.4")
    assert [step.verdict for step in check.steps] == ["wrong", "ok"]


@pytest.mark.parametrize(
    ("contents", "answer", "verdict"),
    [
        (("3 * 4 = 12",), "12", "ok"),
        (("3 * 4 = 12",), "12 apples", "ok"),
        (("3 * 4 = 12",), "13", "wrong"),
        (("7 / 2 = 3.5",), "4", "ok"),
        (("3 * 4 = 12", "Half of that is 6"), "6", "ok"),
        (("3 * 4 = 12, so half of that is 6",), "6", "ok"),
        (("6 is half, for 3 * 4 = 12",), "6", "wrong"),
        (("28 / 9 = 3 remainder 1",), "1", "ok"),
        (("15 and 16 are different, so the answer is no",), "yes", "wrong"),
        (("Think.",), "5", "unchecked"),
    ],
)
def test_the_answer_is_what_the_steps_reach(contents: tuple[str, ...], answer: str, verdict: str) -> None:
    check = checked(*contents, answer=answer)
    assert check.answer.verdict == verdict
    assert check.wrong == (verdict == "wrong")
    assert check.first_wrong is None


def test_carried_claims_are_evaluated_and_must_be_shown() -> None:
    def step(content: str, result: int) -> StepCheck:
        claim = Claim(op="add", args=(2, 2), result=result)
        made = Step(i=1, type="compute", content=content, claims=(claim,))
        return checking.check(Trace(prompt="p", steps=(made,), final_answer="4")).steps[0]

    assert step("altogether 4", 4).verdict == "ok"
    assert (step("altogether 5", 5).verdict, step("altogether 5", 5).expected) == ("wrong", "4")
    assert step("altogether five", 4).verdict == "wrong"


CELLS = [(task, level) for task in tasks.CATALOGUE.values() for level in tasks.LEVELS]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CELLS), st.integers(0, 10_000), st.sampled_from([None, *tasks.TRANSFORMS]))
def test_our_own_traces_are_ok_from_their_text_alone(cell: tuple[tasks.Task, int], k: int, transform: str | None) -> None:
    task, level = cell
    made = tasks.item(task, level, 3, k % task.capacity[level - 1], transform)
    bare = trace(*(step.content for step in made.steps), prompt=made.prompt, answer=made.final_answer)
    for each in (bare, made):
        check = checking.check(each)
        assert [(step.verdict, content.content) for step, content in zip(check.steps, each.steps, strict=True)] == [
            ("ok", content.content) for content in each.steps
        ]
        assert check.answer.verdict == "ok"
