"""Whether an output keeps the form that was taught, whatever it says."""

from typing import Literal

from tunix_rt.scoring.format import parse_strict
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value


class Form(Value):
    name: Literal["format"] = "format"
    version: Literal[1] = 1

    def applies(self, case: Case) -> bool:
        return bool(case.item)

    def score(self, case: Case) -> Scored:
        parsed = parse_strict(case.output, case.form)
        if parsed is None:
            return unanswered(case)
        return scored(case, "correct", parsed.answer, steps=len(parsed.steps))
