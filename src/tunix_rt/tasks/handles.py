"""Values that enter text and claims by the same door, so that a sentence and its claim cannot disagree.

A handle is made by `given` (the item's own choice) or by an operation of the claims table: `calc` for numbers, `rewrite`
for text, `arrange` for lists, `assert_` for a statement that is true or false. It is written into text by formatting it:
`{n}` the value, `{n:u}` with its noun, `{n:a}` after an article, `{n:eq}` the whole equation that produced it. Numbers are
int or Fraction; money is dollars, shown as "$31.50" or "$31".

Handles are never changed once made. They are not frozen dataclasses, because those take four times as long to make.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from tunix_rt import claims
from tunix_rt.claims import Number, Statement

Style = Literal["plain", "dollars", "cents", "percent"]
_VOWEL_SOUNDS = {8, 11, 18, *range(80, 90)}
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


class Noun(NamedTuple):
    """A countable thing; `{n:u}` chooses the form."""

    one: str
    many: str

    def of(self, value: Number) -> str:
        return self.one if value == 1 else self.many


def noun(one: str, many: str = "") -> Noun:
    return Noun(one, many or one + "s")


@dataclass(slots=True)
class Quantity:
    """`text` is the value as it is written, `shown` the equation that produced it."""

    value: Number
    style: Style
    noun: Noun | None
    text: str
    claims: tuple[Statement, ...] = ()
    shown: str = ""

    def __format__(self, spec: str) -> str:
        if not spec:
            return self.text
        if spec == "eq":
            return self.shown
        if spec == "u":
            return f"{self.text} {self.unit}"
        if spec == "a":
            return f"{'an' if self.value in _VOWEL_SOUNDS else 'a'} {self.text}"
        raise ValueError(f"no format {spec!r} for a quantity; known: '', 'u', 'a', 'eq'")

    def __str__(self) -> str:
        return self.text

    @property
    def unit(self) -> str:
        return self.noun.of(self.value) if self.noun else ""

    def named(self, thing: Noun | None) -> "Quantity":
        return Quantity(self.value, self.style, thing, self.text, self.claims, self.shown)

    def by_way_of(self, shown: str, *ways: Sequence[Statement]) -> "Quantity":
        """The same quantity reached by the equations of `ways`, which `shown` writes out."""
        links = dict.fromkeys([*self.claims, *(claim for way in ways for claim in way)])
        return Quantity(self.value, self.style, self.noun, self.text, tuple(links), shown)


@dataclass(slots=True)
class Text:
    value: str
    claims: tuple[Statement, ...] = ()

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __str__(self) -> str:
        return self.value


@dataclass(slots=True)
class Listing:
    """`{items}` is "a, b, c"; any other format is the separator to use: `{items:-}` is "a-b-c"."""

    value: tuple[int | str, ...]
    claims: tuple[Statement, ...] = ()

    def __format__(self, spec: str) -> str:
        return (spec or ", ").join(str(item) for item in self.value)

    def __str__(self) -> str:
        return format(self)


@dataclass(slots=True)
class Truth:
    value: bool
    claims: tuple[Statement, ...] = ()

    def __format__(self, spec: str) -> str:
        return "yes" if self.value else "no"


Handle = Quantity | Text | Listing | Truth
_HANDLES = frozenset({Quantity, Text, Listing, Truth})


def written(value: Number, style: Style = "plain") -> str:
    """The one way this project writes an exact number; halves, tenths and hundredths as decimals, others as p/q."""
    match style:
        case "dollars" | "cents" if value < 0:
            return "-" + written(-value, style)
        case "dollars":
            return f"${value}" if isinstance(value, int) else written(value, "cents")
        case "cents":
            cents = value * 100
            assert cents == int(cents), "money is whole cents"
            return f"${int(cents) // 100}.{int(cents) % 100:02d}"
        case "percent":
            return f"{written(value)}%"
    return str(value) if isinstance(value, int) else _decimal(value)


def _decimal(value: Fraction) -> str:
    hundredths = value * 100
    if hundredths.denominator != 1:
        return str(value)
    whole, rest = divmod(abs(hundredths.numerator), 100)
    return f"{'-' if value < 0 else ''}{whole}.{rest:02d}".removesuffix("0")


def given(value: Number, noun: Noun | None = None, style: Style = "plain") -> Quantity:
    if type(value) is int and style == "plain":
        return _counted(value, noun)
    value = _narrow(value)
    return Quantity(value, style, noun, written(value, style))


@lru_cache(maxsize=20_000)  # the same small numbers come again and again
def _counted(value: int, noun: Noun | None) -> Quantity:
    return Quantity(value, "plain", noun, str(value))


def word(value: str) -> Text:
    return Text(value)


def listing(values: Sequence[int | str]) -> Listing:
    return Listing(tuple(values))


def calc(op: str, *operands: Any, noun: Noun | None = None, style: Style | None = None) -> Quantity:
    """The number an operation gives. Operands are handles, lists of them, or bare JSON that the operation defines (unit names).

    The style follows the operands: money stays money, except money / money.
    """
    if op in SYMBOLS:
        return _of_two(op, operands[0], operands[1], noun, style)
    if op == "sum":
        return _sum(operands[0], noun, style)
    claim = _claim(op, operands)
    chosen = style or _style(op, operands)
    value = _narrow(claims.number(claim[-1]))
    text = _written(value, chosen)
    shown = f"{operands[0]} of {operands[1]} = {text}" if op == "percent_of" else ""
    return Quantity(value, chosen, noun, text, (claim,), shown)


def _of_two(op: str, a: Quantity, b: Quantity, noun: Noun | None, style: Style | None) -> Quantity:
    """The four basic operations, which are most of all: the values are exact already, so nothing has to be read."""
    x, y = a.value, b.value
    value = claims.TABLE[op].run(x, y)
    chosen = style or (a.style if a.style != "plain" else b.style)
    if op == "div" and not style and a.style != "plain" != b.style:
        chosen = "plain"
    if type(x) is type(y) is type(value) is int:
        claim: Statement = (op, (x, y), value)
    else:
        claim = (op, (claims.jsonable(x), claims.jsonable(y)), claims.jsonable(value))
        value = _narrow(value)
    text = _written(value, chosen)
    return Quantity(value, chosen, noun, text, (claim,), f"{a.text} {SYMBOLS[op]} {b.text} = {text}")


def _sum(terms: Sequence[Quantity], noun: Noun | None, style: Style | None) -> Quantity:
    value = _narrow(sum([term.value for term in terms]))
    chosen = style or _style("sum", [terms])
    text = _written(value, chosen)
    claim: Statement = ("sum", (claims.jsonable([term.value for term in terms]),), claims.jsonable(value))
    return Quantity(value, chosen, noun, text, (claim,), f"{' + '.join([term.text for term in terms])} = {text}")


def rewrite(op: str, *operands: Any) -> Text:
    """The text an operation gives."""
    claim = _claim(op, operands)
    result = claim[-1]
    assert isinstance(result, str)
    return Text(result, (claim,))


def arrange(op: str, *operands: Any) -> Listing:
    """The list an operation gives."""
    claim = _claim(op, operands)
    result = claim[-1]
    assert isinstance(result, tuple)
    return Listing(result, (claim,))


def assert_(op: str, *operands: Any) -> Truth:
    """A statement with a truth value; its text says which, its claim carries it."""
    claim = _claim(op, operands)
    result = claim[-1]
    assert isinstance(result, bool)
    return Truth(result, (claim,))


def _claim(op: str, operands: Sequence[Any]) -> Statement:
    """The operation runs on the exact values as they are: `proof.problems` reads every claim again from its JSON."""
    values = [[_bare(entry) for entry in one] if isinstance(one, list | tuple) else _bare(one) for one in operands]
    return op, tuple(map(claims.jsonable, values)), claims.jsonable(claims.TABLE[op].run(*values))


def _written(value: Number, style: Style) -> str:
    return str(value) if type(value) is int and style == "plain" else written(value, style)


def _narrow(value: Number) -> Number:
    return value if type(value) is int or value.denominator != 1 else value.numerator


def _bare(operand: Any) -> Any:
    return operand.value if type(operand) in _HANDLES else operand


def _style(op: str, operands: Sequence[Any]) -> Style:
    if op == "percent_share":
        return "percent"
    flat = [entry for operand in operands for entry in (operand if isinstance(operand, list | tuple) else [operand])]
    styles: list[Style] = [entry.style for entry in flat if type(entry) is Quantity and entry.style != "plain"]
    if op == "percent_of":
        return flat[1].style  # type: ignore[no-any-return]
    if op == "compare" and len(styles) == 2:
        return "plain"
    return styles[0] if styles else "plain"
