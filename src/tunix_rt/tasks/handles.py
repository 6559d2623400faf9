"""Values that enter text and claims by the same door, so that a sentence and its claim cannot disagree.

A handle is made by `given` (the item's own choice) or by an operation of the claims table: `calc` for numbers, `rewrite`
for text, `arrange` for lists, `assert_` for a statement that is true or false. It is written into text by formatting it:
`{n}` the value, `{n:u}` with its noun, `{n:a}` after an article, `{n:eq}` the whole equation that produced it. Numbers are
int or Fraction; money is dollars, shown as "$31.50" or "$31".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from tunix_rt import claims
from tunix_rt.claims import Claim, Number

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


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Number
    style: Style = "plain"
    noun: Noun | None = None
    claims: tuple[Claim, ...] = ()
    shown: str = ""

    def __format__(self, spec: str) -> str:
        match spec:
            case "":
                return written(self.value, self.style)
            case "u":
                return f"{self} {self.unit}"
            case "a":
                return f"{'an' if self.value in _VOWEL_SOUNDS else 'a'} {self}"
            case "eq":
                return self.shown
        raise ValueError(f"no format {spec!r} for a quantity; known: '', 'u', 'a', 'eq'")

    def __str__(self) -> str:
        return format(self)

    @property
    def unit(self) -> str:
        return self.noun.of(self.value) if self.noun else ""

    def named(self, thing: Noun | None) -> "Quantity":
        return replace(self, noun=thing)


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    claims: tuple[Claim, ...] = ()

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Listing:
    """`{items}` is "a, b, c"; any other format is the separator to use: `{items:-}` is "a-b-c"."""

    value: tuple[int | str, ...]
    claims: tuple[Claim, ...] = ()

    def __format__(self, spec: str) -> str:
        return (spec or ", ").join(str(item) for item in self.value)

    def __str__(self) -> str:
        return format(self)


@dataclass(frozen=True, slots=True)
class Truth:
    value: bool
    claims: tuple[Claim, ...] = ()

    def __format__(self, spec: str) -> str:
        return "yes" if self.value else "no"


Handle = Quantity | Text | Listing | Truth


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
    return Quantity(_narrow(value), style, noun)


def word(value: str) -> Text:
    return Text(value)


def listing(values: Sequence[int | str]) -> Listing:
    return Listing(tuple(values))


def calc(op: str, *operands: Any, noun: Noun | None = None, style: Style | None = None) -> Quantity:
    """The number an operation gives. Operands are handles, lists of them, or bare JSON that the operation defines (unit names).

    The style follows the operands: money stays money, except money / money.
    """
    claim = _claim(op, operands)
    chosen = style or _style(op, operands)
    value = _narrow(claims.number(claim.result))
    return Quantity(value, chosen, noun, (claim,), _equation(op, operands, written(value, chosen)))


def rewrite(op: str, *operands: Any) -> Text:
    """The text an operation gives."""
    claim = _claim(op, operands)
    assert isinstance(claim.result, str)
    return Text(claim.result, (claim,))


def arrange(op: str, *operands: Any) -> Listing:
    """The list an operation gives."""
    claim = _claim(op, operands)
    assert isinstance(claim.result, tuple)
    return Listing(claim.result, (claim,))


def assert_(op: str, *operands: Any) -> Truth:
    """A statement with a truth value; its text says which, its claim carries it."""
    claim = _claim(op, operands)
    assert isinstance(claim.result, bool)
    return Truth(claim.result, (claim,))


def _claim(op: str, operands: Sequence[Any]) -> Claim:
    args = tuple(_operand(operand) for operand in operands)
    return Claim(op=op, args=args, result=claims.apply(op, args))


def _narrow(value: Number) -> Number:
    return value if isinstance(value, int) or value.denominator != 1 else value.numerator


def _operand(operand: Any) -> claims.Operand:
    if isinstance(operand, list | tuple):
        return claims.jsonable([_bare(entry) for entry in operand])
    return claims.jsonable(_bare(operand))


def _bare(operand: Any) -> Any:
    return operand.value if isinstance(operand, Quantity | Text | Listing | Truth) else operand


def _style(op: str, operands: Sequence[Any]) -> Style:
    flat = [entry for operand in operands for entry in (operand if isinstance(operand, list | tuple) else [operand])]
    styles: list[Style] = [entry.style for entry in flat if isinstance(entry, Quantity) and entry.style != "plain"]
    if op == "percent_share":
        return "percent"
    if op == "percent_of":
        return flat[1].style  # type: ignore[no-any-return]
    if op in ("div", "compare") and len(styles) == 2:
        return "plain"
    return styles[0] if styles else "plain"


def _equation(op: str, operands: Sequence[Any], result: str) -> str:
    if op in SYMBOLS:
        return f"{operands[0]} {SYMBOLS[op]} {operands[1]} = {result}"
    if op == "sum":
        return f"{' + '.join(str(term) for term in operands[0])} = {result}"
    if op == "percent_of":
        return f"{operands[0]} of {operands[1]} = {result}"
    return ""
