"""One step: normalise, find what it states, evaluate, ask where the numbers come from, and give a verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tunix_rt import claims, errors
from tunix_rt.checking import equations, grounding, logic, plans, words
from tunix_rt.checking.findings import Finding, Memory, plain
from tunix_rt.checking.tokens import Token, tokens, values
from tunix_rt.checking.verdicts import StepCheck, Verdict
from tunix_rt.traces import Step

_RULES = (*words.RULES, *logic.RULES, *plans.RULES)
_NUMERIC = frozenset({"number", "integer"})


class Read(NamedTuple):
    """A step's verdict on its own, the statements it rests on, and the numbers that it writes."""

    check: StepCheck
    findings: tuple[Finding, ...]
    written: list[Fraction]


def prepare(prompt: str) -> Memory:
    """What is known before the first step; an equation of the prompt in one unknown gives the value it has to have, unless a
    line break leaves open where the equation begins."""
    found, flat = tokens(prompt), " ".join(prompt.split())
    memory = Memory.of(prompt, values(found))
    solved = {*_solved(found), *_solved(found if flat == prompt else tokens(flat))}
    names = Counter(name for name, _ in solved)
    memory.solution.update({name: value for name, value in solved if names[name] == 1})
    memory.asked = frozenset(memory.solution)
    memory.derived.update(memory.solution.values())
    return memory


def _solved(found: Sequence[Token]) -> Iterator[tuple[str, Fraction]]:
    for chain in equations.find(found, {}):
        for left, right in pairwise(chain.sides):
            if left.reading and right.reading and (solution := grounding.solve(left.reading, right.reading)):
                yield solution


def read(step: Step, memory: Memory) -> Read:
    """The verdict of one step in free mode; `memory` learns what the step states."""
    found = tokens(step.content)
    written = values(found)
    findings = tuple(_findings(step.content, found, memory))
    carried = tuple(_carried(step, frozenset(written)))
    wrong = next((finding for finding in (*findings, *carried) if not finding.ok), None)
    loose = _loose(findings, memory)
    _learn(findings, written, memory)
    every = (*findings, *carried)
    if wrong is not None:
        return Read(_verdict(step, "wrong", wrong), every, written)
    if loose is not None:
        check = StepCheck(i=step.i, verdict="ungrounded", kind="operand", got=plain(loose[1]), span=loose[0].span)
        return Read(check, every, written)
    return Read(StepCheck(i=step.i, verdict="ok" if every else "unchecked"), every, written)


def _verdict(step: Step, verdict: Verdict, finding: Finding) -> StepCheck:
    got = finding.got if len(finding.got) <= 400 else finding.got[:397] + "..."
    expected = finding.expected if len(finding.expected) <= 400 else finding.expected[:397] + "..."
    return StepCheck(i=step.i, verdict=verdict, kind=finding.kind, expected=expected, got=got, span=finding.span)


def _findings(text: str, found: Sequence[Token], memory: Memory) -> Iterator[Finding]:
    stripped = " ".join(text.split())
    taken = False
    for rule in _RULES:
        finding = rule(stripped, memory)
        if finding is not None:
            taken |= rule in plans.EXCLUSIVE
            yield finding
    if not taken:
        for chain in equations.find(found, memory.exact):
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


def _learn(findings: tuple[Finding, ...], written: Iterable[Fraction], memory: Memory) -> None:
    memory.derived.update(written)
    for finding in findings:
        memory.derived.update(value for value in finding.results if isinstance(value, Fraction))
        if finding.results:
            memory.last = finding.results


def _carried(step: Step, shown: frozenset[Fraction]) -> Iterator[Finding]:
    """The claims that the step carries: true, and about the numbers that its text shows."""
    for claim in step.claims:
        try:
            if not claims.holds(claim):
                yield Finding(claim.op, ok=False, expected=str(claims.evaluate(claim)), got=str(claim.result))
                continue
        except errors.Invalid as error:
            yield Finding(claim.op, ok=False, expected=error.message, got=str(claim.result))
            continue
        if claims.TABLE[claim.op].result in _NUMERIC:
            result = Fraction(claims.number(claim.result))
            if result not in shown and abs(result) not in shown and result.denominator <= 100:
                yield Finding(claim.op, ok=False, expected=plain(result), got="a text that does not show it")
                continue
        yield Finding(claim.op, ok=True)
