"""Scorers that do what a scorer must never do, and grind: the control for the limits of the grading process."""

import re
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from tunix_rt.scoring.scorers.core import Case, Scored, scored
from tunix_rt.values import Value


class Careless(Value):
    """`eval` computes the output with Python, `match` uses a backtracking pattern, `hoard` fills the memory it may have."""

    how: Literal["eval", "match", "hoard", "write"]
    target: str = ""

    def score(self, case: Case) -> Scored:
        if case.output.startswith("harmless"):
            return scored(case, "correct")
        if self.how == "eval":
            return scored(case, "correct" if eval(case.output) else "wrong")
        if self.how == "match":
            return scored(case, "correct" if re.fullmatch(r"(a+)+", case.output) else "wrong")
        if self.how == "write":
            Path(self.target).write_text("x" * 100)
            return scored(case, "correct")
        return scored(case, "correct" if len(bytearray(2 << 30)) else "wrong")


ADAPTER = TypeAdapter(Careless)
