"""What the checker says: a verdict for every step and for the answer, and their sums over traces."""

from collections.abc import Iterable
from typing import Literal

from tunix_rt.values import Value

Verdict = Literal["ok", "wrong", "ungrounded", "unchecked"]
Mode = Literal["free", "anchored", "hybrid"]


class StepCheck(Value):
    """`kind`, `expected` and `got` tell of the first statement that does not hold; `span` is where it stands in the step.

    `ungrounded`: every statement holds, but the number in `got` comes from nowhere. `unchecked`: nothing in the step could be
    checked, which is not the same as ok.
    """

    i: int
    verdict: Verdict
    kind: str | None = None
    expected: str | None = None
    got: str | None = None
    span: tuple[int, int] | None = None


class AnswerCheck(Value):
    """Whether the final answer is what the steps reached."""

    verdict: Literal["ok", "wrong", "unchecked"]
    kind: str | None = None
    expected: str | None = None
    got: str | None = None


class TraceCheck(Value):
    """`first_wrong` is the number of the first wrong step; `line` is where the trace stands in its file.

    A trace whose steps are right and whose answer is not theirs has `first_wrong` None and a wrong `answer`.
    """

    line: int
    id: str
    first_wrong: int | None
    coverage: float
    steps: tuple[StepCheck, ...]
    answer: AnswerCheck

    @property
    def wrong(self) -> bool:
        return self.first_wrong is not None or self.answer.verdict == "wrong"


class Summary(Value):
    """`wrong_traces` have a wrong step or a wrong answer; coverage is by step; `ungrounded` counts steps."""

    traces: int
    steps: int
    wrong_traces: int
    coverage: float
    wrong_steps: int
    wrong_answers: int
    ungrounded: int


def collect(trace_id: str, line: int, steps: tuple[StepCheck, ...], answer: AnswerCheck) -> TraceCheck:
    return TraceCheck(
        line=line,
        id=trace_id,
        first_wrong=next((step.i for step in steps if step.verdict == "wrong"), None),
        coverage=sum(step.verdict != "unchecked" for step in steps) / len(steps),
        steps=steps,
        answer=answer,
    )


def summarise(checks: Iterable[TraceCheck]) -> Summary:
    """Counts over traces."""
    rows = list(checks)
    verdicts = [step.verdict for row in rows for step in row.steps]
    return Summary(
        traces=len(rows),
        steps=len(verdicts),
        wrong_traces=sum(row.wrong for row in rows),
        coverage=sum(verdict != "unchecked" for verdict in verdicts) / len(verdicts) if verdicts else 0.0,
        wrong_steps=verdicts.count("wrong"),
        wrong_answers=sum(row.answer.verdict == "wrong" for row in rows),
        ungrounded=verdicts.count("ungrounded"),
    )
