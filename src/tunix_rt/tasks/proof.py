"""What is wrong with a trace, found from its JSON alone: nothing that the generator knew is trusted."""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tunix_rt import claims
from tunix_rt.claims import Number, Operand
from tunix_rt.traces import Trace


def problems(made: Trace | Mapping[str, Any]) -> list[str]:
    """One sentence for each claim that is false or that its step's text does not show, and for an answer that the last step
    does not state; nothing when all is well."""
    line = made.line() if isinstance(made, Trace) else made
    found = [problem for step in line["steps"] if "claims" in step for problem in _unproven(step)]
    if line["final_answer"] not in line["steps"][-1]["content"]:
        found.append(f"the last step does not state the answer {line['final_answer']!r}")
    return found


def _unproven(step: Mapping[str, Any]) -> list[str]:
    found = []
    content = step["content"]
    numbers = set[Number]().union(*map(_numbers, _NUMERIC.findall(content)))
    for claim in step["claims"]:
        op, args, result = claim["op"], claim["args"], claim["result"]
        if not claims.true(op, args, result):
            found.append(f"step {step['i']} claims {op}{list(args)} = {result!r}; it is {claims.apply(op, args)!r}")
            continue
        entry = claims.TABLE[op]
        if entry.flat and numbers.issuperset((*args, result)):  # nearly every claim
            continue
        for kind, operand in zip(entry.kinds, (*args, result), strict=True):
            if not _shows(kind, operand, content, numbers):
                found.append(f"step {step['i']} claims {op}{list(args)} = {result!r} but does not show {operand!r}")
                break
    return found


_NUMERIC = re.compile(r"\d[\d./]*", re.ASCII)  # found fast and read once: the same few numbers come again and again
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:/\d+)?", re.ASCII)
_TEXTS = frozenset({str})
_SYMBOLS = {*claims.RELATIONS, "", " ", "-", ", "}  # relation signs and separators are shown in words or not at all


@lru_cache(maxsize=10_000)
def _numbers(text: str) -> tuple[Number, ...]:
    """Every number that it writes; of "3/4" also the 3 and the 4."""
    found: list[Number] = []
    for token in _NUMBER.findall(text):
        parts = [int(part) if part.isdigit() else Fraction(part) for part in token.split("/")]
        found += parts
        if len(parts) == 2 and parts[1]:
            found.append(Fraction(parts[0]) / parts[1])
    return tuple(found)


def _shows(kind: claims.Kind, operand: Operand, content: str, numbers: set[Number]) -> bool:
    if isinstance(operand, tuple | list):
        if kind != "numbers" and _TEXTS.issuperset(map(type, operand)) and all(map(content.__contains__, operand)):  # type: ignore[arg-type]
            return True  # nearly every list of words
        return numbers.issuperset(operand) or all(_shows(kind, value, content, numbers) for value in operand)
    if isinstance(operand, bool) or operand in _SYMBOLS:
        return True
    if isinstance(operand, int) or kind in ("number", "numbers"):
        return abs(claims.number(operand)) in numbers
    return operand in content or operand.casefold() in content.casefold()
