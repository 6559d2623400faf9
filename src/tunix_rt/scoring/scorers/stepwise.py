"""The step checker on what a model wrote: is the reasoning right, and does a right answer rest on it?"""

import re
from typing import Literal

from tunix_rt import checking
from tunix_rt.checking import Mode, TraceCheck
from tunix_rt.scoring.answers import same
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.format import ANSWER, parse_strict
from tunix_rt.scoring.reading import reasoned, spoken
from tunix_rt.scoring.scorers.core import Case, Scored, unanswered
from tunix_rt.traces import Step, Trace
from tunix_rt.values import Value

_MARKER = re.compile(r"^[ \t]{0,8}(?:[0-9]{1,3}[.)]|[-*•])[ \t]{1,4}")
MOST_STEPS, LONGEST_STEP = 1_000, 20_000


class Steps(Value):
    """Right when the answer is and no step is wrong. The steps are those of the taught format, else the lines of the
    reasoning in tags, else the lines before the answer.

    `details.reasoning` is "wrong" with a wrong step, "right" when at least one step was checked and none is wrong, else
    "unchecked": what could not be checked counts for neither. `details.answer_right` is the answer alone.
    """

    name: Literal["steps"] = "steps"
    version: Literal[1] = 1
    mode: Mode = "hybrid"

    def applies(self, case: Case) -> bool:
        return bool(case.reference.steps)

    def score(self, case: Case) -> Scored:
        steps, answer = _steps(case), stated(case.output, case.finish, case.form)
        if not steps:
            return unanswered(case)
        right = answer is not None and same(case.expected, answer)
        checked = _check(case, steps, answer, self.mode)
        reasoning = _reasoning(checked)
        details = _details(checked) | {"reasoning": reasoning, "answer_right": right}
        if answer is None:
            return unanswered(case).model_copy(update={"details": details})
        fine = right and reasoning != "wrong"
        return Scored(
            item=case.item,
            group=case.group,
            outcome="correct" if fine else "wrong",
            value=1.0 if fine else 0.0,
            answer=answer,
            details=details,
        )


def _steps(case: Case) -> list[str]:
    parsed = parse_strict(case.output, case.form)
    if parsed is not None:
        lines = list(parsed.steps)
    else:
        body = reasoned(case.output) if case.form != "numbered" else ""
        body = body or spoken(case.output, case.finish) or case.output
        lines = [_MARKER.sub("", line) for line in body.splitlines() if not line.lstrip().startswith(ANSWER.strip())]
    kept = [line.replace("\x00", " ").strip()[:LONGEST_STEP] for line in lines]
    return [line for line in kept if line][:MOST_STEPS]


def _check(case: Case, steps: list[str], answer: str | None, mode: Mode) -> TraceCheck:
    said = Trace(
        prompt=case.reference.prompt,
        steps=tuple(Step(i=i, type="compute", content=text) for i, text in enumerate(steps, start=1)),
        final_answer=((answer or "").replace("\x00", " ").strip() or "(none)")[:50_000],
    )
    reference = None if mode == "free" else case.reference
    return checking.check(said, mode=mode, reference=reference)


def _reasoning(checked: TraceCheck) -> str:
    if checked.first_wrong is not None:
        return "wrong"
    return "right" if any(step.verdict == "ok" for step in checked.steps) else "unchecked"


def _details(checked: TraceCheck) -> dict[str, object]:
    verdicts = [step.verdict for step in checked.steps]
    return {
        "steps": len(verdicts),
        **{verdict: verdicts.count(verdict) for verdict in ("ok", "wrong", "ungrounded", "unchecked")},
        "first_wrong": checked.first_wrong,
        "coverage": round(checked.coverage, 6),
    }
