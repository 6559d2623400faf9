"""Statements about the way: named formulas, which operation a word asks for, what is compared, divisions with a rest."""

import re
from fractions import Fraction

from tunix_rt.checking.findings import Finding, Memory, statement
from tunix_rt.checking.words import Rule

_N = r"\$?([0-9]{1,15}(?:\.[0-9]{1,6})?)"
_FORMULA = re.compile(rf"(\w{{1,20}}) = (\w{{1,20}}) ([-+*/]) (\w{{1,20}}) = {_N} ([-+*/]) {_N}")
_AROUND = re.compile(r"perimeter = (.{1,40})")
_SAME = re.compile(rf"{_N} and {_N} are (the same|different)(?:, so the (answer|correct result) is (yes|no|{_N}))?\.?")
_MEANS = re.compile(r"([0-9]{1,3}%|1/[0-9]{1,4}) means divide by ([0-9]{1,4})\.?")
_AGE = re.compile(r"([A-Z]\w{0,40}) is (older|younger), so ([0-9]{1,3}) ([-+]) ([0-9]{1,3})\.?")
_PARTS = re.compile(r"([0-9]{1,9}) ([^0-9]{1,60}) in ([0-9]{1,9}) equal parts\.?")
_RATE = re.compile(r"([0-9]{1,9}) (?:an?|per) (\w{1,20}) for ([0-9]{1,9}) (\w{1,20}): ([0-9]{1,9}) ([-+*/]) ([0-9]{1,9})\.?")
_ORDER = re.compile(r"(Multiply|Brackets) first, then (add|multiply)\.?")
_FITS = re.compile(r"([0-9]{1,12}) \* ([0-9]{1,12}) = ([0-9]{1,12}) is the most that fits in ([0-9]{1,12})\.?")
_REST = re.compile(r"([0-9]{1,12}) / ([0-9]{1,12}) = ([0-9]{1,12}) (?:remainder|rem|R|r) ([0-9]{1,12})(?![0-9])")
_UNDO = re.compile(
    r"(?:([0-9]{1,9}) \* )?[a-z](?: ([-+]) ([0-9]{1,9}))? = [0-9]{1,12}, so (subtract|add|divide by) ([0-9]{1,9})\.?"
)
FORMULAS = {
    "distance": {("speed", "*", "time"), ("time", "*", "speed"), ("rate", "*", "time")},
    "time": {("distance", "/", "speed"), ("distance", "/", "rate")},
    "speed": {("distance", "/", "time")},
    "rate": {("distance", "/", "time")},
    "area": {("length", "*", "width"), ("width", "*", "length")},
    "length": {("area", "/", "width")},
    "width": {("area", "/", "length")},
    "total": {("price", "*", "count"), ("count", "*", "price")},
    "cost": {("price", "*", "count"), ("count", "*", "price")},
    "average": {("sum", "/", "count"), ("total", "/", "count")},
}
_PERIMETERS = ("two times (length + width)", "2 * (length + width)", "2 * length + 2 * width")


def formula(text: str, _memory: Memory) -> Finding | None:
    """distance = speed * time = 60 * 4: the formula is known, the signs agree, the numbers are the prompt's."""
    match = _FORMULA.fullmatch(text)
    if match is None or match[1].lower() not in FORMULAS:
        return None
    known = FORMULAS[match[1].lower()]
    stated = (match[2], match[3], match[4])
    names = {(left, right) for left, _, right in known}
    if (match[2], match[4]) not in names and (match[4], match[2]) not in names:
        return None
    if stated not in known or match[3] != match[6]:
        return statement("formula", " ".join(sorted(known)[0]), " ".join((*stated[:1], match[6], *stated[2:])), text)
    return _of_prompt("formula", text, match[5], match[7])


def _of_prompt(kind: str, text: str, *stated: str) -> Finding:
    """A true statement of the way, with the numbers it takes from the prompt."""
    return Finding(kind, ok=True, got=text, span=(0, len(text)), operands=tuple(map(Fraction, stated)))


def perimeter(text: str, _memory: Memory) -> Finding | None:
    """perimeter = two times (length + width)"""
    match = _AROUND.fullmatch(text)
    if match is None or "length" not in match[1] or any(sign.isdigit() and sign != "2" for sign in match[1]):
        return None
    return Finding("formula", match[1] in _PERIMETERS, _PERIMETERS[0], match[1], match.span(1))


def sameness(text: str, _memory: Memory) -> Finding | None:
    """15 and 16 are different, so the answer is no"""
    match = _SAME.fullmatch(text)
    if match is None:
        return None
    a, b, said, what, end, _ = match.groups()
    same, true = a == b, "the same" if a == b else "different"
    if not what:
        return statement("comparison", true, said, text)._replace(operands=(Fraction(a), Fraction(b)), results=())
    wanted = {"answer": "yes" if same else "no", "correct result": a}[what]
    stated = end.removeprefix("$")
    result = end if end in ("yes", "no") else Fraction(stated)
    finding = statement("comparison", f"{true}, {wanted}", f"{said}, {stated}", text, result)
    return finding._replace(operands=(Fraction(a), Fraction(b)), span=(0, len(text)))


def means(text: str, _memory: Memory) -> Finding | None:
    """20% means divide by 5"""
    match = _MEANS.fullmatch(text)
    if match is None:
        return None
    share = match[1]
    part = Fraction(int(share[:-1]), 100) if share.endswith("%") else Fraction(1, max(int(share[2:]), 1))
    finding = Finding("plan", part * int(match[2]) == 1, str(1 / part) if part else "nothing", match[2], match.span(2))
    return finding._replace(operands=(Fraction(int(share[:-1])) if share.endswith("%") else 1 / part,))


def ages(text: str, memory: Memory) -> Finding | None:
    """Leo is older, so 27 + 9"""
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    name, word, a, sign, b = match.groups()
    asked = memory.flat
    if name.lower() not in asked or word not in asked:
        return None
    finding = statement("plan", "+" if word == "older" else "-", sign, text)
    return finding._replace(operands=(Fraction(a), Fraction(b)), span=match.span(4), results=())


def parts(text: str, memory: Memory) -> Finding | None:
    """12 cards in 4 equal parts"""
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    return _of_prompt("plan", text, match[1], match[3]) if match[2].split()[0].lower() in memory.flat else None


def pace(text: str, _memory: Memory) -> Finding | None:
    """12 an hour for 2 hours: 12 * 2"""
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    rate, unit, span, units, a, sign, b = match.groups()
    if units.removesuffix("s") != unit:
        return statement("plan", unit, units, text)
    wanted = f"{rate} * {span}"
    stated = f"{a} {sign} {b}"
    finding = statement("plan", wanted, wanted if stated == f"{span} * {rate}" else stated, text)
    return finding._replace(operands=(Fraction(rate), Fraction(span)), results=())


def order(text: str, memory: Memory) -> Finding | None:
    """Multiply first, then add."""
    match = _ORDER.fullmatch(text)
    if match is None:
        return None
    brackets = re.search(r"\([^()*]{1,60}\+[^()*]{1,60}\) ?\*", memory.flat)
    product = re.search(r"[0-9] \* [0-9]{1,15} \+", memory.flat)
    if not brackets and not product:
        return None
    return statement("plan", "Brackets, multiply" if brackets else "Multiply, add", f"{match[1]}, {match[2]}", text)


def fits(text: str, memory: Memory) -> Finding | None:
    """3 * 9 = 27 is the most that fits in 28"""
    match = _FITS.fullmatch(text)
    if match is None:
        return None
    times, size, product, whole = (int(part) for part in match.groups())
    finding = Finding("arithmetic", times * size == product, str(times * size), match[3], match.span(3), (Fraction(product),))
    if not finding.ok or size == 0:
        return finding
    most = whole // size
    right = most == times and Fraction(size) in memory.written
    finding = Finding("plan", right, f"{most} * {size}", f"{times} * {size}", match.span(1))
    return finding._replace(results=(Fraction(product), Fraction(times)), operands=(Fraction(whole), Fraction(size)))


def rest(text: str, _memory: Memory) -> Finding | None:
    """28 / 9 = 3 remainder 1"""
    match = _REST.search(text)
    if match is None:
        return None
    whole, size, times, left = (int(part) for part in match.groups())
    if size == 0:
        return Finding("arithmetic", ok=False, expected="no division by 0", got=match[0], span=match.span())
    true = f"{whole // size} remainder {whole % size}"
    finding = Finding("arithmetic", divmod(whole, size) == (times, left), true, f"{times} remainder {left}", match.span())
    return finding._replace(results=(Fraction(times), Fraction(left)), operands=(Fraction(whole), Fraction(size)))


def undo(text: str, _memory: Memory) -> Finding | None:
    """2 * x = 18, so divide by 2"""
    match = _UNDO.fullmatch(text)
    if match is None or bool(match[1]) == bool(match[2]):
        return None
    wanted = f"divide by {match[1]}" if match[1] else f"{'subtract' if match[2] == '+' else 'add'} {match[3]}"
    return statement("plan", wanted, f"{match[4]} {match[5]}", text)._replace(results=())


RULES: tuple[Rule, ...] = (formula, perimeter, sameness, means, ages, parts, pace, order, fits, rest, undo)
EXCLUSIVE: tuple[Rule, ...] = (fits, rest)
"""What these say about a chain replaces what the chain alone would say."""
