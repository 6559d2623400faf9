"""What every scorer is given, and what it gives back."""

from typing import Any

from pydantic import Field

from tunix_rt.scoring.format import ReplyFormat
from tunix_rt.scoring.judging import Finish, Outcome
from tunix_rt.traces import Trace
from tunix_rt.values import Value


class Case(Value):
    """One item and what a model said to it. `reference` is the item's own trace, `form` the format it was asked for."""

    item: str
    group: str
    reference: Trace
    output: str
    finish: Finish
    tokens: int | None = Field(ge=0)
    form: ReplyFormat = "numbered"

    @property
    def expected(self) -> str:
        return self.reference.final_answer


class Scored(Value):
    """One item's mark: the way it ended, a value between 0 and 1, the answer it rests on, and what else was found."""

    item: str
    group: str
    outcome: Outcome
    value: float = Field(ge=0, le=1)
    answer: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


def scored(case: Case, outcome: Outcome, answer: str | None = None, **details: Any) -> Scored:
    """A mark that is all or nothing."""
    value = 1.0 if outcome == "correct" else 0.0
    return Scored(item=case.item, group=case.group, outcome=outcome, value=value, answer=answer, details=details)


def unanswered(case: Case) -> Scored:
    """No answer could be read: the model was cut off, or said none."""
    return scored(case, "truncated" if case.finish == "length" else "unparseable")
