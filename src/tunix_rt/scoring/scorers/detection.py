"""Is there a wrong step in the attempt shown, and which is the first? Right when the first question is answered rightly.

Saying always that there is one, or always that there is none, scores one half where both kinds of attempts are as many.
"""

import re
from typing import Literal

from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.reading import spoken
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value

_SHOWN = re.compile(r"^[0-9]{1,3}\. ", re.MULTILINE)
_ANSWER = re.compile(r"\b(none|no)\b|([0-9]{1,6})", re.IGNORECASE)
_REMARK = re.compile(
    r"\b(none|no (?:wrong|mistake|error)|all (?:steps are )?(?:right|correct))\b|\bstep ([0-9]{1,6})", re.IGNORECASE
)


class Detection(Value):
    """For items whose meta has `review = "find"`. The answer is the stated one, else the last step, or none, that the text
    names; a number that is no step of the attempt is no answer. `details.said` and `first_wrong` are 0 for none."""

    name: Literal["detection"] = "detection"
    version: Literal[1] = 1

    def applies(self, case: Case) -> bool:
        return case.reference.meta.get("review") == "find"

    def score(self, case: Case) -> Scored:
        first = int(case.reference.meta["first_wrong"])
        said = _said(case)
        if said is None:
            return unanswered(case).model_copy(update={"details": {"said": None, "first_wrong": first}})
        right = (said > 0) == (first > 0)
        return scored(case, "correct" if right else "wrong", str(said or "none"), said=said, first_wrong=first)


def _said(case: Case) -> int | None:
    answer = stated(case.output, case.finish, case.form)
    if answer is not None:
        found = _ANSWER.search(answer)
    else:
        remarks = list(_REMARK.finditer(spoken(case.output, case.finish)))
        found = remarks[-1] if remarks else None
    if found is None or found[1]:
        return None if found is None else 0
    step = int(found[2])
    return step if 1 <= step <= len(_SHOWN.findall(case.reference.prompt)) else None
