"""Arithmetic as it is written out on paper: each method is a chain of small true equations a reader can follow.

Every method returns the result as a quantity whose `{:eq}` is the whole chain and whose claims are all its links. The
rules for when to split are fixed (a reader, or a model, never has to guess): single digits and round numbers go directly,
everything else by place value.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Protocol

from tunix_rt.claims import Number
from tunix_rt.tasks.handles import SYMBOLS, Noun, Quantity, Style, calc, given

DIVISORS = {50: 2, 25: 4, 20: 5, 10: 10}  # percentages that are one division


def places(number: Quantity) -> tuple[Quantity, ...]:
    """347 -> 300, 40, 7: the non-zero place values of a whole number."""
    assert isinstance(number.value, int)
    return _places(number.value, number.style)


@lru_cache(maxsize=1_000)
def _places(value: int, style: Style) -> tuple[Quantity, ...]:
    digits = str(value)
    values = [int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits)]
    return tuple(given(value, style=style) for value in values if value)


def split(number: Quantity) -> Quantity:
    """347 = 300 + 40 + 7."""
    parts = places(number)
    return calc("sum", parts, style=number.style).by_way_of(f"{number} = {_plus(parts)}")


class Method(Protocol):
    def __call__(self, a: Quantity, b: Quantity, noun: Noun | None = None) -> Quantity: ...


def _remembered(work: Callable[[Quantity, Quantity], Quantity]) -> Method:
    """The method with its latest results kept: it depends on two numbers, and a dataset uses the same small ones again."""

    @lru_cache(maxsize=20_000)
    def done(a: Number, style: Style, b: Number, other: Style, noun: Noun | None) -> Quantity:
        if noun:
            return done(a, style, b, other, None).named(noun)
        return work(given(a, style=style), given(b, style=other))

    @wraps(work)
    def method(a: Quantity, b: Quantity, noun: Noun | None = None) -> Quantity:
        return done(a.value, a.style, b.value, b.style, noun)

    return method


@_remembered
def add(a: Quantity, b: Quantity) -> Quantity:
    """38 + 47 = 78 + 7 = 85: add the largest place first; direct when one of the two has a single non-zero place."""
    return _stepwise("add", a, b)


@_remembered
def sub(a: Quantity, b: Quantity) -> Quantity:
    """85 - 47 = 45 - 7 = 38: take away the largest place first; direct when b has a single non-zero place."""
    return _stepwise("sub", a, b)


def _stepwise(op: str, a: Quantity, b: Quantity) -> Quantity:
    direct = calc(op, a, b)
    if not _whole(a, b) or len(places(b)) < 2 or (op == "add" and len(places(a)) < 2):
        return direct
    links, shown = list(direct.claims), f"{a} {SYMBOLS[op]} {b}"
    for place in places(b)[:-1]:
        a, b = calc(op, a, place), calc("sub", b, place)
        links += calc(op, a, b).claims
        shown += f" = {a} {SYMBOLS[op]} {b}"
    return direct.by_way_of(f"{shown} = {direct}", links)


@_remembered
def mul(a: Quantity, b: Quantity) -> Quantity:
    """47 * 6 = 40 * 6 + 7 * 6 = 240 + 42 = 282; direct when `a` has one non-zero place. `b` is a single digit or round."""
    direct = calc("mul", a, b)
    if not _whole(a, b) or len(places(a)) < 2 or b.value in (1, 10, 100):
        return direct
    parts = [calc("mul", part, b) for part in places(a)]
    products = " + ".join([f"{part} * {b}" for part in places(a)])
    ways = [part.claims for part in (*parts, calc("sum", parts, style=direct.style))]
    return direct.by_way_of(f"{a} * {b} = {products} = {_plus(parts)} = {direct}", *ways)


@_remembered
def div(a: Quantity, b: Quantity) -> Quantity:
    """84 / 6 = 60 / 6 + 24 / 6 = 10 + 4 = 14; direct when the quotient is a single place or `b` is round."""
    direct = calc("div", a, b)
    if not _whole(a, b) or not _whole(direct, direct) or len(places(direct)) < 2 or b.value in (1, 10, 100):
        return direct
    chunks = [calc("mul", share, b, style=a.style) for share in places(direct)]
    parts = [calc("div", chunk, b) for chunk in chunks]
    chunked = " + ".join([f"{chunk} / {b}" for chunk in chunks])
    ways = [part.claims for part in (*parts, calc("sum", parts, style=direct.style))]
    return direct.by_way_of(f"{a} / {b} = {chunked} = {_plus(parts)} = {direct}", *ways)


def chunks(a: Quantity, b: Quantity) -> Quantity:
    """84 = 60 + 24: the parts of `a` that `b` divides into single places."""
    parts = [calc("mul", share, b, style=a.style) for share in places(calc("div", a, b))]
    return calc("sum", parts, style=a.style).by_way_of(f"{a} = {_plus(parts)}")


def total(terms: Sequence[Quantity], noun: Noun | None = None) -> list[Quantity]:
    """Add a list from the left, one written addition a step; the last is the sum of all."""
    running, *rest = terms
    sums = []
    for term in rest:
        running = add(running, term, noun)
        sums.append(running)
    return sums


def percent(rate: Quantity, whole: Quantity, noun: Noun | None = None) -> list[Quantity]:
    """The steps to a percentage: tens of a round number by way of one tenth, halves, quarters and fifths by a division,
    fives by half a tenth."""
    assert isinstance(rate.value, int) and isinstance(whole.value, int)
    if rate.value == 10:
        return [_percent_by(rate, whole, div(whole, given(10)), noun)]
    if rate.value % 10 == 0 and whole.value % 10 == 0:
        tenth = percent(_rate(10), whole)
        return [*tenth, _percent_by(rate, whole, calc("mul", given(rate.value // 10), tenth[-1]), noun)]
    if rate.value in DIVISORS:
        return [_percent_by(rate, whole, div(whole, given(DIVISORS[rate.value])), noun)]
    if rate.value == 75:
        quarter = percent(_rate(25), whole)
        return [*quarter, _percent_by(rate, whole, mul(given(3), quarter[-1]), noun)]
    tenth = percent(_rate(10), whole)
    half = _percent_by(_rate(5), whole, div(tenth[-1], given(2)), noun)
    if rate.value == 5:
        return [*tenth, half]
    tens = percent(_rate(rate.value - 5), whole)
    return [*tens, half, _percent_by(rate, whole, add(tens[-1], half), noun)]


def _rate(value: int) -> Quantity:
    return given(value, style="percent")


def _percent_by(rate: Quantity, whole: Quantity, way: Quantity, noun: Noun | None) -> Quantity:
    """30% of 80 = 3 * 8 = 24."""
    direct = calc("percent_of", rate, whole, noun=noun)
    return direct.by_way_of(f"{rate} of {whole} = {way:eq}", way.claims)


def _whole(a: Quantity, b: Quantity) -> bool:
    return type(a.value) is int and type(b.value) is int and a.value > 0 and b.value > 0


def _plus(terms: Sequence[Quantity]) -> str:
    return " + ".join([term.text for term in terms])
