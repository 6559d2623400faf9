"""Seeded mistakes at a known step, for testing verifiers and for making preference pairs and stepwise labels.

`inject` is a pure function of (trace, seed, kind). It changes text, drops every carried claim, and says where the first mistake
is; or it is None, because the trace has no place for such a mistake. A wrong number is carried on through the later steps, as
somebody who did not notice would (result, operand, operator, copied digit); the other kinds change one place only.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar, get_args

from tunix_rt.checking import rewriting
from tunix_rt.checking.answers import number
from tunix_rt.checking.equations import unit_name
from tunix_rt.checking.rewriting import Site
from tunix_rt.checking.tokens import Token, numbers, tokens
from tunix_rt.traces import Step, Trace

Kind = Literal[
    "result",  # the value of a calculation
    "operand",  # another number of the prompt or of an earlier step is taken
    "operator",  # plus for times and the like
    "dropped step",  # a value is used that was never worked out
    "copied digit",  # a number is copied with a wrong digit
    "unit slip",  # the right number of the wrong unit
    "unfaithful answer",  # right steps, another answer
    "string",  # a letter out of place
    "sort",  # an item out of place
    "logic",  # a conclusion turned round
]
KINDS: tuple[Kind, ...] = get_args(Kind)
T = TypeVar("T")
_TRIES = 24
_UNITS = {
    "kilometers": ("miles", "meters"), "miles": ("kilometers", "meters"), "meters": ("centimeters", "kilometers"),
    "centimeters": ("meters", "millimeters"), "millimeters": ("centimeters",), "hours": ("minutes", "days"),
    "minutes": ("hours", "seconds"), "seconds": ("minutes",), "days": ("hours", "weeks"), "weeks": ("days",),
    "grams": ("kilograms",), "kilograms": ("grams",), "liters": ("milliliters",), "milliliters": ("liters",),
    "inches": ("feet",), "feet": ("inches",),
}  # fmt: skip


class Label(NamedTuple):
    """`step` is the number of the first wrong step of the changed trace; None means the answer."""

    kind: Kind
    step: int | None


class Injected(NamedTuple):
    trace: Trace
    label: Label


class Draws:
    """A stream of choices that a name decides."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def below(self, n: int) -> int:
        self._count += 1
        digest = blake2b(f"{self._name}/{self._count}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % n

    def pick(self, items: list[T]) -> T:
        return items[self.below(len(items))]

    def shuffled(self, items: list[T]) -> list[T]:
        rest, out = list(items), []
        while rest:
            out.append(rest.pop(self.below(len(rest))))
        return out


def inject(trace: Trace, seed: int, kind: Kind) -> Injected | None:
    """The trace with one mistake of this kind in it, or None when it has no place for one."""
    draws = Draws(f"{seed}/{kind}/{trace.id}")
    changed = _MAKERS[kind](trace, draws)
    if changed is None:
        return None
    contents, answer, at = changed
    steps = tuple(Step(i=i, type=kind_, content=text) for i, (kind_, text) in enumerate(contents, 1))
    made = Trace(prompt=trace.prompt, steps=steps, final_answer=answer, meta=trace.meta)
    return Injected(made, Label(kind, None if at is None else at + 1))


Lines = list[tuple[str, str]]  # type and content of each step
Change = tuple[Lines, str, int | None]  # the lines, the answer, the index of the first wrong step
Maker = Callable[[Trace, Draws], Change | None]


def _lines(trace: Trace) -> Lines:
    return [(step.type, step.content) for step in trace.steps]


def _at(trace: Trace, index: int, text: str, answer: str | None = None) -> Change:
    lines = _lines(trace)
    lines[index] = (lines[index][0], text)
    return lines, trace.final_answer if answer is None else answer, index


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sites(trace: Trace, draws: Draws) -> list[tuple[int, Site]]:
    """Every calculation whose carried claims, where the step has any, vouch for its value."""
    found = [(i, site) for i, step in enumerate(trace.steps) for site in rewriting.sites(step.content)]
    vouched = [(i, site) for i, site in found if rewriting.vouched(trace.steps[i], site)]
    return draws.shuffled(vouched)


def _carried_on(trace: Trace, index: int, text: str, site: Site, value: Fraction) -> Change:
    lines = _lines(trace)
    lines[index] = (lines[index][0], text)
    answer = rewriting.carry_on(lines, index, trace, {site.shown: value})
    return lines, answer, index


def _result(trace: Trace, draws: Draws) -> Change | None:
    for index, site in _sites(trace, draws):
        for _ in range(_TRIES):
            value = _near(site.shown, draws)
            written = rewriting.write(value, site.result)
            if written is not None and value != site.shown:
                return _carried_on(trace, index, site.with_result(written), site, value)
    return None


def _near(value: Fraction, draws: Draws) -> Fraction:
    """Off by a little, or two figures changed round."""
    if value.denominator == 1 and value > 11 and draws.below(4) == 0:
        digits = str(value.numerator)
        at = draws.below(len(digits) - 1)
        return Fraction(int(digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]))
    return value + draws.pick([Fraction(n) for n in (1, -1, 2, -2, 10, -10, 3)])


def _operand(trace: Trace, draws: Draws) -> Change | None:
    def others(index: int, old: Fraction) -> list[Fraction]:
        texts = [trace.prompt, *(step.content for step in trace.steps[:index])]
        return sorted({value for text in texts for value in numbers(text) if value not in (old, 0, 1)})

    return _misread(trace, draws, lambda index, atom: others(index, atom.value))


def _copied_digit(trace: Trace, draws: Draws) -> Change | None:
    return _misread(trace, draws, lambda _, atom: _slips(atom))


def _slips(atom: Token) -> list[Fraction]:
    """The number with one figure another, or two neighbouring figures changed round."""
    text = atom.text
    if not text.isdigit() or len(text) > 15:
        return []
    swapped = {text[:i] + text[i + 1] + text[i] + text[i + 2 :] for i in range(len(text) - 1)}
    changed = {text[:i] + figure + text[i + 1 :] for i in range(len(text)) for figure in "123456789"}
    return sorted({Fraction(int(other)) for other in swapped | changed if int(other)} - {atom.value})


def _misread(trace: Trace, draws: Draws, others: Callable[[int, Token], list[Fraction]]) -> Change | None:
    for index, site in _sites(trace, draws):
        for atom in draws.shuffled(list(site.atoms)):
            for value in draws.shuffled(others(index, atom))[:_TRIES]:
                written = rewriting.write(value, atom)
                changed = site.with_start({atom: written}) if written is not None else None
                if changed is not None and changed.value != site.shown:
                    return _carried_on(trace, index, changed.text, site, changed.value)
    return None


def _operator(trace: Trace, draws: Draws) -> Change | None:
    for index, site in _sites(trace, draws):
        for sign in draws.shuffled(list(site.signs)):
            for other in draws.shuffled([other for other in "+-*/" if other != sign.text]):
                changed = site.with_start({sign: other})
                if changed is not None and changed.value != site.shown:
                    return _carried_on(trace, index, changed.text, site, changed.value)
    return None


def _dropped_step(trace: Trace, draws: Draws) -> Change | None:
    """Without a step whose value a later one needs, and which neither the prompt nor any other step before it has."""
    given = set(numbers(trace.prompt))
    for index, site in _sites(trace, draws):
        user = next((i for i in range(index + 1, len(trace.steps)) if _uses(trace.steps[i], site.shown)), None)
        if user is None or site.shown in given:
            continue
        before = {value for i, step in enumerate(trace.steps[:user]) if i != index for value in numbers(step.content)}
        if site.shown in before:
            continue
        lines = _lines(trace)
        del lines[index]
        return lines, trace.final_answer, user - 1
    return None


def _uses(step: Step, value: Fraction) -> bool:
    return any(atom.value == value for site in rewriting.sites(step.content) for atom in site.atoms)


def _unit_slip(trace: Trace, draws: Draws) -> Change | None:
    places = []
    for index, step in enumerate(trace.steps):
        found = tokens(step.content)
        after = [word for value, word in pairwise(found) if value.sort == "number" and word.text in _UNITS]
        if after and (unit_name(after[-1].text) or after[-1].text == "miles"):
            places.append((index, after[-1]))
    if not places:
        return None
    index, word = draws.pick(places)
    text = trace.steps[index].content
    return _at(trace, index, text[: word.start] + draws.pick(list(_UNITS[word.text])) + text[word.end :])


def _unfaithful(trace: Trace, draws: Draws) -> Change | None:
    """Another answer: a number met on the way, a near one, the other word, or a letter out of place."""
    answer, last = trace.final_answer, trace.steps[-1].content
    value = number(answer)
    if answer in ("yes", "no", "unknown"):
        other = {"yes": "no", "no": "yes", "unknown": draws.pick(["yes", "no"])}[answer]
    elif value is None:
        other = _scrambled(answer, draws)
    else:
        met = {v for text in (trace.prompt, *(s.content for s in trace.steps[:-1])) for v in numbers(text)}
        chosen = draws.pick(sorted(met - {0} - set(numbers(last))) or [value + 1, value + 10])
        atom = next(token for token in tokens(answer) if token.sort == "number")
        written = rewriting.write(chosen, atom)
        other = answer if written is None else answer[: atom.start] + written + answer[atom.end :]
    return None if other == answer else (_lines(trace), other, None)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scrambled(text: str, draws: Draws) -> str:
    """Two neighbouring letters that differ changed round."""
    pairs = [i for i in range(len(text) - 1) if text[i] != text[i + 1] and text[i].isalpha() and text[i + 1].isalpha()]
    if not pairs:
        pairs = [i for i in range(len(text) - 2) if text[i] != text[i + 2] and text[i].isalpha() and text[i + 2].isalpha()]
        if not pairs:
            return text
        at = draws.pick(pairs)
        return text[:at] + text[at + 2] + text[at + 1] + text[at] + text[at + 3 :]
    at = draws.pick(pairs)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _by_claim(trace: Trace, draws: Draws, ops: frozenset[str], change: Callable[[Step, Draws], str | None]) -> Change | None:
    places = [i for i, step in enumerate(trace.steps) if any(claim.op in ops for claim in step.claims)]
    for index in draws.shuffled(places):
        text = change(trace.steps[index], draws)
        if text is not None and text != trace.steps[index].content:
            return _at(trace, index, text)
    return None


_STRINGS = frozenset({"reverse", "upper", "lower", "repeat", "join", "spell", "reverse_list"})
_SORTS = frozenset({"sort", "smallest", "largest"})
_LOGIC = frozenset({"modus_ponens", "compare", "member", "common"})


def _string(trace: Trace, draws: Draws) -> Change | None:
    return _by_claim(trace, draws, _STRINGS, _misspelt)


def _misspelt(step: Step, draws: Draws) -> str | None:
    result = next(claim.result for claim in step.claims if claim.op in _STRINGS)
    shown = result if isinstance(result, str) else " ".join(map(str, result)) if isinstance(result, tuple) else ""
    at = step.content.rfind(shown) if shown else -1
    return None if at < 0 else step.content[:at] + _scrambled(shown, draws) + step.content[at + len(shown) :]


def _sort(trace: Trace, draws: Draws) -> Change | None:
    return _by_claim(trace, draws, _SORTS, _misplaced)


def _misplaced(step: Step, draws: Draws) -> str | None:
    head, found, value = step.content.rpartition(" is ")
    if found and " of " in head:
        others = [item for item in head.partition(" of ")[2].split(", ") if item != value]
        return f"{head} is {draws.pick(others)}" if others else None
    head, found, tail = step.content.partition(": ")
    items = tail.split(", ")
    if not found or len(items) < 2:
        return None
    at = draws.below(len(items) - 1)
    items[at], items[at + 1] = items[at + 1], items[at]
    return f"{head}: {', '.join(items)}"


def _logic(trace: Trace, draws: Draws) -> Change | None:
    return _by_claim(trace, draws, _LOGIC, _turned)


_TURNS = {"the same": "different", "different": "the same", "unknown": "yes", "yes": "no", "no": "yes"}
_TURNABLE = re.compile(r"\b(the same|different|unknown|yes|no)\b")


def _turned(step: Step, draws: Draws) -> str | None:
    head, so, conclusion = step.content.partition(" So ")
    if so:
        name, _, rest = conclusion.partition(" is ")
        return f"{head} So {name} is {rest.removeprefix('not ') if rest.startswith('not ') else f'not {rest}'}"
    lead, colon, tail = step.content.partition(": ")
    items = tail.split(", ")
    if colon and all(item.endswith((" yes", " no")) for item in items):
        at = draws.below(len(items))
        items[at] = items[at][:-4] + " no" if items[at].endswith(" yes") else items[at][:-3] + " yes"
        return f"{lead}: {', '.join(items)}"
    return _TURNABLE.sub(lambda match: _TURNS[match[1]], step.content, count=1)


_MAKERS: dict[Kind, Maker] = {
    "result": _result,
    "operand": _operand,
    "operator": _operator,
    "dropped step": _dropped_step,
    "copied digit": _copied_digit,
    "unit slip": _unit_slip,
    "unfaithful answer": _unfaithful,
    "string": _string,
    "sort": _sort,
    "logic": _logic,
}
