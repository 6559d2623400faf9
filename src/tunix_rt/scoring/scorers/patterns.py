"""A pattern of one's own, in RE2's language: matching takes time linear in the text, whatever pattern and text are."""

from functools import lru_cache
from typing import Any, Literal

import re2
from pydantic import field_validator

from tunix_rt.scoring.answers import same
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value

_MEMORY = 8 << 20  # bytes RE2 may use for one pattern


class Regex(Value):
    """With a group, the text of the last match's first group is the answer and must be the expected one; without any
    group, an output in which the pattern is found is right."""

    name: Literal["regex"] = "regex"
    version: Literal[1] = 1
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        _compile(pattern)
        return pattern

    def applies(self, case: Case) -> bool:
        return bool(case.expected)

    def score(self, case: Case) -> Scored:
        compiled = _compile(self.pattern)
        if not compiled.groups:
            return scored(case, "correct" if compiled.search(case.output) else "wrong")
        answer = None
        for match in compiled.finditer(case.output):
            answer = match[1]
        if answer is None:
            return unanswered(case)
        return scored(case, "correct" if same(case.expected, answer) else "wrong", answer)


@lru_cache(maxsize=8)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"not a pattern RE2 reads ({reason}); look-around and back-references are not part of it") from error
