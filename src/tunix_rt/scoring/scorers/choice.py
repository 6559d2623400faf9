"""Multiple choice: the letter of an option, or its text, is the expected one's."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from tunix_rt.scoring.answers import normalise
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value

LETTERS = "ABCDEFGHIJ"
_LETTER = re.compile(r"[(\[{*_ ]{0,4}(?:option |choice )?[(\[{*_]{0,3}([A-Ja-j])(?:[)\]}*_.:,]{1,3}(?=\s|$)|(?=\s*$))")
_OPTION = re.compile(r"^[ \t]{0,4}\(?([A-J])[).:][ \t]{1,3}(\S[^\n]{0,300})", re.MULTILINE)


class Choice(Value):
    """Options come from the item's `meta.choices` (a list, or letter to text), else from lines `A) ...` of its prompt."""

    name: Literal["choice"] = "choice"
    version: Literal[1] = 1

    def applies(self, case: Case) -> bool:
        return _letter(case.expected, options(case)) is not None

    def score(self, case: Case) -> Scored:
        answer, known = stated(case.output, case.finish, case.form), options(case)
        given = None if answer is None else _letter(answer, known)
        if given is None:
            return unanswered(case)
        return scored(case, "correct" if given == _letter(case.expected, known) else "wrong", given)


def options(case: Case) -> dict[str, str]:
    found: Any = case.reference.meta.get("choices")
    if isinstance(found, Mapping):
        return {str(letter).upper(): str(text) for letter, text in found.items()}
    if isinstance(found, list | tuple):
        return dict(zip(LETTERS, map(str, found), strict=False))
    return dict(_OPTION.findall(case.reference.prompt))


def _letter(text: str, known: Mapping[str, str]) -> str | None:
    """The option a text names: by its letter in front, else by an option's whole text."""
    flat = normalise(text)
    same = [letter for letter, option in known.items() if normalise(option).casefold() == flat.casefold()]
    if len(same) == 1:
        return same[0]
    match = _LETTER.match(flat)
    letter = match[1].upper() if match else None
    return letter if letter is not None and letter in known else None
