"""Equality chains `A = B = C` in running text: where they are, and whether their sides agree.

A side is the longest expression that ends at its sign (or, on the right, begins there). Words before a single number describe
it (`the area is 12 = ...`), so such a side is not compared; neither is a definition such as `1 box = 12 eggs`.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tunix_rt import claims
from tunix_rt.checking.expressions import UNKNOWNS, Exact, Reading, Unreadable, read, read_front
from tunix_rt.checking.tokens import Token

WINDOW = 120  # tokens of one side that are looked at
_STARTS = frozenset({"half", "third", "quarter"}) | UNKNOWNS
_BINDING = frozenset({
    "and", "or", "plus", "minus", "times", "of", "by", "than", "less", "more", "from", "over", "to", "between", "sqrt", "root",
    "twice", "double", "triple", "thrice", "log", "ln", "sin", "cos", "tan", "mod", "average", "mean", "sum", "difference",
    "product", "quotient", "remainder", "ratio", "half",
})  # fmt: skip
_TIGHT = frozenset("!|#@&~_'’")
_BEYOND = frozenset("√∑∫∏∂±∓")
_UNIT_NAMES = {plural: name for name in claims.UNITS for plural in (name, f"{name}s")}
_UNIT_NAMES |= {"feet": "foot", "inches": "inch", "ft": "foot", "cm": "centimeter", "mm": "millimeter", "km": "kilometer"}
_UNIT_NAMES |= {
    "kg": "kilogram",
    "g": "gram",
    "ml": "milliliter",
    "min": "minute",
    "hr": "hour",
    "hrs": "hour",
    "mins": "minute",
}
_UNIT_NAMES |= {"metres": "meter", "metre": "meter", "litre": "liter", "litres": "liter", "m": "meter", "hrs": "hour"}


class Side(NamedTuple):
    """`reading` is None when the side is words or cannot be read; `compared` says whether its value is a statement."""

    reading: Reading | None
    start: int
    end: int
    compared: bool


class Chain(NamedTuple):
    """`relations[i]` stands between `sides[i]` and `sides[i + 1]`; `rest` is what follows the last side in its clause."""

    sides: tuple[Side, ...]
    relations: tuple[str, ...]
    rest: tuple[Token, ...]

    @property
    def numeric(self) -> list[Side]:
        return [side for side in self.sides if side.compared and side.reading is not None and not side.reading.unknown]


class Mismatch(NamedTuple):
    expected: Reading
    got: Side
    kind: str


def find(found: Sequence[Token], exact: Exact) -> Iterator[Chain]:
    """Every chain of the text, clause by clause."""
    before: Token | None = None
    for clause in _clauses(found):
        yield from _chains(clause, before, exact)
        before = clause[-1]


def _clauses(found: Sequence[Token]) -> Iterator[list[Token]]:
    """Runs of tokens up to and with the mark that ends them."""
    clause: list[Token] = []
    for token in found:
        clause.append(token)
        if token.sort == "break":
            yield clause
            clause = []
    if clause:
        yield clause


def _chains(clause: list[Token], before: Token | None, exact: Exact) -> Iterator[Chain]:
    signs = [i for i, token in enumerate(clause) if token.sort == "relation"]
    if not signs:
        return
    parts = [clause[a:b] for a, b in zip([0, *(i + 1 for i in signs)], [*signs, len(clause)], strict=True)]
    sides = [_left(parts[0], before, exact)]
    relations: list[str] = []
    for part, sign in zip(parts[1:-1], signs, strict=False):
        relations.append(clause[sign].text)
        whole = _whole(part, exact)
        if whole:
            sides.append(whole)
            continue
        front, rest = _right(part, exact)
        yield Chain((*sides, front), tuple(relations), rest)
        sides, relations = [_left(*_next_sentence(part, rest), exact)], []
    front, rest = _right(parts[-1], exact)
    yield Chain((*sides, front), (*relations, clause[signs[-1]].text), rest)


def _next_sentence(part: Sequence[Token], rest: Sequence[Token]) -> tuple[Sequence[Token], Token | None]:
    """`= 7 and 7 * 2 =`: behind a finished side, `and` begins another statement. Also the token in front of it."""
    if not rest:
        return part, None
    if rest[0].text in ("and", "so", "then", "but"):
        return rest[1:], None
    return rest, part[len(part) - len(rest) - 1]


def _left(part: Sequence[Token], before: Token | None, exact: Exact) -> Side:
    """The longest expression at the end of the part."""
    part = part[-WINDOW:]
    for i, token in enumerate(part):
        if token.sort not in ("number", "currency", "open") and token.text not in _STARTS and token.text not in ("-", "frac"):
            continue
        lead = part[i - 1] if i else before
        if lead is not None and not _free(part[:i], lead, token, inside=i > 0):
            continue
        try:
            reading = read(part[i:], exact)
        except Unreadable:
            continue
        listed = before is not None and before.text == ","
        return Side(reading, token.start, part[-1].end, not reading.bare or (i == 0 and not listed))
    at = part[0].start if part else 0
    return Side(None, at, part[-1].end if part else at, False)


def _free(lead: Sequence[Token], last: Token, first: Token, *, inside: bool) -> bool:
    """Whether an expression may begin at `first` behind these words."""
    touching = last.end == first.start
    if not inside:
        beyond = last.text in _BEYOND or last.text.startswith("\\")
        return not (beyond or (touching and (last.text in _TIGHT or last.sort != "break")))
    if touching or last.sort != "word" or first.text == "-":
        return False
    return not any(token.text.lower() in _BINDING or token.sort == "operator" for token in lead[-3:])


def _whole(part: Sequence[Token], exact: Exact) -> Side | None:
    try:
        return Side(read(part, exact), part[0].start, part[-1].end, True)
    except Unreadable:
        words = part and all(token.sort in ("word", "operator", "open", "close", "number") for token in part)
        symbolic = words and any(token.sort == "word" for token in part) and part[0].sort == "word"
        return Side(None, part[0].start, part[-1].end, False) if symbolic else None


def _right(part: Sequence[Token], exact: Exact) -> tuple[Side, tuple[Token, ...]]:
    """The longest expression at the beginning of the part, and the tokens behind it."""
    try:
        reading, used = read_front(part[:WINDOW], exact)
    except Unreadable:
        at = part[0].start if part else 0
        return Side(None, at, part[-1].end if part else at, False), ()
    end, rest = reading.atoms[-1].end if reading.atoms else part[0].end, tuple(part[used:])
    function = bool(rest) and rest[0].sort in ("word", "open") and rest[0].start == part[used - 1].end
    return Side(None if function else reading, part[0].start, end, not function), rest


def mismatch(chain: Chain) -> Mismatch | None:
    """The first side that does not stand in the stated relation to the numeric side before it."""
    last: Side | None = None
    for i, side in enumerate(chain.sides):
        relation = chain.relations[i - 1] if i else "="
        if side.reading is None or not side.compared or side.reading.unknown:
            last = last if relation in ("=", "≈") else None
            continue
        if last is not None and last.reading is not None and agree(last.reading, side.reading, relation) is False:
            kind = "percent" if last.reading.percent or side.reading.percent else "arithmetic"
            both = last.reading.bare and side.reading.bare
            kind = "comparison" if relation not in ("=", "≈") or both else kind
            return Mismatch(last.reading, side, "unit" if both and last.reading.units and relation == "=" else kind)
        last = side
    return None


def agreements(chain: Chain) -> int:
    """How many pairs of neighbouring numeric sides state something that can be judged."""
    pairs = pairwise(side.reading for side in chain.numeric)
    return sum(agree(a, b, "=") is not None for a, b in pairs if a is not None and b is not None)


def agree(a: Reading, b: Reading, relation: str) -> bool | None:
    """Whether `a relation b` holds; None when units make it a definition or a sum that is not calculated here."""
    if relation not in ("=", "≈"):
        return claims.RELATIONS[relation](a.value, b.value)
    if a.value == b.value or _percent_agrees(a, b):
        return True if not _slipped(a, b) else converted(a, b)
    if (a.dozens or b.dozens) and a.value in (b.value * 12, b.value / 12):
        return True
    if (changed := converted(a, b)) is not None:
        return changed
    names = {*_known(a), *_known(b)}
    definition = a.bare and b.bare and a.units != b.units and not (len(names) == 1 and _known(a) == _known(b))
    if definition or len({claims.UNITS[name][0] for name in names}) < len(names):
        return None
    return displayed(a, b, relation) or displayed(b, a, relation)


def _slipped(a: Reading, b: Reading) -> bool:
    """`1 hour = 1 minute`: equal numbers of different units."""
    return a.bare and b.bare and bool(_known(a)) and bool(_known(b)) and _known(a) != _known(b)


def unit_name(unit: str) -> str:
    """The name that the claims table gives a unit word; empty when it has none."""
    return _UNIT_NAMES.get(unit.lower(), "")


def _known(reading: Reading) -> list[str]:
    return [name for name in map(unit_name, reading.units) if name]


def converted(a: Reading, b: Reading) -> bool | None:
    """Whether two single amounts in different units of one dimension are the same; None when they are something else."""
    if not (a.bare and b.bare and len(_known(a)) == len(_known(b)) == 1):
        return None
    (dimension, have), (other, want) = claims.UNITS[_known(a)[0]], claims.UNITS[_known(b)[0]]
    if dimension != other or have == want:
        return None
    return a.value * have == b.value * want


def _percent_agrees(a: Reading, b: Reading) -> bool:
    """A bare `70%` may also say 70 of a hundred: `7 / 10 * 100 = 70%`."""
    return (b.bare and b.percent and not a.percent and a.value == b.value * 100) or (
        a.bare and a.percent and not b.percent and b.value == a.value * 100
    )


def displayed(exact: Reading, shown: Reading, relation: str) -> bool:
    """Within half a unit of the last place that `shown` displays."""
    if not shown.bare:
        return False
    atom = shown.atoms[0]
    if not atom.decimals and relation != "≈":
        return False
    place = Fraction(1, 10**atom.decimals)
    if relation == "≈" and not atom.decimals:
        place = Fraction(10 ** (len(atom.text) - len(atom.text.rstrip("0"))))
    place /= 100 if shown.percent else 1
    return abs(exact.value - shown.value) <= place / 2
