"""JSON with nothing left to chance: no duplicate keys, no NaN, no infinity, no lone surrogates, no NUL, bounded nesting."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson

from tunix_rt.formats.core import BadRow

DEEPEST = 64
_FIGURES = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))
_TOO_LONG = b"0" * 19  # a whole number of more figures may not fit into 64 bits


def quick(line: bytes) -> Any:
    """The value of a line that is in order, cheaper than `loads`; None for every other line, and for some that are.

    Its parser keeps the last of two equal keys, so the value is written out again: a key that was lost took its colon with it.
    An escaped colon or NUL and long numbers are left to `loads`, and whatever is too deep.
    """
    if b"\\" in line and (b"\\u003" in line or b"\\u0000" in line):
        return None
    try:
        value = orjson.loads(line)
    except ValueError:
        return None
    if line.count(b"{") + line.count(b"[") > DEEPEST and _deeper(value, DEEPEST):
        return None
    if orjson.dumps(value).count(b":") != line.count(b":") or _TOO_LONG in line.translate(_FIGURES):
        return None
    return value


def loads(text: str) -> Any:
    """The value; BadRow names what is wrong with the text."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRow("bad_json", f"not JSON ({error.msg}, column {error.colno}).") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise BadRow("bad_number", "a number has more digits than can be read.") from error
    if text.count("{") + text.count("[") > DEEPEST and _deeper(value, DEEPEST):
        raise _too_deep()
    if "\\u" in text:
        for each in strings(value):
            check(each)
    return value


def check(text: str) -> None:
    """Refuse text that no file or tokenizer could hold."""
    if "\x00" in text:
        raise BadRow("nul", "the text contains NUL.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRow("lone_surrogate", "the text contains half of a surrogate pair.") from error


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            waiting += found


def _too_deep() -> BadRow:
    return BadRow("too_deep", f"nested more than {DEEPEST} levels deep.")


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects stand more than so many levels inside each other."""
    row = [value]
    for _ in range(levels + 1):
        inside = [each for each in row if isinstance(each, dict | list)]
        row = [inner for each in inside for inner in (each.values() if isinstance(each, dict) else each)]
    return bool(inside)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRow("duplicate_key", f"the key {twice!r} occurs twice in one object.", twice)
    return found


def nested(value: object, where: str) -> Any:
    """What a field holds that may keep its JSON as text: `value` itself, or the text read under the same rules."""
    if not isinstance(value, str):
        return value
    try:
        return loads(value)
    except BadRow as error:
        raise BadRow(error.code, f"{where!r} is text that is not JSON: {error.message}", where) from error


def _constant(name: str) -> NoReturn:
    raise BadRow("not_finite", f"{name} is not a JSON number.")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadRow("not_finite", f"the number {digits[:40]} is too large.")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
