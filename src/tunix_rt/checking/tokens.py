"""The words, numbers and signs of a text, each with its place in it; one pass, one linear pattern.

Signs are mapped character by character (× · ÷ − and their like), so a token's span is a span of the original text.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

Sort = Literal["number", "operator", "open", "close", "relation", "percent", "currency", "word", "break"]

LONGEST_TEXT = 50_000  # characters; nothing is read from a longer one (it is the limit of a prompt)
LONGEST_NUMBER = 40  # characters; a longer one is not read as a number

_SIGNS = str.maketrans("×·✕∙⋅÷−–⁄＝（）％", "*****/--/=()%")
_PATTERN = re.compile(
    r"""(?P<annotation><<[^<>\n]{0,200}>>)
    |(?P<part>(?:[0-9]{1,9}[ ]?)?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])
    |(?P<endless>[0-9]+\.[0-9]+(?:\.{2,3}|…))
    |(?P<mixed>[0-9]{1,9}[ ][0-9]{1,9}/[1-9][0-9]{0,8}(?![0-9.]))
    |(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+)
    |(?P<latex>\\[a-zA-Z]+|\\[()\[\]])
    |(?P<relation><=|>=|!=|==|[=<>≤≥≠≈])
    |(?P<operator>\*\*|[-+*/^])
    |(?P<power>(?<=[0-9)])[²³])
    |(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*|_)
    |(?P<currency>[$€£¥¢])
    |(?P<percent>%)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<break>[^ \t\xa0])""",
    re.VERBOSE,
)
_RELATIONS = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="}
_LATEX = {"times": ("operator", "*"), "cdot": ("operator", "*"), "div": ("operator", "/"), "approx": ("relation", "≈")}
_LATEX |= {"le": ("relation", "<="), "leq": ("relation", "<="), "ge": ("relation", ">="), "geq": ("relation", ">=")}
_LATEX |= {"ne": ("relation", "!="), "neq": ("relation", "!="), "frac": ("operator", "frac"), "dfrac": ("operator", "frac")}
_EQUALITY_WORDS = frozenset({"equals", "equal"})
_OPERATOR_WORDS = {"x": "*", "X": "*", "times": "*", "plus": "+", "minus": "-"}


class Token(NamedTuple):
    """`text` is normalised; `value` and `decimals` (digits behind the point) are set for a number only."""

    sort: Sort
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    decimals: int = 0


def tokens(text: str) -> list[Token]:
    """All tokens of the text; none of a text that is too long to be a step."""
    if len(text) > LONGEST_TEXT:
        return []
    return _worded(list(_raw(text.translate(_SIGNS))))


def numbers(text: str) -> list[Fraction]:
    """Every number that the text writes."""
    return values(tokens(text))


def values(found: Sequence[Token]) -> list[Fraction]:
    """The numbers among tokens."""
    return [token.value for token in found if token.sort == "number"]


def _raw(text: str) -> Iterator[Token]:
    for match in _PATTERN.finditer(text):
        sort, written, start, end = match.lastgroup, match[0], match.start(), match.end()
        make = _MAKERS.get(sort or "")
        if make is not None:
            yield from make(text, written, start, end)
        elif sort != "annotation":
            yield Token(sort, written, start, end)  # type: ignore[arg-type]


def _opens_line(text: str, start: int) -> bool:
    before = text[max(0, start - 20) : start].rpartition("\n")[2]
    return not before.strip() and (start < 20 or "\n" in text[max(0, start - 20) : start])


def _latex(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    kind, sign = _LATEX.get(written[1:], ("break", written if written[1:].isalpha() else "\n"))
    if written[1:] not in ("left", "right", "text", "mathrm"):
        yield Token(kind, sign, start, end)  # type: ignore[arg-type]


def _relation(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    yield Token("relation", _RELATIONS.get(written, written), start, end)


def _operator(text: str, written: str, start: int, end: int) -> Iterator[Token]:
    bullet = written in "-*+" and _opens_line(text, start) and text[end : end + 1] == " "
    yield Token("break" if bullet else "operator", "^" if written == "**" else written, start, end)


def _power(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    yield Token("operator", "^", start, start)
    yield Token("number", written, start, end, Fraction(2 if written == "²" else 3))


def _endless(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    """`33.333...` is cut off, not rounded: no number that could be compared."""
    yield Token("break", written, start, end)


def _part(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    """`½` and `2½`."""
    part = Fraction(unicodedata.numeric(written[-1])).limit_denominator(8)
    yield Token("number", written, start, end, int(written[:-1] or 0) + part)


def _mixed(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    """`2 1/2` is one number; `4 9/3` is a number and a division."""
    whole, _, rest = written.partition(" ")
    top, _, bottom = rest.partition("/")
    if int(top) < int(bottom):
        yield Token("number", written, start, end, int(whole) + Fraction(int(top), int(bottom)))
        return
    at = start + len(whole) + 1
    slash = at + len(top)
    yield from _number("", whole, start, start + len(whole))
    yield from _number("", top, at, slash)
    yield Token("operator", "/", slash, slash + 1)
    yield from _number("", bottom, slash + 1, end)


def _number(_text: str, written: str, start: int, end: int) -> Iterator[Token]:
    if end - start > LONGEST_NUMBER:
        yield Token("break", written[:LONGEST_NUMBER], start, end)
        return
    plain = written.replace(",", "")
    decimals = len(plain.partition(".")[2])
    yield Token("number", written, start, end, Fraction(plain) if decimals else Fraction(int(plain)), decimals)


_MAKERS: dict[str, Callable[[str, str, int, int], Iterator[Token]]] = {
    "mixed": _mixed,
    "part": _part,
    "endless": _endless,
    "number": _number,
    "latex": _latex,
    "relation": _relation,
    "operator": _operator,
    "power": _power,
}


def _worded(found: list[Token]) -> list[Token]:
    """Between numbers `x`, `times`, `plus` and `minus` are signs; `is equal to`, `equals` and `is not equal to` are relations;
    `**` with no number on either side is emphasis."""
    kept: list[Token] = []
    i = 0
    while i < len(found):
        token = found[i]
        after = found[i + 1] if i + 1 < len(found) else None
        if token.sort == "word" and token.text in _OPERATOR_WORDS and _between_numbers(kept, after):
            kept.append(token._replace(sort="operator", text=_OPERATOR_WORDS[token.text]))
        elif token.sort == "word" and token.text in _EQUALITY_WORDS:
            i += _equality(kept, token, after)
        elif token.text == "^" and token.end - token.start == 2 and not _between_numbers(kept, after):
            kept.append(token._replace(sort="break"))
        else:
            kept.append(token)
        i += 1
    return kept


def _between_numbers(before: list[Token], after: Token | None) -> bool:
    left = bool(before) and (before[-1].sort in ("number", "close", "percent") or _unit_of_number(before))
    return left and after is not None and after.sort in ("number", "open", "currency")


def _unit_of_number(before: list[Token]) -> bool:
    return len(before) > 1 and before[-1].sort == "word" and before[-2].sort == "number"


def _equality(kept: list[Token], token: Token, after: Token | None) -> int:
    """Replace `[is] [not] equal to` by its sign; returns how many tokens behind the word belong to it."""
    if token.text == "equal" and (after is None or after.text != "to"):
        kept.append(token)
        return 0
    negated, start = False, token.start
    while kept and kept[-1].text in ("is", "are", "not"):
        negated |= kept[-1].text == "not"
        start = kept.pop().start
    end = after.end if after is not None and token.text == "equal" else token.end
    kept.append(Token("relation", "!=" if negated else "=", start, end))
    return int(token.text == "equal")
