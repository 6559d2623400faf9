"""What the step checker found, as a page shows it: a word and a shape for the trace, and for each step where and why."""

from dataclasses import dataclass
from typing import Literal

from tunix_rt import checking
from tunix_rt.checking import StepCheck, TraceCheck, Verdict
from tunix_rt.traces import Step, Trace
from tunix_rt.web import marks
from tunix_rt.web.marks import Strip

Kind = Literal["ok", "wrong", "unsure", "unchecked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Of a whole trace: `kind` decides shape and colour, `text` says it."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """`before`, `marked` and `after` are the text; what the checker speaks of is `marked`."""

    i: int
    type: str
    before: str
    marked: str
    after: str
    verdict: Verdict
    word: str
    note: str
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A trace with the checker's findings."""

    told: Told
    coverage: float
    strip: Strip
    steps: tuple[StepView, ...]
    answer: str
    answer_kind: Kind
    answer_note: str


def told(check: TraceCheck) -> Told:
    if check.first_wrong is not None:
        return Told(kind="wrong", text=f"step {check.first_wrong} wrong")
    if check.answer.verdict == "wrong":
        return Told(kind="wrong", text="answer wrong")
    found = [step.verdict for step in check.steps]
    if "ungrounded" in found:
        return Told(kind="unsure", text=f"step {found.index('ungrounded') + 1} unsure")
    checked = len(found) - found.count("unchecked")
    if checked == len(found):
        return Told(kind="ok", text="verified")
    if checked:
        return Told(kind="ok", text=f"{checked} of {len(found)} verified")
    return Told(kind="unchecked", text="not checked")


def judged(trace: Trace, reference: Trace | None = None) -> Judged:
    """The trace looked at by the checker, with a reference if there is one."""
    check = checking.check(trace, 1, "hybrid", reference)
    answer = check.answer
    return Judged(
        told=told(check),
        coverage=check.coverage,
        strip=marks.wide_strip([step.verdict for step in check.steps], [len(step.content) for step in trace.steps]),
        steps=tuple(step(one, found) for one, found in zip(trace.steps, check.steps, strict=True)),
        answer=trace.final_answer,
        answer_kind=answer.verdict,
        answer_note=f"the steps reach {answer.expected}" if answer.verdict == "wrong" and answer.expected else "",
    )


def step(one: Step, found: StepCheck) -> StepView:
    start, end = found.span if found.span and found.verdict in ("wrong", "ungrounded") else (0, 0)
    text = one.content
    return StepView(
        i=one.i,
        type=one.type,
        before=text[:start],
        marked=text[start:end],
        after=text[end:],
        verdict=found.verdict,
        word=marks.WORDS[found.verdict],
        note=_note(found),
        claims=len(one.claims),
    )


def _note(found: StepCheck) -> str:
    if found.verdict == "wrong":
        right = f", {found.expected} is right" if found.expected else ""
        return f"says {found.got}{right} ({found.kind})" if found.got else f"does not hold ({found.kind}){right}"
    if found.verdict == "ungrounded":
        return f"{found.got} comes from nowhere" if found.got else "a number comes from nowhere"
    return ""


def strip(check: TraceCheck) -> Strip:
    return marks.strip([step.verdict for step in check.steps])
