"""One statement found in a step, and what the steps before it have established."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from tunix_rt.checking.tokens import numbers

Result = Fraction | str | tuple[str, ...]


class Finding(NamedTuple):
    """`results` is what the statement arrives at (as the text has it), `operands` the numbers it starts from."""

    kind: str
    ok: bool
    expected: str = ""
    got: str = ""
    span: tuple[int, int] = (0, 0)
    results: tuple[Result, ...] = ()
    operands: tuple[Fraction, ...] = ()


def statement(kind: str, expected: Any, got: Any, text: str, *results: Result) -> Finding:
    """A statement in words whose true form is `expected`; it stands where `got` last occurs in the text."""
    shown, stated = plain(expected), plain(got)
    at = max(text.rfind(stated), 0)
    found = results or (tuple(got) if isinstance(got, list) else stated,)
    return Finding(kind, expected == got, shown, stated, (at, at + len(stated)), found)


def plain(value: Any) -> str:
    """A value as a person writes it: decimals where they end, lists with commas."""
    if isinstance(value, Fraction):
        return _decimal(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def _decimal(value: Fraction) -> str:
    whole, places = value.denominator, 0
    for prime in (2, 5):
        count = 0
        while whole % prime == 0:
            whole //= prime
            count += 1
        places = max(places, count)
    if whole != 1 or places > 6:
        return f"{value.numerator}/{value.denominator}" if value.denominator.bit_length() < 64 else "a number of many digits"
    if abs(value.numerator).bit_length() > 256:
        return "a number of many digits"
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text


_WORD_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000,
    "million": 1_000_000, "dozen": 12, "twice": 2, "double": 2, "triple": 3, "thrice": 3, "half": 2, "third": 3, "quarter": 4,
    "quarters": 4, "fifth": 5, "week": 7, "weeks": 7, "weekly": 7, "day": 24, "days": 24, "hour": 60, "hours": 60, "minute": 60,
    "minutes": 60, "year": 12, "years": 12, "yearly": 12, "month": 30, "months": 12, "kilometers": 1000, "foot": 12, "feet": 12,
    "inches": 12, "weekend": 2, "couple": 2, "pair": 2, "pairs": 2,
}  # fmt: skip
_SMALL = frozenset(map(Fraction, (0, 1, 2, 10, 100, 1000)))
_WORD = re.compile(r"[^\W\d_]+")
_LISTED = re.compile(r"(?<![\d.])\d++(?:(?:, and |, | and )\d++)++")  # 12, 9 and 6: three numbers
_QUOTED = re.compile(r"(?<!\w)'([^'\n]{1,2000})'(?!\w)")
SHARES = frozenset(map(Fraction, (1, 5, 10, 20, 25, 50, 75, 100)))  # percentages that a method goes by way of


@dataclass
class Memory:
    """What the prompt gives (`flat`: in one line and lower case) and the steps so far have said. A later step is judged on
    what an earlier one stated, right or wrong, so that one mistake is reported once."""

    flat: str
    quoted: str | None = None
    written: frozenset[Fraction] = frozenset()
    given: frozenset[Fraction] = frozenset()
    derived: set[Fraction] = field(default_factory=set)
    exact: dict[Fraction, Fraction] = field(default_factory=dict)
    solution: dict[str, Fraction] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    letters: list[str] | None = None
    items: list[str] | None = None
    counted: int | None = None
    chosen: list[str] | None = None
    inside: tuple[str, bool] | None = None
    concluded: str | None = None
    last: tuple[Result, ...] = ()

    @classmethod
    def of(cls, prompt: str, written: list[Fraction]) -> "Memory":
        """`written`: the numbers of the prompt."""
        words = (_WORD_NUMBERS.get(word.lower()) for word in _WORD.findall(prompt[:50_000]))
        lists = [len(numbers(found)) for found in _LISTED.findall(prompt[:50_000])]
        counts = (len(written), len(written) - 1, *lists, *(length + 1 for length in lists))
        parts = (100 / value for value in written if value)
        given = frozenset({*written, *map(Fraction, counts), *(Fraction(word) for word in words if word), *parts})
        flat = " ".join(prompt.split())
        quoted = _QUOTED.search(flat)
        return cls(flat.lower(), quoted[1] if quoted else None, frozenset(written), given)

    def grounded(self, value: Fraction) -> bool:
        return value in self.given or value in self.derived or value in _SMALL

    def ungrounded(self, values: Sequence[Fraction]) -> Fraction | None:
        return next((value for value in values if not self.grounded(value)), None)

    def says(self, text: str) -> bool:
        """Whether the prompt has these words, whatever the blanks and capitals."""
        return " ".join(text.lower().split()) in self.flat
