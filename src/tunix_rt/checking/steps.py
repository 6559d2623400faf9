"""One step: normalise, find what it states, evaluate, ask where the numbers come from, and give a verdict."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tunix_rt import claims, errors
from tunix_rt.checking import equations, grounding, logic, plans, words
from tunix_rt.checking.findings import Finding, Memory, plain
from tunix_rt.checking.tokens import numbers, tokens
from tunix_rt.checking.verdicts import StepCheck, Verdict
from tunix_rt.traces import Step

_NUMERIC = frozenset({"number", "integer"})


class Read(NamedTuple):
    """A step's verdict on its own, and the statements it rests on."""

    check: StepCheck
    findings: tuple[Finding, ...]


def prepare(prompt: str) -> Memory:
    """What is known before the first step; an equation of the prompt in one unknown gives the value it has to have, unless a
    line break leaves open where the equation begins."""
    memory = Memory.of(prompt)
    solved = {*_solved(prompt), *_solved(" ".join(prompt.split()))}
    names = Counter(name for name, _ in solved)
    memory.solution.update({name: value for name, value in solved if names[name] == 1})
    memory.asked = frozenset(memory.solution)
    memory.derived.update(memory.solution.values())
    return memory


def _solved(text: str) -> Iterator[tuple[str, Fraction]]:
    for chain in equations.find(tokens(text), {}):
        for left, right in pairwise(chain.sides):
            if left.reading and right.reading and (found := grounding.solve(left.reading, right.reading)):
                yield found


def read(step: Step, memory: Memory) -> Read:
    """The verdict of one step in free mode; `memory` learns what the step states."""
    findings = tuple(_findings(step.content, memory))
    carried = tuple(_carried(step))
    wrong = next((finding for finding in (*findings, *carried) if not finding.ok), None)
    loose = _loose(findings, memory)
    _learn(findings, step.content, memory)
    every = (*findings, *carried)
    if wrong is not None:
        return Read(_verdict(step, "wrong", wrong), every)
    if loose is not None:
        check = StepCheck(i=step.i, verdict="ungrounded", kind="operand", got=plain(loose[1]), span=loose[0].span)
        return Read(check, every)
    return Read(StepCheck(i=step.i, verdict="ok" if every else "unchecked"), every)


def _verdict(step: Step, verdict: Verdict, finding: Finding) -> StepCheck:
    got = finding.got if len(finding.got) <= 400 else finding.got[:397] + "..."
    expected = finding.expected if len(finding.expected) <= 400 else finding.expected[:397] + "..."
    return StepCheck(i=step.i, verdict=verdict, kind=finding.kind, expected=expected, got=got, span=finding.span)


def _findings(text: str, memory: Memory) -> Iterator[Finding]:
    stripped = " ".join(text.split())
    taken = False
    for rule in (*words.RULES, *logic.RULES, *plans.RULES):
        finding = rule(stripped, memory)
        if finding is not None:
            taken |= rule in plans.EXCLUSIVE
            yield finding
    if not taken:
        for chain in equations.find(tokens(text), memory.exact):
            yield from grounding.judge(chain, text, memory)


def _loose(findings: tuple[Finding, ...], memory: Memory) -> tuple[Finding, Fraction] | None:
    """The first operand that comes from nowhere; a chain of the same step may have made it."""
    made: set[Fraction] = set()
    for finding in findings:
        for value in finding.operands:
            if value not in made and not memory.grounded(value):
                return finding, value
        made.update(value for value in finding.results if isinstance(value, Fraction))
    return None


def _learn(findings: tuple[Finding, ...], text: str, memory: Memory) -> None:
    memory.derived.update(numbers(text))
    for finding in findings:
        memory.derived.update(value for value in finding.results if isinstance(value, Fraction))
        if finding.results:
            memory.last = finding.results


def _carried(step: Step) -> Iterator[Finding]:
    """The claims that the step carries: true, and about the numbers that its text shows."""
    shown: frozenset[Fraction] | None = None
    for claim in step.claims:
        try:
            if not claims.holds(claim):
                yield Finding(claim.op, ok=False, expected=str(claims.evaluate(claim)), got=str(claim.result))
                continue
        except errors.Invalid as error:
            yield Finding(claim.op, ok=False, expected=error.message, got=str(claim.result))
            continue
        if claims.TABLE[claim.op].result in _NUMERIC:
            shown = frozenset(numbers(step.content)) if shown is None else shown
            result = Fraction(claims.number(claim.result))
            if result not in shown and abs(result) not in shown and result.denominator <= 100:
                yield Finding(claim.op, ok=False, expected=plain(result), got="a text that does not show it")
                continue
        yield Finding(claim.op, ok=True)
