"""Statements about rules, lists and answers in words: what follows, what is in a list, which answer that makes."""

import re

from tunix_rt.checking.findings import Finding, Memory, statement
from tunix_rt.checking.words import Rule, listed

_NAME = r"([A-Z]\w{0,40})"
_KIND = r"an? (\w{1,40})"
_DEDUCE = re.compile(
    rf"{_NAME} is {_KIND}\. (Every|No) (\w{{1,40}}) is {_KIND}\. So {_NAME} is (not )?(?:{_KIND}|(unknown))\.?"
)
_FACT = re.compile(rf"{_NAME} is (not )?{_KIND}\.?")
_BACKWARDS = re.compile(
    rf"The rule needs {_KIND} and gives {_KIND}; it does not work backwards: (\w{{1,40}}|{_KIND})\.?", re.IGNORECASE
)
_ANSWER = re.compile(r"(?:So )?[Tt]he answer is (.{1,400}?)\.?")
_SEEN = re.compile(r"(.{1,100}) (yes|no)")
_IN_LIST = re.compile(r"(.{1,100}) is (not )?in the list, so the answer is (yes|no)\.?")


def deduction(text: str, memory: Memory) -> Finding | None:
    """Ivy is a dax. Every dax is a wug. So Ivy is a wug."""
    match = _DEDUCE.fullmatch(text)
    if match is None:
        return None
    name, kind, rule, one, other, subject, negated, then, unknown = match.groups()
    follows = f"a {other}" if rule == "Every" else f"not a {other}"
    expected = follows if kind == one and name == subject else "unknown"
    stated = "unknown" if unknown else f"{'not ' if negated else ''}a {then}"
    finding = statement("logic", expected, stated, text, f"{name} is {stated}")
    premise = memory.says(f"{rule} {one} is a {other}") or memory.says(f"{rule} {one} is an {other}")
    fact = memory.concluded == f"{name} is a {kind}" or _known(memory, name, kind)
    memory.concluded = f"{subject} is {stated}"
    if finding.ok and not (premise and fact):
        missing = f"{rule} {one} is a {other}" if not premise else f"{name} is a {kind}"
        return finding._replace(ok=False, expected="a rule or fact that was given", got=missing)
    return finding


def _known(memory: Memory, name: str, kind: str) -> bool:
    """Whether the prompt states the fact; a question `Is Ivy a dax?` or `is Ivy a dax?` does not."""
    return memory.says(f"{name} is a {kind}.") or memory.says(f"{name} is an {kind}.")


def fact(text: str, memory: Memory) -> Finding | None:
    """Ivy is a dax."""
    match = _FACT.fullmatch(text)
    if match is None or not memory.says(match[1]):
        return None
    stated = f"{match[1]} is {match[2] or ''}a {match[3]}"
    there = _known(memory, match[1], match[3]) and not match[2]
    memory.concluded = stated
    return statement("logic", stated if there else "a fact that was given", stated, text)


def backwards(text: str, memory: Memory) -> Finding | None:
    """The rule needs a dax and gives a wug; it does not work backwards: unknown."""
    match = _BACKWARDS.fullmatch(text)
    if match is None:
        return None
    rule = memory.says(f"Every {match[1]} is a {match[2]}") or memory.says(f"Every {match[1]} is an {match[2]}")
    memory.concluded = "unknown"
    if not rule:
        return Finding("logic", ok=False, expected="a rule that was given", got=f"every {match[1]} is a {match[2]}")
    return statement("logic", "unknown", match[3], text)


def answer(text: str, memory: Memory) -> Finding | None:
    """The answer is no."""
    match = _ANSWER.fullmatch(text)
    if match is None:
        return None
    if memory.concluded is not None and match[1] in ("yes", "no", "unknown"):
        return statement("logic", _asked(memory), match[1], text)
    return None


def _asked(memory: Memory) -> str:
    """What the last conclusion says about the question that the prompt asks."""
    said = memory.concluded or ""
    name, _, what = said.partition(" is ")
    goal = what.removeprefix("not ").removeprefix("a ")
    asked = any(memory.says(f"is {name} {article} {goal}") for article in ("a", "an")) or any(
        memory.says(f"{name} is {article} {goal}{end}") for article in ("a", "an") for end in ("?", ":")
    )
    if said == "unknown" or not asked:
        return "unknown"
    return "no" if what.startswith("not ") else "yes"


def search(text: str, memory: Memory) -> Finding | None:
    """looking for blue: pink no, blue yes"""
    head, colon, tail = text.partition(": ")
    if not colon or not head.startswith("looking for "):
        return None
    wanted = head.removeprefix("looking for ")
    seen = [match.groups() for item in listed(tail) if (match := _SEEN.fullmatch(item))]
    words = [word for word, _ in seen]
    memory.inside = (wanted, any(said == "yes" for _, said in seen))
    finding = statement("membership", [f"{word} {'yes' if word == wanted else 'no'}" for word in words], listed(tail), text)
    return _whole_list(finding, words, memory)


def in_list(text: str, memory: Memory) -> Finding | None:
    """blue is in the list, so the answer is yes"""
    match = _IN_LIST.fullmatch(text)
    if match is None or memory.inside is None:
        return None
    word, found = memory.inside
    stated = f"{match[1]} is {match[2] or ''}in the list, {match[3]}"
    wanted = f"{word} is {'' if found else 'not '}in the list, {'yes' if found else 'no'}"
    return statement("membership", wanted, stated, text, match[3])


def shared(text: str, memory: Memory) -> Finding | None:
    """which are in rice, cage: pelican no, cage yes"""
    head, colon, tail = text.partition(": ")
    if not colon or not head.startswith("which are in "):
        return None
    others = listed(head.removeprefix("which are in "))
    seen = [match.groups() for item in listed(tail) if (match := _SEEN.fullmatch(item))]
    memory.chosen = [word for word, said in seen if said == "yes"]
    wanted = [f"{word} {'yes' if word in others else 'no'}" for word, _ in seen]
    finding = statement("membership", wanted, listed(tail), text, tuple(memory.chosen))
    finding = _whole_list(finding, others, memory)
    return _whole_list(finding, [word for word, _ in seen], memory)


def _whole_list(finding: Finding, words: list[str], memory: Memory) -> Finding:
    """Wrong when the prompt has no such list."""
    if not finding.ok or memory.says(", ".join(words)):
        return finding
    return finding._replace(ok=False, expected="a list of the prompt", got=", ".join(words))


def in_both(text: str, memory: Memory) -> Finding | None:
    """in both: cage"""
    head, colon, tail = text.partition(": ")
    if not colon or head != "in both" or memory.chosen is None:
        return None
    return statement("membership", memory.chosen, listed(tail), text, tail, tuple(listed(tail)))


RULES: tuple[Rule, ...] = (deduction, fact, backwards, answer, search, in_list, shared, in_both)
