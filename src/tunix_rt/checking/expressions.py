"""Reading an arithmetic expression: recursive descent over exact fractions, with a cap on everything that could grow.

sum := term (+- term)*      term := factor ((* / of)? factor)*      factor := -factor | atom (^ factor)?
An expression may hold one unknown, linearly. Units behind a number are remembered, not calculated with.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from tunix_rt.checking.tokens import Token

DEPTH, BITS, EXPONENT, TOKENS = 40, 2_048, 64, 400
UNKNOWNS = frozenset("xyznk")
CURRENCIES = {"$": "dollar", "¢": "cent", "€": "euro", "£": "pound", "¥": "yen"}
_FRACTIONS = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}
_MULTIPLES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SHORT = frozenset({
    "m", "g", "l", "h", "s", "d", "km", "cm", "mm", "kg", "mg", "ml", "cl", "ft", "in", "hr", "am", "pm", "mi", "lb", "oz",
    "th", "st", "nd", "rd", "kb", "mb", "gb",
})  # fmt: skip
_NOT_UNITS = frozenset({
    "and", "or", "plus", "minus", "times", "over", "of", "is", "are", "was", "were", "so", "then", "which", "that", "the", "to",
    "than", "because", "since", "if", "when", "but", "remainder", "rem", "R", "r", "not", "means", "makes", "divided",
})  # fmt: skip


class Unreadable(Exception):
    """The tokens are no expression this grammar has, or one that grows beyond its caps."""


class Reading(NamedTuple):
    """`many * unknown + value`. `atoms` are the numbers written in it, `units` what stands behind or before them. A dozen
    counts as 12 in the value; `dozens` says that somebody may have taken it for a unit (`84 / 12 = 7 dozen`)."""

    value: Fraction
    many: Fraction
    unknown: str
    atoms: tuple[Token, ...]
    units: tuple[str, ...]
    percent: bool
    dozens: bool = False

    @property
    def bare(self) -> bool:
        """One number and nothing calculated."""
        return len(self.atoms) == 1 and not self.unknown


Exact = Mapping[Fraction, Fraction]
"""Which written numbers are roundings of which exact ones."""


def read(found: Sequence[Token], exact: Exact = MappingProxyType({})) -> Reading:
    """The expression that all these tokens make."""
    reading, used = read_front(found, exact)
    if used != len(found):
        raise Unreadable
    return reading


def read_front(found: Sequence[Token], exact: Exact = MappingProxyType({})) -> tuple[Reading, int]:
    """The expression that the first tokens make, and how many they are; what follows may only be words or marks."""
    if not found or len(found) > TOKENS:
        raise Unreadable
    reader = _Reader(found, exact)
    many, value = reader.sum(0)
    rest = reader.peek()
    if rest is not None and rest.sort not in ("word", "break", "close", "open"):
        raise Unreadable
    if reader.algebraic:
        raise Unreadable
    atoms = tuple(reader.atoms)
    return Reading(value, many, reader.unknown, atoms, reader.units, reader.percent, reader.dozens), reader.at


Pair = tuple[Fraction, Fraction]  # how often the unknown, and the constant


class _Reader:
    def __init__(self, found: Sequence[Token], exact: Mapping[Fraction, Fraction]) -> None:
        self.found, self.exact, self.at = found, exact, 0
        self.atoms: list[Token] = []
        self.unknown, self.percent, self.dozens = "", False, False
        self.added, self.lettered = False, False
        self.units: tuple[str, ...] = ()

    @property
    def algebraic(self) -> bool:
        """`2g + 4s`, `2s + 16`: in a sum of unlike things a letter that touches a number is an unknown, not grams."""
        return self.added and self.lettered and (len(set(self.units)) > 1 or len(self.units) < len(self.atoms))

    def peek(self, ahead: int = 0) -> Token | None:
        return self.found[self.at + ahead] if self.at + ahead < len(self.found) else None

    def sign(self, *signs: str) -> str:
        token = self.peek()
        return token.text if token and token.sort == "operator" and token.text in signs else ""

    def sum(self, depth: int) -> Pair:
        if depth > DEPTH:
            raise Unreadable
        total = self.term(depth)
        while sign := self.sign("+", "-"):
            self.at += 1
            self.added = True
            other = self.term(depth)
            total = (total[0] + other[0], total[1] + other[1]) if sign == "+" else (total[0] - other[0], total[1] - other[1])
            _bounded(total)
        return total

    def term(self, depth: int) -> Pair:
        product = self.factor(depth)
        while True:
            token = self.peek()
            if self.sign("*", "/"):
                self.at += 1
                other = self.factor(depth)
                product = _divided(product, other) if token and token.text == "/" else _times(product, other)
            elif token and (self._of(token) or self._adjacent(token)):
                self.at += token.text == "of"
                product = _times(product, self.factor(depth))
            else:
                return product
            _bounded(product)

    def _of(self, token: Token) -> bool:
        """`20% of`, `1/3 of`, `half of`: not `3 of`."""
        before = self.found[self.at - 1]
        fraction = self.at > 1 and self.found[self.at - 2].text == "/"
        return token.text == "of" and (before.sort == "percent" or before.text in _FRACTIONS or fraction)

    def _adjacent(self, token: Token) -> bool:
        """`2(3 + 4)` and `2 x` multiply, `15 (in all)` does not."""
        before = self.found[self.at - 1]
        unknown = token.sort == "word" and token.text in UNKNOWNS
        factor = unknown or (token.sort == "open" and before.end == token.start)
        return factor and before.sort in ("number", "close")

    def factor(self, depth: int) -> Pair:
        if depth > DEPTH:
            raise Unreadable
        if sign := self.sign("+", "-"):
            self.at += 1
            many, value = self.factor(depth + 1)
            return (many, value) if sign == "+" else (-many, -value)
        base = self.atom(depth)
        if self.sign("^"):
            self.at += 1
            base = _power(base, self.factor(depth + 1))
        return base

    def atom(self, depth: int) -> Pair:
        token = self.peek()
        if token is None:
            raise Unreadable
        self.at += 1
        if token.sort == "number":
            return Fraction(0), self._number(token)
        if token.sort == "currency":
            return self._money(token)
        if token.sort == "open":
            inner = self.sum(depth + 1)
            self._close()
            self._unit()
            return inner
        if token.text == "frac" and token.sort == "operator":
            return self._frac(depth)
        if token.sort == "word" and token.text in UNKNOWNS and self.unknown in ("", token.text):
            self.unknown = token.text
            return Fraction(1), Fraction(0)
        if token.sort == "word" and token.text in _FRACTIONS and (after := self.peek()) and after.text == "of":
            return Fraction(0), _FRACTIONS[token.text]
        raise Unreadable

    def _frac(self, depth: int) -> Pair:
        parts = []
        for _ in range(2):
            token = self.peek()
            if token is None or token.sort != "open":
                raise Unreadable
            self.at += 1
            parts.append(self.sum(depth + 1))
            self._close()
        return _divided(parts[0], parts[1])

    def _close(self) -> None:
        token = self.peek()
        if token is None or token.sort != "close":
            raise Unreadable
        self.at += 1

    def _money(self, sign: Token) -> Pair:
        minus = self.sign("-")
        self.at += bool(minus)
        token = self.peek()
        if token is None or token.sort != "number":
            raise Unreadable
        self.at += 1
        value = self._number(token)
        self.units += (CURRENCIES[sign.text],)
        return Fraction(0), -value if minus else value

    def _number(self, token: Token) -> Fraction:
        self.atoms.append(token)
        value = self.exact.get(token.value, token.value)
        following = self.peek()
        if following and following.text in _MULTIPLES:
            self.at += 1
            value *= _MULTIPLES[following.text]
            self.dozens |= following.text == "dozen"
        elif following and following.sort == "percent":
            self.at += 1
            self.percent = True
            value /= 100
        elif following and following.sort == "currency" and not self._number_next():
            self.at += 1
            self.units += (CURRENCIES[following.text],)
        self._unit()
        return value

    def _number_next(self) -> bool:
        after = self.peek(1)
        return after is not None and after.sort == "number"

    def _unit(self) -> None:
        """Up to four words behind a number are its unit: `5 square meters`, `3 km/h`, `2 m^2`."""
        words: list[str] = []
        while (token := self.peek()) and len(words) < 4 and _names_unit(token):
            if len(token.text) < 3 and token.text.lower() not in _SHORT and self.found[self.at - 1].end == token.start:
                raise Unreadable  # the b of 3b is an unknown, the ac of 4ac are two
            self.lettered |= len(token.text) == 1 and self.found[self.at - 1].end == token.start
            words.append(token.text)
            self.at += 1
        after = self.peek(1)
        if words and self.sign("^") and after and after.text in ("2", "3"):
            self.at += 2
        elif self.sign("/") and after and _names_unit(after) and not self._called():
            words.append(f"per {after.text}")
            self.at += 2
        if words:
            self.units += (" ".join(words),)

    def _called(self) -> bool:
        """`/ sqrt(4)`: the word behind the sign is a function."""
        after = self.peek(2)
        return after is not None and after.sort == "open"


def _names_unit(token: Token) -> bool:
    return token.sort == "word" and token.text not in _NOT_UNITS and token.text not in UNKNOWNS


def _bounded(pair: Pair) -> None:
    if any(max(part.numerator.bit_length(), part.denominator.bit_length()) > BITS for part in pair):
        raise Unreadable


def _times(a: Pair, b: Pair) -> Pair:
    if a[0] and b[0]:
        raise Unreadable
    return a[0] * b[1] + b[0] * a[1], a[1] * b[1]


def _divided(a: Pair, b: Pair) -> Pair:
    if b[0] or not b[1]:
        raise Unreadable
    return a[0] / b[1], a[1] / b[1]


def _power(base: Pair, exponent: Pair) -> Pair:
    size = exponent[1]
    if base[0] or exponent[0] or size.denominator != 1 or abs(size) > EXPONENT or (size < 0 and not base[1]):
        raise Unreadable
    if max(base[1].numerator.bit_length(), base[1].denominator.bit_length()) * abs(size) > BITS:
        raise Unreadable
    return Fraction(0), base[1] ** int(size)
