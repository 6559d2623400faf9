"""Changing a calculation inside a sentence, and carrying the changed value on through the steps that follow."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from tunix_rt.checking import equations
from tunix_rt.checking.answers import number
from tunix_rt.checking.equations import Chain
from tunix_rt.checking.expressions import Unreadable, read
from tunix_rt.checking.findings import plain
from tunix_rt.checking.tokens import Token, numbers, tokens
from tunix_rt.traces import Step, Trace

_SAME = re.compile(r"^(\$?[0-9.]{1,20}) and (\$?[0-9.]{1,20}) are (the same|different)")
_LARGEST = 10**9


class Changed(NamedTuple):
    text: str
    value: Fraction  # as it is written


class Site(NamedTuple):
    """One calculation `start = ... = result` in a text: the tokens of its start, and the number it ends with."""

    text: str
    start: tuple[Token, ...]
    result: Token
    value: Fraction
    percent: bool

    @property
    def shown(self) -> Fraction:
        return self.result.value

    @property
    def atoms(self) -> tuple[Token, ...]:
        return tuple(token for token in self.start if token.sort == "number")

    @property
    def signs(self) -> tuple[Token, ...]:
        return tuple(
            token for i, token in enumerate(self.start) if i and token.sort == "operator" and token.text in ("+", "-", "*", "/")
        )

    def with_result(self, written: str) -> str:
        return self.text[: self.result.start] + written + self.text[self.result.end :]

    def with_start(self, changes: Mapping[Token, str]) -> Changed | None:
        """The calculation from a changed start, written `start = result` without the way between; None when its value has no
        plain form."""
        first, end = self.start[0].start, self.start[-1].end
        text = _replaced(self.text[first:end], {token: changes[token] for token in changes}, offset=first)
        try:
            value = read(tokens(text)).value * (100 if self.percent else 1)
        except Unreadable:
            return None
        written = write(value, self.result)
        if written is None:
            return None
        sign = "$" if self.text[self.result.start - 1 : self.result.start] == "$" else ""
        return Changed(f"{self.text[:first]}{text} = {sign}{written}{self.text[self.result.end :]}", value)


def sites(text: str) -> list[Site]:
    """Every true calculation of the text that ends with a number."""
    found = tokens(text)
    return [site for chain in equations.find(found, {}) if (site := _site(text, found, chain))]


def _site(text: str, found: list[Token], chain: Chain) -> Site | None:
    sides = chain.numeric
    if len(sides) < 2 or equations.mismatch(chain) is not None or not equations.agreements(chain):
        return None
    first, last = sides[0].reading, sides[-1].reading
    if first is None or last is None or first.bare or not last.bare or sides[-1] != chain.sides[-1]:
        return None
    if first.value != last.value and not last.percent and not equations.displayed(first, last, "≈"):
        return None  # `12 * 1 = 12 inches = 1 foot` ends in another unit than it begins
    start = tuple(token for token in found if sides[0].start <= token.start and token.end <= sides[0].end)
    return Site(text, start, last.atoms[0], last.value, last.percent)


def shortened(text: str) -> str:
    """The text with its first calculation written without the way between: `15 * 4 = 10 * 4 + 5 * 4 = 60` is `15 * 4 = 60`."""
    changed = next((site.with_start({}) for site in sites(text)), None)
    return text if changed is None else changed.text


def vouched(step: Step, site: Site) -> bool:
    """Whether a claim of the step has this result, so that any other is wrong. A step without claims has only its text."""
    results = {number(str(claim.result)) for claim in step.claims}
    return not step.claims or site.shown in results or site.value in results


def write(value: Fraction, like: Token) -> str | None:
    """The number as text in the manner of another; None for one below zero, endless or beyond reason."""
    if value < 0 or value > _LARGEST:
        return None
    text = plain(value)
    if "/" in text or len(text.partition(".")[2]) > 2:
        return None
    return text + "0" if like.decimals == 2 and len(text.partition(".")[2]) == 1 else text


def _replaced(text: str, changes: Mapping[Token, str], offset: int = 0) -> str:
    for token in sorted(changes, key=lambda token: -token.start):
        text = text[: token.start - offset] + changes[token] + text[token.end - offset :]
    return text


def carry_on(lines: list[tuple[str, str]], index: int, trace: Trace, values: dict[Fraction, Fraction]) -> str:
    """Rewrite the lines behind `index` with the changed values, each worked out anew, as far as that goes; the answer then.

    A value that the prompt has too is left alone: nobody can say which of the two a later step means.
    """
    given = set(numbers(trace.prompt))
    mapped = {old: new for old, new in values.items() if old not in given}
    for i in range(index + 1, len(lines)):
        kind, text = lines[i]
        changed = _carried(text, mapped, given)
        if changed is None:
            return trace.final_answer
        lines[i] = (kind, changed)
    return _answer(trace.final_answer, lines[-1][1], mapped)


def _carried(text: str, mapped: dict[Fraction, Fraction], given: set[Fraction]) -> str | None:
    """The step with the changed values; where its calculation now arrives joins `mapped`. None when it has no plain form."""
    site = next((site for site in sites(text) if any(atom.value in mapped for atom in site.atoms)), None)
    touched = site.atoms if site else [token for token in tokens(text) if token.sort == "number"]
    written = {token: write(mapped[token.value], token) for token in touched if token.value in mapped}
    changes = {token: text for token, text in written.items() if text is not None}
    if len(changes) < len(written):
        return None
    if site is None:
        return _retold(_replaced(text, changes))
    changed = site.with_start(changes)
    if changed is None:
        return None
    if site.shown not in given and changed.value != site.shown:
        mapped[site.shown] = changed.value
    return changed.text


def _retold(text: str) -> str:
    """`15 and 16 are the same, so the answer is yes` as the two numbers now have it."""
    match = _SAME.match(text)
    if match is None:
        return text
    same = match[1] == match[2]
    text = f"{match[1]} and {match[2]} are {'the same' if same else 'different'}{text[match.end() :]}"
    for word in ("yes", "no"):
        text = (
            text.replace(f"so the answer is {word}", f"so the answer is {'yes' if same else 'no'}", 1) if word in text else text
        )
    return text


def _answer(answer: str, last: str, mapped: dict[Fraction, Fraction]) -> str:
    if answer in ("yes", "no") and _SAME.match(last):
        return last.rpartition(" is ")[2].rstrip(".")
    value = number(answer)
    if value is None or value not in mapped:
        return answer
    atom = next(token for token in tokens(answer) if token.sort == "number")
    written = write(mapped[value], atom)
    return answer if written is None else answer[: atom.start] + written + answer[atom.end :]
