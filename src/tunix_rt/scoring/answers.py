"""When two answers are the same: equal text after light normalisation, or exactly equal numbers.

Text is case-sensitive, because turning a phrase into capitals is one of the tasks; only yes, no, true and false are
not. Numbers are exact fractions: 0.50 is 1/2 and 0.333 is not 1/3. Nothing is ever evaluated, and every pattern works
on a short text, so that hostile output costs nothing.
"""

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

TRUTH_WORDS = (frozenset({"yes", "no"}), frozenset({"true", "false"}))
QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“"}
LONGEST_NUMBER = 120  # characters; a longer one is compared as text only

# Words after a number that are part of its value, so dropping them as a unit would change it.
_FRACTION_WORDS = {"half", "halves", "third", "thirds", "quarter", "quarters"}
_MAGNITUDES = {"hundred", "thousand", "million", "billion", "trillion", "dozen", "dozens", "score", "k", "bn"}
_OPERATORS = {"and", "or", "not", "to", "plus", "minus", "times", "over", "squared", "cubed", "remainder"}
_NOT_UNITS = frozenset(_FRACTION_WORDS | _MAGNITUDES | _OPERATORS)
_QUANTITY = re.compile(
    r"(?P<sign>[-+−])?\s?[$€£¥₹]?\s?(?P<inner_sign>[-+−])?"
    r"(?:(?P<whole>[0-9]+)\s(?=[0-9]+\s?/))?"
    r"(?P<digits>[1-9][0-9]{0,2}(?:,[0-9]{3})+|0|[1-9][0-9]*|(?=\.[0-9]))(?P<decimals>\.[0-9]+)?"
    r"(?:\s?/\s?(?P<denominator>[0-9]+))?"
    r"\s?[%$€£¥₹]?\s?(?P<unit>°?[^\W\d_][^\W\d_./ ]*\.?(?:[ /][^\W\d_]+){0,2})?"
)


class Quantity(NamedTuple):
    """An exact value and the unit word behind it (empty when there is none); `%` and currency signs are not units."""

    value: Fraction
    unit: str


def normalise(text: str) -> str:
    """NFC, blanks collapsed and trimmed, one pair of surrounding quotes and one final full stop dropped.

    A text that consists of nothing else is left alone, so no answer normalises to the empty string.
    """
    flat = " ".join(unicodedata.normalize("NFC", text).split())
    return _without_stop(_without_quotes(_without_stop(flat)))


def _without_stop(text: str) -> str:
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") and len(text) > 1 else text


def _without_quotes(text: str) -> str:
    inner = text[1:-1].strip()
    return inner if len(text) > 2 and QUOTES.get(text[0]) == text[-1] and inner else text


def quantity(text: str) -> Quantity | None:
    """The number a normalised text consists of, or None.

    Reads signs, thousands separators, decimals, simple fractions and mixed numbers (`2 1/2`), a currency or percent
    sign and a unit of up to three words. A leading zero makes it a string of digits (`021` is not 21).
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    unit = (match["unit"] or "").rstrip(".").casefold()
    if not _NOT_UNITS.isdisjoint(unit.replace("/", " ").split()):
        return None
    denominator = int(match["denominator"] or 1)
    if denominator == 0 or (match["whole"] and match["decimals"]):
        return None
    size = Fraction(match["digits"].replace(",", "") + (match["decimals"] or "") or "0") / denominator
    size += int(match["whole"] or 0)
    return Quantity(-size if (match["sign"] or match["inner_sign"] or "+") in "-−" else size, unit)


def truth_words(text: str) -> frozenset[str]:
    """The pair of words ({yes, no} or {true, false}) this normalised answer belongs to; empty for any other answer."""
    return next((pair for pair in TRUTH_WORDS if text.casefold() in pair), frozenset())


def same(expected: str, got: str) -> bool:
    """Whether `got` states the expected answer. A unit in `got` is ignored when `expected` has none."""
    gold, answer = normalise(expected), normalise(got)
    if gold == answer:
        return True
    if truth_words(gold):
        return gold.casefold() == answer.casefold()
    wanted, given = quantity(gold), quantity(answer)
    if wanted is None or given is None:
        return False
    return wanted.value == given.value and wanted.unit in ("", given.unit)
