"""The stated number lies within a tolerance of the expected one, in a unit, currency and percentage that mean the same."""

import math
import re
from fractions import Fraction
from typing import Literal, NamedTuple

from pydantic import Field

from tunix_rt import checking, claims
from tunix_rt.scoring.answers import normalise, quantity
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.values import Value

_SIGNS = "$€£¥₹"
_MONEY = {
    "dollar": ("$", 1), "dollars": ("$", 1), "usd": ("$", 1), "cent": ("$", 100), "cents": ("$", 100), "euro": ("€", 1),
    "euros": ("€", 1), "eur": ("€", 1), "gbp": ("£", 1), "yen": ("¥", 1), "rupees": ("₹", 1), "rupee": ("₹", 1),
}  # fmt: skip
_PERCENT = {"percent", "per cent", "pct"}
_NUMBER = re.compile(r"(?<![\w.])[-−+]?[$€£¥₹]?[0-9][0-9,]*(?:\.[0-9]+)?(?: ?/ ?[0-9]+)?(?: ?%)?")


class Amount(NamedTuple):
    """An exact value in its own unit, what it is of (a currency, a percentage, a measured dimension, another word, or nothing)
    and how many of the base unit of that its own unit is."""

    value: Fraction
    of: str
    scale: Fraction = Fraction(1)


class Numeric(Value):
    """Right when |given - expected| <= max(absolute, relative * |expected|). Both 0 asks for the exact value.

    `units`: "same" wants the expected unit, converted where the table of units knows both, and lets a bare number stand for
    it; "ignored" looks at the numbers alone. `percent` "hundredth" takes 12 % and 0.12 for one number, "same" does not.
    """

    name: Literal["numeric"] = "numeric"
    version: Literal[1] = 1
    absolute: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)
    units: Literal["same", "ignored"] = "same"
    percent: Literal["same", "hundredth"] = "same"

    def applies(self, case: Case) -> bool:
        """Only where the expected answer is a number; others are left out and counted."""
        return amount(case.expected) is not None

    def score(self, case: Case) -> Scored:
        answer = stated(case.output, case.finish, case.form)
        given = None if answer is None else amount(answer) or _only_number(answer)
        wanted = amount(case.expected)
        if answer is None or given is None or wanted is None:
            return unanswered(case)
        distance = self._distance(wanted, given)
        room = max(Fraction(self.absolute), Fraction(self.relative) * abs(wanted.value))
        right = distance is not None and distance <= room
        shown = None if distance is None or not math.isfinite(_float(distance)) else _float(distance)
        return scored(case, "correct" if right else "wrong", answer, distance=shown)

    def _distance(self, wanted: Amount, given: Amount) -> Fraction | None:
        """None when the two are of different things."""
        if self.percent == "hundredth":
            wanted, given = _without_percent(wanted), _without_percent(given)
        if self.units == "ignored" or not (given.of and wanted.of):
            return abs(wanted.value - given.value)
        if given.of != wanted.of:
            return None
        return abs(wanted.value - given.value * given.scale / wanted.scale)


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def amount(text: str) -> Amount | None:
    """The number that a text consists of, with its unit."""
    flat = normalise(text)
    found = quantity(flat)
    if found is None:
        return None
    sign = next((sign for sign in _SIGNS if sign in flat), "")
    if sign:
        return Amount(found.value, sign)
    if "%" in flat or found.unit in _PERCENT:
        return Amount(found.value, "%")
    if found.unit in _MONEY:
        currency, parts = _MONEY[found.unit]
        return Amount(found.value, currency, Fraction(1, parts))
    known = checking.unit_name(found.unit)
    if known:
        dimension, factor = claims.UNITS[known]
        return Amount(found.value, dimension, Fraction(factor))
    return Amount(found.value, found.unit)


def _only_number(text: str) -> Amount | None:
    """The one number in a sentence; several different ones are no answer."""
    found = {given for match in _NUMBER.findall(text[:2_000]) if (given := amount(match.strip()))}
    return found.pop() if len(found) == 1 else None


def _without_percent(given: Amount) -> Amount:
    return Amount(given.value / 100, "") if given.of == "%" else given
