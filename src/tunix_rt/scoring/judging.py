"""One answer, judged twice: by the strict format that was taught, and by a lenient reading that any model can pass."""

from typing import Literal

from tunix_rt.scoring import reading
from tunix_rt.scoring.answers import same
from tunix_rt.scoring.format import ReplyFormat, parse_strict
from tunix_rt.values import Value

Outcome = Literal["correct", "wrong", "unparseable", "truncated"]
Finish = Literal["stop", "length"]


class Judgement(Value):
    """`answer` and `steps` come from the strict reading, `lenient_answer` from the lenient one."""

    strict: Outcome
    lenient: Outcome
    answer: str | None
    lenient_answer: str | None
    steps: tuple[str, ...]


def judge(expected: str, output: str, finish: str, form: ReplyFormat = "numbered") -> Judgement:
    """Judge one model output by the format it was asked for; `finish` is "length" when it was cut off at its token limit.

    Strictly correct implies leniently correct. A guess taken from a cut-off output counts when it is right and leaves
    the output truncated, not wrong, when it is not: the model had not finished speaking.
    """
    parsed = parse_strict(output, form)
    answer = parsed.answer if parsed else None
    strict = _outcome(expected, answer, finish)
    if strict == "correct":
        lenient_answer = answer
    else:
        found = reading.find(expected, output, finish)
        sure = found is not None and (found.cued or finish != "length" or same(expected, found.answer))
        lenient_answer = found.answer if found and sure else None
    return Judgement(
        strict=strict,
        lenient=_outcome(expected, lenient_answer, finish),
        answer=answer,
        lenient_answer=lenient_answer,
        steps=parsed.steps if parsed else (),
    )


def _outcome(expected: str, answer: str | None, finish: str) -> Outcome:
    if answer is None:
        return "truncated" if finish == "length" else "unparseable"
    return "correct" if same(expected, answer) else "wrong"
