"""1d The step checker: a verdict for every step of a trace, from the claims it carries.

A step without a claim is unchecked, never ok. Coverage is the share of steps that were checked.
"""

from collections.abc import Iterable
from typing import Literal

from tunix_rt import claims, errors
from tunix_rt.traces import Step, Trace
from tunix_rt.values import Value

Verdict = Literal["ok", "wrong", "unchecked"]


class StepCheck(Value):
    """`kind`, `expected` and `got` tell of the first claim that does not hold."""

    i: int
    verdict: Verdict
    kind: str | None = None
    expected: str | None = None
    got: str | None = None


class TraceCheck(Value):
    """`first_wrong` is the number of the first wrong step; `line` is where the trace stands in its file."""

    line: int
    id: str
    first_wrong: int | None
    coverage: float
    steps: tuple[StepCheck, ...]


class Summary(Value):
    traces: int
    steps: int
    wrong_traces: int
    coverage: float


def check(trace: Trace, line: int = 1) -> TraceCheck:
    """Evaluate every claim of every step exactly."""
    steps = tuple(_step(step) for step in trace.steps)
    return TraceCheck(
        line=line,
        id=trace.id,
        first_wrong=next((step.i for step in steps if step.verdict == "wrong"), None),
        coverage=sum(step.verdict != "unchecked" for step in steps) / len(steps),
        steps=steps,
    )


def summarise(checks: Iterable[TraceCheck]) -> Summary:
    """Counts over traces; coverage is by step."""
    rows = list(checks)
    steps = [step for row in rows for step in row.steps]
    return Summary(
        traces=len(rows),
        steps=len(steps),
        wrong_traces=sum(row.first_wrong is not None for row in rows),
        coverage=sum(step.verdict != "unchecked" for step in steps) / len(steps) if steps else 0.0,
    )


def _step(step: Step) -> StepCheck:
    for claim in step.claims:
        try:
            if claims.holds(claim):
                continue
            expected = str(claims.evaluate(claim))
        except errors.Invalid as error:
            expected = error.message
        return StepCheck(i=step.i, verdict="wrong", kind=claim.op, expected=expected, got=str(claim.result))
    return StepCheck(i=step.i, verdict="ok" if step.claims else "unchecked")
