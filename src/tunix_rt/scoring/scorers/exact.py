"""The stated answer is the expected text after normalisation, and nothing else is: `0.50` is not `1/2` here."""

from typing import Literal

from tunix_rt.scoring.answers import normalise
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value


class Exact(Value):
    """`fold` compares without regard to case."""

    name: Literal["exact"] = "exact"
    version: Literal[1] = 1
    fold: bool = False

    def applies(self, case: Case) -> bool:
        return bool(case.expected)

    def score(self, case: Case) -> Scored:
        answer = stated(case.output, case.finish, case.form)
        if answer is None:
            return unanswered(case)
        wanted, given = normalise(case.expected), normalise(answer)
        if self.fold:
            wanted, given = wanted.casefold(), given.casefold()
        return scored(case, "correct" if wanted == given else "wrong", answer)
