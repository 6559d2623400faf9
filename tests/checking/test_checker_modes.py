"""What a reference adds: a step may be true in itself and still not arrive where it should."""

import pytest

from tunix_rt import checking, errors
from tunix_rt.checking import Mode
from tunix_rt.traces import Step, Trace

PROMPT = "A car drives 60 kilometers per hour for 4 hours, then 20 kilometers. How far?"
REFERENCE = ("60 * 4 = 240 kilometers", "240 + 20 = 260 kilometers")


def trace(*contents: str, answer: str = "260") -> Trace:
    steps = tuple(Step(i=i, type="compute", content=content) for i, content in enumerate(contents, 1))
    return Trace(prompt=PROMPT, steps=steps, final_answer=answer)


def first_wrong(mode: Mode, *contents: str, answer: str = "260") -> tuple[int | None, str | None]:
    check = checking.check(trace(*contents, answer=answer), mode=mode, reference=trace(*REFERENCE))
    return check.first_wrong, next((step.kind for step in check.steps if step.verdict == "wrong"), None)


@pytest.mark.parametrize("mode", ["anchored", "hybrid"])
@pytest.mark.parametrize(
    ("contents", "answer", "found"),
    [
        (REFERENCE, "260", (None, None)),
        (("4 * 60 = 240 kilometers", "20 + 240 = 260 kilometers"), "260", (None, None)),
        (("60 * 4 + 20 = 260",), "260", (None, None)),
        (("60 + 4 = 64 kilometers", "64 + 20 = 84 kilometers"), "84", (1, "reference")),
        (("60 * 4 = 240 kilometers", "240 - 20 = 220 kilometers"), "220", (2, "reference")),
        (("60 * 4 = 240 meters", "240 + 20 = 260 kilometers"), "260", (1, "unit")),
        (("240 + 20 = 260 kilometers",), "260", (1, "dropped step")),
        (("60 * 7 = 420 kilometers", "420 + 20 = 440 kilometers"), "440", (1, "operand")),
    ],
)
def test_a_step_that_leaves_the_reference_is_found(
    mode: Mode, contents: tuple[str, ...], answer: str, found: tuple[int | None, str | None]
) -> None:
    assert first_wrong(mode, *contents, answer=answer) == found


def test_free_mode_does_not_look_at_the_reference() -> None:
    assert first_wrong("free", "60 + 4 = 64 kilometers", "64 + 20 = 84 kilometers", answer="84") == (None, None)


def test_hybrid_reports_the_earlier_of_both() -> None:
    steps = ("60 + 4 = 64 kilometers", "64 + 20 = 85 kilometers")
    assert first_wrong("free", *steps) == (2, "arithmetic")
    assert first_wrong("hybrid", *steps) == (1, "reference")


def test_a_number_that_the_reference_uses_before_it_makes_it_needs_no_step() -> None:
    """The 2 of `4 / 2` is a word of the prompt; the reference does not work it out first."""

    def made(*contents: str) -> Trace:
        steps = tuple(Step(i=i, type="compute", content=content) for i, content in enumerate(contents, 1))
        return Trace(prompt="Half of the 4 tubes are blue. How many?", steps=steps, final_answer="2")

    check = checking.check(made("4/2 = 2 tubes"), reference=made("4 / 2 = 2 tubes"))
    assert not check.wrong


def test_hybrid_without_a_reference_is_free() -> None:
    one = trace("60 * 4 = 250")
    assert checking.check(one, mode="hybrid") == checking.check(one, mode="free")


def test_anchored_needs_a_reference() -> None:
    with pytest.raises(errors.Invalid, match="needs a reference"):
        checking.check(trace("60 * 4 = 240"), mode="anchored")


def test_an_answer_that_is_not_the_references_is_wrong() -> None:
    check = checking.check(trace(*REFERENCE, answer="240"), mode="anchored", reference=trace(*REFERENCE))
    assert (check.answer.verdict, check.answer.kind, check.answer.expected) == ("wrong", "reference", "260")


def test_the_summary_counts_traces_steps_and_answers() -> None:
    rows = [
        checking.check(trace(*REFERENCE)),
        checking.check(trace("60 * 4 = 250", "Then more.")),
        checking.check(trace("60 * 9 = 540", answer="5")),
    ]
    summary = checking.summarise(rows)
    assert summary.model_dump() == {
        "traces": 3,
        "steps": 5,
        "wrong_traces": 2,
        "coverage": 0.8,
        "step_accuracy": 0.5,
        "wrong_steps": 1,
        "wrong_answers": 2,
        "ungrounded": 1,
    }
