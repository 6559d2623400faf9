"""The stated answer has the expected digits in the same order, whatever stands around them: `$1,200.00` is `120000` here."""

import re
from typing import Literal

from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.scorers import Case, Scored
from tunix_rt.scoring.scorers.core import scored, unanswered
from tunix_rt.values import Value


class Digits(Value):
    name: Literal["digits"] = "digits"
    version: Literal[1] = 1

    def applies(self, case: Case) -> bool:
        return bool(_digits(case.expected))

    def score(self, case: Case) -> Scored:
        answer = stated(case.output, case.finish, case.form)
        if answer is None:
            return unanswered(case)
        return scored(case, "correct" if _digits(answer) == _digits(case.expected) else "wrong", answer)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)
