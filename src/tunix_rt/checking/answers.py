"""The final answer against what the steps reached, and against the reference's answer."""

import math
from collections.abc import Collection, Sequence
from fractions import Fraction

from tunix_rt.checking.expressions import Reading, Unreadable, read_front
from tunix_rt.checking.findings import Finding, plain
from tunix_rt.checking.steps import Read
from tunix_rt.checking.tokens import numbers, tokens
from tunix_rt.checking.verdicts import AnswerCheck
from tunix_rt.traces import Trace

UNFAITHFUL = "unfaithful answer"
_WORDS = frozenset({"yes", "no", "unknown", "true", "false"})


def judge(trace: Trace, read: Sequence[Read], solution: Collection[Fraction]) -> AnswerCheck:
    """Ok when it is a result of the last checked step, stated by an unchecked step after it, or the value of an unknown."""
    at = next((i for i in reversed(range(len(read))) if _results(read[i].findings)), None)
    if at is None:
        return AnswerCheck(verdict="unchecked")
    results, answer = _results(read[at].findings), trace.final_answer.strip()
    value = number(answer)
    if value is not None:
        later = set(solution)
        later |= _behind(trace.steps[at].content, read[at].findings)
        later |= {stated for one in read[at + 1 :] for stated in one.written}
        reached = [result for result in results if isinstance(result, Fraction)]
        reached += [stated for result in results if isinstance(result, str) and (stated := number(result)) is not None]
        return _numeric(answer, value, reached, later) if reached else AnswerCheck(verdict="unchecked")
    return _worded(answer, [flat(result) for result in results if not isinstance(result, Fraction)])


def _results(findings: Sequence[Finding]) -> list[Fraction | str | tuple[str, ...]]:
    return [result for finding in findings for result in finding.results]


def _behind(text: str, findings: Sequence[Finding]) -> set[Fraction]:
    """The numbers that a step writes behind its last statement: `so x = 4 + 1 = 5 and the sum is 7`."""
    ends = [finding.span[1] for finding in findings]
    return set(numbers(text[max(ends) :])) if all(ends) else set()


def _numeric(answer: str, value: Fraction, reached: list[Fraction], later: set[Fraction]) -> AnswerCheck:
    if value in later or any(_same(value, result, answer) for result in reached):
        return AnswerCheck(verdict="ok")
    return AnswerCheck(verdict="wrong", kind=UNFAITHFUL, expected=plain(reached[-1]), got=answer[:400])


def _same(value: Fraction, result: Fraction, answer: str) -> bool:
    """Equal, rounded as displayed, or a fractional result made whole."""
    if (
        value == result
        or value == result * 100
        or (result.denominator > 1 and value in (math.floor(result), math.ceil(result)))
    ):
        return True
    decimals = next((token.decimals for token in tokens(answer) if token.sort == "number"), 0)
    return decimals > 0 and abs(value - result) <= Fraction(1, 2 * 10**decimals)


def _worded(answer: str, reached: list[str]) -> AnswerCheck:
    said = flat(answer)
    truths = [word for word in reached if word.lower() in _WORDS]
    if said.lower() in _WORDS:
        reached = truths
    elif truths:
        reached = [word for word in reached if word not in truths]
    if not reached:
        return AnswerCheck(verdict="unchecked")
    if said in reached or said.lower() in truths:
        return AnswerCheck(verdict="ok")
    return AnswerCheck(verdict="wrong", kind=UNFAITHFUL, expected=reached[-1][:400], got=answer[:400])


def flat(text: str | tuple[str, ...]) -> str:
    joined = text if isinstance(text, str) else ", ".join(text)
    return " ".join(joined.split()).strip("'\"").removesuffix(".")


def number(text: str) -> Fraction | None:
    """The one number that an answer is, whatever unit or sentence stands around it."""
    found = tokens(text)
    try:
        reading, used = read_front(found)
    except Unreadable:
        values = {token.value for token in found if token.sort == "number"}
        return values.pop() if len(values) == 1 else None
    return _shown(reading) if used == len(found) or not any(token.sort == "number" for token in found[used:]) else None


def _shown(reading: Reading) -> Fraction | None:
    if reading.unknown:
        return None
    return reading.atoms[0].value if reading.bare and reading.percent else reading.value


def same(a: str, b: str) -> bool:
    """Whether two answers are the same number or the same words."""
    one, other = number(a), number(b)
    return one == other if one is not None and other is not None else flat(a).lower() == flat(b).lower()


def against(reference: str, answer: str) -> AnswerCheck:
    if same(reference, answer):
        return AnswerCheck(verdict="ok")
    return AnswerCheck(verdict="wrong", kind="reference", expected=reference[:400], got=answer[:400])
