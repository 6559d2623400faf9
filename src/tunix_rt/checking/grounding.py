"""Where the numbers of a chain come from, and what the chain then adds to what is known."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from tunix_rt.checking.equations import Chain, Side, agreements, displayed, mismatch
from tunix_rt.checking.expressions import Reading
from tunix_rt.checking.findings import SHARES, Finding, Memory, plain
from tunix_rt.checking.tokens import Token

_SUPPOSED = re.compile(
    r"\b(?:for|if|when|let|suppose|assume|assuming|case|with|at|try|set|take|where)\b[^.;\n]*$", re.IGNORECASE
)


def judge(chain: Chain, text: str, memory: Memory) -> Iterator[Finding]:
    """What the chain states: its equation in an unknown, and its arithmetic."""
    sides = chain.numeric
    yield from _equations(chain, text, memory)
    if sides and len(chain.sides) > 1 and (found := _arithmetic(chain, sides, text)):
        yield found
    _learn_exact(sides, memory)


def _arithmetic(chain: Chain, sides: list[Side], text: str) -> Finding | None:
    wrong = mismatch(chain)
    if wrong is None and not agreements(chain):
        return None
    operands = _operands(sides)
    last = sides[-1].reading
    assert last is not None
    kind, expected, got, span = "arithmetic", "", "", (sides[0].start, sides[-1].end)
    if wrong is not None:
        kind, span = wrong.kind, (wrong.got.start, wrong.got.end)
        expected, got = _shown(wrong.expected, wrong.got.reading), text[wrong.got.start : wrong.got.end]
    return Finding(kind, wrong is None, expected, got, span, _values(last), operands)


def _shown(expected: Reading, got: Reading | None) -> str:
    """The true value in the manner of the stated one: with its sign of currency or percent."""
    value = expected.value
    if got is not None and got.bare and got.percent:
        return f"{plain(value * 100)}%"
    money = got is not None and got.bare and "dollar" in got.units
    return f"${plain(value)}" if money else plain(value)


def _values(reading: Reading) -> tuple[Fraction, ...]:
    shown = reading.atoms[0].value if reading.bare else reading.value
    return tuple(dict.fromkeys((shown, reading.value)))


def _operands(sides: list[Side]) -> tuple[Fraction, ...]:
    """The numbers that the chain starts from: those of its first side, or of the second when the first is one number."""
    first = sides[0].reading
    assert first is not None
    if first.bare and len(sides) > 1 and sides[1].reading is not None and not sides[1].reading.bare:
        return ()
    return tuple(token.value for token in first.atoms if not _share(token, first))


def _share(token: Token, reading: Reading) -> bool:
    """10% on the way to 30%: a percentage that methods go by way of needs no source."""
    return reading.percent and token.value in SHARES


def _equations(chain: Chain, text: str, memory: Memory) -> Iterator[Finding]:
    """An equation in the prompt's unknown holds for the value that the prompt's own equation gives. Without one, equations
    that give the same value agree; one that gives another is left alone, for a letter may be used anew. `If x = 2` and its
    like state nothing."""
    for i, relation in enumerate(chain.relations):
        left, right = chain.sides[i], chain.sides[i + 1]
        if relation != "=" or left.reading is None or right.reading is None:
            continue
        solved = solve(left.reading, right.reading)
        if solved is None or _SUPPOSED.search(text[max(0, left.start - 40) : left.start]):
            continue
        unknown, value = solved
        known = memory.solution.get(unknown)
        if known is None or (known != value and unknown not in memory.asked):
            memory.solution[unknown] = value
            continue
        span = (left.start, right.end)
        yield Finding("equation", known == value, f"{unknown} = {plain(known)}", text[slice(*span)], span, (value,))


def solve(left: Reading, right: Reading) -> tuple[str, Fraction] | None:
    """The one value of the one unknown for which the two sides are equal."""
    names = {left.unknown, right.unknown} - {""}
    many = left.many - right.many
    if len(names) != 1 or not many:
        return None
    return names.pop(), (right.value - left.value) / many


def _learn_exact(sides: list[Side], memory: Memory) -> None:
    """33.33 written for 100 / 3: later steps that use 33.33 may mean 100 / 3."""
    for before, after in pairwise(sides):
        a, b = before.reading, after.reading
        if a and b and not b.percent and a.value != b.value and displayed(a, b, "="):
            memory.exact[b.value] = a.value
