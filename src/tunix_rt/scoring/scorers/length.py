"""How much a model says: right when it ends by itself within a number of tokens."""

from typing import Literal

from pydantic import Field

from tunix_rt.scoring.judging import Outcome
from tunix_rt.scoring.scorers.core import Case, Scored, scored
from tunix_rt.values import Value


class Length(Value):
    name: Literal["length"] = "length"
    version: Literal[1] = 1
    most: int = Field(default=160, ge=1)

    def applies(self, case: Case) -> bool:
        return case.tokens is not None

    def score(self, case: Case) -> Scored:
        ended: Outcome = "correct" if (case.tokens or 0) <= self.most else "wrong"
        outcome: Outcome = "truncated" if case.finish == "length" else ended
        return scored(case, outcome, tokens=case.tokens, characters=len(case.output))
