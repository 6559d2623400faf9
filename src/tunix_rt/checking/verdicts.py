"""What the checker says: a verdict for every step and for the answer, and their sums over traces."""

from collections import Counter
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
    """`wrong_traces` have a wrong step or a wrong answer; `ungrounded` counts steps.

    Coverage is the share of steps that were checked, `step_accuracy` the share of those that are ok (None if there are none).
    """

    traces: int
    steps: int
    wrong_traces: int
    coverage: float
    step_accuracy: float | None
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


class Totals:
    """Add each check once, then read `summary`; nothing is kept but counts."""

    def __init__(self) -> None:
        self._verdicts: Counter[Verdict] = Counter()
        self.traces = self._wrong = self._answers = 0

    def add(self, check: TraceCheck) -> None:
        self._verdicts.update(step.verdict for step in check.steps)
        self.traces += 1
        self._wrong += check.wrong
        self._answers += check.answer.verdict == "wrong"

    @property
    def summary(self) -> Summary:
        steps = self._verdicts.total()
        checked = steps - self._verdicts["unchecked"]
        return Summary(
            traces=self.traces,
            steps=steps,
            wrong_traces=self._wrong,
            coverage=checked / steps if steps else 0.0,
            step_accuracy=self._verdicts["ok"] / checked if checked else None,
            wrong_steps=self._verdicts["wrong"],
            wrong_answers=self._answers,
            ungrounded=self._verdicts["ungrounded"],
        )


def summarise(checks: Iterable[TraceCheck]) -> Summary:
    """Counts over traces."""
    totals = Totals()
    for check in checks:
        totals.add(check)
    return totals.summary
