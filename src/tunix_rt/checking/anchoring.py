"""A trace beside a reference for the same prompt: which step first arrives somewhere the reference never does.

Steps are paired by place when both traces have the same number of steps and the paired ones begin with the same words; a step
without a partner only has to arrive at some value of the reference. Another road to the reference's answer is not an error.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tunix_rt.checking import steps
from tunix_rt.checking.answers import same
from tunix_rt.checking.equations import unit_name
from tunix_rt.checking.findings import Finding, Result, plain
from tunix_rt.checking.steps import Read
from tunix_rt.checking.tokens import numbers, tokens
from tunix_rt.checking.verdicts import StepCheck
from tunix_rt.traces import Step, Trace

_LENGTHS = frozenset({"mile", "yard", "inch"})


class Anchor(NamedTuple):
    """The reference as it was read."""

    trace: Trace
    read: Sequence[Read]


def anchor(reference: Trace) -> Anchor:
    memory = steps.prepare(reference.prompt)
    return Anchor(reference, [steps.read(step, memory) for step in reference.steps])


def compare(trace: Trace, read: Sequence[Read], anchor: Anchor) -> list[StepCheck]:
    """A verdict for every step from the reference alone; unchecked where there is nothing to compare."""
    rows: list[StepCheck] = []
    known = set(numbers(trace.prompt))
    arrived = same(trace.final_answer, anchor.trace.final_answer)
    everything = _values(anchor)
    told = _told_numbers(everything) if any(one.check.verdict == "ungrounded" for one in read) else frozenset()
    open_results = _unmade(anchor, trace.prompt)
    for place, (step, one) in enumerate(zip(trace.steps, read, strict=True)):
        partner = _partner(trace, anchor, place)
        wrong = _dropped(one.findings, known, open_results) or _foreign(one, told)
        wrong = wrong or _deviation(one.findings, partner and partner.read, everything, strict=not arrived)
        wrong = wrong or (_unit(step.content, partner.content) if partner else None)
        known.update(one.written)
        open_results.difference_update(one.written)
        rows.append(_row(step, one, wrong))
    return rows


def _row(step: Step, one: Read, wrong: Finding | None) -> StepCheck:
    if wrong is None:
        return StepCheck(i=step.i, verdict="ok" if main(one.findings) else "unchecked")
    return StepCheck(i=step.i, verdict="wrong", kind=wrong.kind, expected=wrong.expected, got=wrong.got, span=wrong.span)


class Partner(NamedTuple):
    content: str
    read: Read


def _partner(trace: Trace, anchor: Anchor, place: int) -> Partner | None:
    if len(trace.steps) != len(anchor.trace.steps):
        return None
    other = anchor.trace.steps[place]
    return Partner(other.content, anchor.read[place]) if _opening(trace.steps[place]) == _opening(other) else None


def _opening(step: Step) -> tuple[str, str]:
    """The step's type and the words before its first figure."""
    lead = step.content
    at = next((i for i, letter in enumerate(lead) if letter.isdigit()), None)
    words = lead[:at] if at is not None else lead.partition(":")[0].partition(" ")[0]
    return step.type, "".join(letter for letter in words if letter.isalpha() or letter.isspace()).strip()


def main(findings: Sequence[Finding]) -> tuple[Result, ...]:
    """Where the step arrives: the results of its last statement that has any."""
    return next((finding.results for finding in reversed(findings) if finding.results), ())


def _values(anchor: Anchor) -> frozenset[Result]:
    written = {value for one in anchor.read for value in one.written}
    results = {result for one in anchor.read for finding in one.findings for result in finding.results}
    operands = {value for one in anchor.read for finding in one.findings for value in finding.operands}
    return frozenset({*written, *results, *operands, *numbers(anchor.trace.prompt)})


def _unmade(anchor: Anchor, prompt: str) -> set[Fraction]:
    """What the reference works out before it uses it. A number that it uses first (`4 / 2 = 2`) has another source, which may
    be a word of the prompt."""
    used = set(numbers(prompt))
    made: set[Fraction] = set()
    for finding in (finding for one in anchor.read for finding in one.findings):
        used.update(finding.operands)
        made.update(result for result in finding.results[:1] if isinstance(result, Fraction) and result not in used)
    return made


def _dropped(findings: Sequence[Finding], known: set[Fraction], made: set[Fraction]) -> Finding | None:
    """A step that uses what the reference works out first and this trace has not."""
    own: set[Fraction] = set()
    for finding in findings:
        for value in finding.operands:
            if value in made and value not in known and value not in own:
                return finding._replace(kind="dropped step", expected=f"a step that gives {plain(value)}", got=plain(value))
        own.update(value for value in finding.results if isinstance(value, Fraction))
    return None


def _told_numbers(everything: frozenset[Result]) -> frozenset[str]:
    return frozenset(plain(value) for value in everything if isinstance(value, Fraction))


def _foreign(one: Read, told: frozenset[str]) -> Finding | None:
    """A number from nowhere that the reference does not have either."""
    check = one.check
    if check.verdict != "ungrounded" or check.got is None:
        return None
    if check.got in told:
        return None
    return Finding(
        "operand", ok=False, expected="a number that was given or worked out", got=check.got, span=check.span or (0, 0)
    )


def _deviation(
    findings: Sequence[Finding], partner: Read | None, everything: frozenset[Result], *, strict: bool
) -> Finding | None:
    """Where the step arrives is not where its partner does, or is no value of the reference at all."""
    results = main(findings)
    if not results:
        return None
    last = next(finding for finding in reversed(findings) if finding.results)
    if partner is not None and (wanted := main(partner.findings)):
        if set(wanted).isdisjoint(results):
            return last._replace(kind="reference", expected=_told(wanted), got=_told(results))
        return None
    numeric = isinstance(results[0], Fraction)
    if strict and numeric and everything.isdisjoint(results):
        return last._replace(kind="reference", expected="a value of the reference", got=_told(results))
    return None


def _told(results: tuple[Result, ...]) -> str:
    return plain(results[0])[:400]


def _unit(text: str, other: str) -> Finding | None:
    """A number that both steps have, of a unit that it has only here."""
    have, want = _measures(text), _measures(other)
    for (value, unit), span in have.items():
        wanted = [name for number, name in want if number == value]
        if wanted and unit not in wanted:
            return Finding("unit", ok=False, expected=f"{plain(value)} {wanted[0]}", got=text[slice(*span)], span=span)
    return None


def _measures(text: str) -> dict[tuple[Fraction, str], tuple[int, int]]:
    """Each number with the measure that follows it, and where; apples, euros and the like are none."""
    found: dict[tuple[Fraction, str], tuple[int, int]] = {}
    for number, word in pairwise(tokens(text)):
        name = unit_name(word.text) or (word.text.removesuffix("s") if word.text.removesuffix("s") in _LENGTHS else "")
        if number.sort == "number" and word.sort == "word" and name:
            found.setdefault((number.value, name), (number.start, word.end))
    return found
