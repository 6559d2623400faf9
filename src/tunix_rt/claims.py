"""The closed table of statements a step can make that a machine can check: operation, operands, result.

A claim is JSON. Numbers are exact: a JSON integer, or a fraction as the string "p/q" in lowest terms, read as a number only
where the operation's signature says number (elsewhere "1/2" is three letters). Generators that write claims and checkers
that read them share this table, so a claim means the same thing everywhere; nothing here ever uses a float.
"""

import operator
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal

from pydantic import StrictBool, StrictInt, StrictStr

from tunix_rt import errors
from tunix_rt.values import Value

Number = int | Fraction
Scalar = StrictInt | StrictStr | StrictBool
Operand = Scalar | tuple[StrictInt | StrictStr, ...]
Kind = Literal["number", "integer", "text", "item", "truth", "numbers", "texts", "items"]


class Claim(Value):
    """`op` names an entry of the table; `args` and `result` are JSON scalars or lists of them, as that entry defines."""

    op: str
    args: tuple[Operand, ...]
    result: Operand


Statement = tuple[str, tuple[Operand, ...], Operand]
"""A claim inside the process that makes it, as the arguments of `true`: cheap to build, compare and hash, not validated."""


class Op:
    """One entry: what each operand must be, what comes out, and the exact evaluator.

    An evaluator raises ValueError, saying why, when its operands have no result (a division by zero).
    """

    __slots__ = ("args", "flat", "kinds", "quick", "read_args", "read_result", "result", "run")

    def __init__(self, args: tuple[Kind, ...], result: Kind, run: Callable[..., Any]) -> None:
        self.args, self.result, self.run = args, result, run
        self.kinds = (*args, result)
        self.flat = not any(kind in ("numbers", "texts", "items") for kind in self.kinds)
        self.quick = self.kinds == ("number", "number", "number")  # has a result whatever the integers are, save division by 0
        self.read_args = tuple(_READERS[kind] for kind in args)
        self.read_result = _READERS[result]


def evaluate(claim: Claim) -> Operand:
    """The true result of the claim's operation, in the claim's own JSON form; `claim.result` is not looked at."""
    return apply(claim.op, claim.args)


def holds(claim: Claim) -> bool:
    """Whether the claimed result is the true one. A malformed claim is an `errors.Invalid`, not False."""
    return true(claim.op, claim.args, claim.result)


def true(name: str, args: Sequence[Operand], result: Operand) -> bool:
    """`holds` for a claim in parts, as JSON writes them."""
    op = TABLE.get(name) or _entry(name)
    if op.quick and len(args) == 2 and type(args[0]) is type(args[1]) is type(result) is int:  # nearly every claim
        a, b = args
        if -_WORD < a < _WORD and -_WORD < b < _WORD and b and -_WORD < result < _WORD:  # type: ignore[operator]
            return bool(op.run(a, b) == result)
    try:
        stated = op.read_result(result)
    except ValueError as error:
        raise _misfit(name, "the result", result, error) from error
    return bool(_run(name, op, args) == stated)


def apply(name: str, args: Sequence[Operand]) -> Operand:
    """The result of a named operation on JSON operands; Invalid names the operation and the operand that does not fit."""
    return jsonable(_run(name, _entry(name), args))


def _run(name: str, op: Op, args: Sequence[Operand]) -> Any:
    if len(args) != len(op.args):
        raise errors.Invalid(f"claim {name!r} takes {len(op.args)} arguments ({', '.join(op.args)}), got {len(args)}.", op=name)
    operands: list[Any] = []
    try:
        for read, value in zip(op.read_args, args, strict=True):
            operands.append(read(value))
        return op.run(*operands)
    except ValueError as error:
        if (read_so_far := len(operands)) < len(args):
            raise _misfit(name, f"argument {read_so_far + 1}", args[read_so_far], error) from error
        raise errors.Invalid(f"claim {name!r} with {list(args)!r} has no result: {error}.", op=name) from error


def number(value: object) -> Number:
    """The exact number a JSON operand writes; ValueError when it writes none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        fraction = Fraction(int(match[1]), int(match[2]))
        if fraction.denominator == int(match[2]):
            return fraction
        raise ValueError("not in lowest terms")
    raise ValueError("expected a number: an integer or a fraction such as '3/2'")


def jsonable(value: Any) -> Operand:
    """The one JSON form of an exact value: integers as they are, other fractions as "p/q", lists as tuples."""
    kind = type(value)
    if kind is Fraction:
        return value.numerator if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    if kind is list or kind is tuple:
        if _PLAIN.issuperset(map(type, value)):
            return tuple(value)
        return tuple(jsonable(item) for item in value)  # type: ignore[misc]
    return value  # type: ignore[no-any-return]


_PLAIN = frozenset({int, str})
_FRACTION = re.compile(r"(-?[0-9]{1,100})/([1-9][0-9]{0,99})")
_LONGEST = 20_000  # characters a text operation may produce: a step's own limit
_DIGITS = 200  # of any number a claim works on
_LIMIT = 10**_DIGITS
_WORD = 1 << 63


def _entry(name: str) -> Op:
    try:
        return TABLE[name]
    except KeyError:
        raise errors.Invalid(f"unknown claim operation {name!r}.{errors.nearest(name, TABLE)}", op=name) from None


def _misfit(name: str, where: str, value: Operand, why: ValueError) -> errors.Invalid:
    return errors.Invalid(f"claim {name!r}: {where} is {value!r}: {why}.", op=name, argument=where)


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("expected an integer")


def _small(value: object) -> Number:
    found = value if type(value) is int else number(value)
    if not -_LIMIT < found < _LIMIT:
        raise ValueError(f"more than {_DIGITS} digits")
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("expected text")


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("expected true or false")


def _item(value: object) -> int | str:
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError("expected an integer or text")


def _many(read: Callable[[object], Any], *plain: type) -> Callable[[object], list[Any]]:
    """A reader of lists; entries that are all of one `plain` type are taken as they are."""

    def reader(value: object) -> list[Any]:
        if not isinstance(value, tuple | list) or not value:
            raise ValueError("expected a list with at least one entry")
        kinds = set(map(type, value))
        if len(kinds) == 1 and kinds.issubset(plain) and (read is not _small or -_LIMIT < min(value) <= max(value) < _LIMIT):
            return list(value)
        found = [read(entry) for entry in value]
        if len({isinstance(entry, str) for entry in found}) > 1:
            raise ValueError("expected integers only or texts only")
        return found

    return reader


_READERS: dict[Kind, Callable[[object], Any]] = {
    "number": _small,
    "integer": _integer,
    "text": _text,
    "item": _item,
    "truth": _truth,
    "numbers": _many(_small, int),
    "texts": _many(_text, str),
    "items": _many(_item, int, str),
}

RELATIONS: dict[str, Callable[[Number, Number], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}

UNITS: dict[str, tuple[str, Number]] = {
    "second": ("time", 1),
    "minute": ("time", 60),
    "hour": ("time", 3_600),
    "day": ("time", 86_400),
    "week": ("time", 604_800),
    "millimeter": ("length", 1),
    "centimeter": ("length", 10),
    "meter": ("length", 1_000),
    "kilometer": ("length", 1_000_000),
    "inch": ("length", Fraction(254, 10)),
    "foot": ("length", Fraction(3048, 10)),
    "yard": ("length", Fraction(9144, 10)),
    "gram": ("mass", 1),
    "kilogram": ("mass", 1_000),
    "milliliter": ("volume", 1),
    "liter": ("volume", 1_000),
    "cent": ("money", 1),
    "dollar": ("money", 100),
    "item": ("count", 1),
    "dozen": ("count", 12),
}


def _div(a: Number, b: Number) -> Number:
    if b == 0:
        raise ValueError("division by zero")
    if type(a) is int and type(b) is int and a % b == 0:
        return a // b
    return Fraction(a) / b


def _quotient(a: int, b: int) -> int:
    if b <= 0 or a < 0:
        raise ValueError("needs a dividend of 0 or more and a divisor above 0")
    return a // b


def _convert(value: Number, source: str, target: str) -> Number:
    for unit in (source, target):
        if unit not in UNITS:
            raise ValueError(f"unknown unit {unit!r}{errors.nearest(unit, UNITS)}")
    (dimension, have), (other, want) = UNITS[source], UNITS[target]
    if dimension != other:
        raise ValueError(f"{source} measures {dimension} and {target} measures {other}")
    return _div(value * have, want)


def _solve(a: Number, b: Number, c: Number) -> Number:
    if a == 0:
        raise ValueError("a * x + b = c needs a other than 0")
    return _div(c - b, a)


def _compare(a: Number, relation: str, b: Number) -> bool:
    if relation not in RELATIONS:
        raise ValueError(f"unknown relation {relation!r}; known: {' '.join(RELATIONS)}")
    return RELATIONS[relation](a, b)


def _spell(text: str) -> list[str]:
    if not text:
        raise ValueError("nothing to spell")
    return list(text)


def _repeat(text: str, times: int, separator: str) -> str:
    if times < 1 or times * (len(text) + len(separator)) > _LONGEST:
        raise ValueError(f"needs 1 or more repetitions and at most {_LONGEST} characters")
    return separator.join([text] * times)


def _modus_ponens(condition: str, consequence: str, fact: str) -> str:
    return consequence if fact == condition else "unknown"


def _sort(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: (item.casefold(), item) if isinstance(item, str) else item)


def _letters(text: str, letter: str) -> int:
    if len(letter) != 1:
        raise ValueError("counts one letter")
    return text.count(letter)


TABLE: dict[str, Op] = {
    "add": Op(("number", "number"), "number", operator.add),
    "sub": Op(("number", "number"), "number", operator.sub),
    "mul": Op(("number", "number"), "number", operator.mul),
    "div": Op(("number", "number"), "number", _div),
    "sum": Op(("numbers",), "number", sum),
    "quotient": Op(("integer", "integer"), "integer", _quotient),
    "remainder": Op(("integer", "integer"), "integer", lambda a, b: a - b * _quotient(a, b)),
    "mean": Op(("numbers",), "number", lambda values: _div(sum(values), len(values))),
    "percent_of": Op(("number", "number"), "number", lambda percent, whole: _div(percent * whole, 100)),
    "percent_share": Op(("number", "number"), "number", lambda part, whole: _div(part, whole) * 100),
    "convert": Op(("number", "text", "text"), "number", _convert),
    "solve": Op(("number", "number", "number"), "number", _solve),  # the x of a * x + b = c
    "compare": Op(("number", "text", "number"), "truth", _compare),
    "largest": Op(("numbers",), "number", max),
    "smallest": Op(("numbers",), "number", min),
    "count": Op(("items",), "integer", len),
    "count_words": Op(("text",), "integer", lambda text: len(text.split())),
    "count_letter": Op(("text", "text"), "integer", _letters),
    "length": Op(("text",), "integer", len),
    "spell": Op(("text",), "texts", _spell),
    "reverse": Op(("text",), "text", lambda text: text[::-1]),
    "reverse_list": Op(("items",), "items", lambda items: items[::-1]),
    "join": Op(("texts", "text"), "text", lambda texts, separator: separator.join(texts)),
    "repeat": Op(("text", "integer", "text"), "text", _repeat),
    "upper": Op(("text",), "text", str.upper),
    "lower": Op(("text",), "text", str.lower),
    "sort": Op(("items",), "items", _sort),
    "member": Op(("item", "items"), "truth", lambda item, items: item in items),
    "common": Op(("items", "items"), "items", lambda a, b: [item for item in a if item in b]),
    "modus_ponens": Op(("text", "text", "text"), "text", _modus_ponens),  # if 1 then 2; 3 is so; hence 2, or "unknown"
}
