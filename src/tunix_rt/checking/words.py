"""Statements about strings, counts and order, by the phrase they are made in."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from tunix_rt.checking.findings import Finding, Memory, statement

Rule = Callable[[str, Memory], Finding | None]
_PAIR = re.compile(r"([0-9]{1,4}) ([^\s,]{1,100})")
_TIMES = re.compile(r"(\S{1,100}) ([0-9]{1,4}) times?: (.{1,19000})")
_NUMBERED = re.compile(r"(?:([0-9]{1,4}) times?: )?(1 [^\s,]{1,100}(?:, [0-9]{1,4} [^\s,]{1,100})*)")
_LAST = re.compile(r"The last number is ([0-9]{1,4})\.?")
_CAPITALS = re.compile(r"([a-z]{1,60}): ([A-Z]{1,60})")
_DESCENDING = ("descending", "largest to smallest", "from the largest", "highest to lowest", "z to a", "reverse order")


def listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def letters(text: str, memory: Memory) -> Finding | None:
    """letters of l-e-m-o-n: l e m o n"""
    head, colon, tail = text.partition(": ")
    if not colon or not head.startswith("letters of "):
        return None
    word = head.removeprefix("letters of ")
    memory.letters = tail.split()
    return statement("string", list(word.replace("-", "")), memory.letters, text, tail)


def backwards(text: str, memory: Memory) -> Finding | None:
    """backwards: n o m e l"""
    head, colon, tail = text.partition(": ")
    if not colon or head.lower() not in ("backwards", "reversed", "in reverse") or memory.letters is None:
        return None
    return statement("string", memory.letters[::-1], tail.split(), text, tail)


def reversal(text: str, memory: Memory) -> Finding | None:
    """lemon reversed is nomel"""
    for phrase in (" reversed is ", " backwards is ", " written backwards is "):
        word, found, turned = text.partition(phrase)
        if found:
            turned = turned.removesuffix(".").strip("'\"")
            word = word.strip("'\"")
            return _about(memory, word, statement("string", word[::-1], turned, text, turned))
    return None


def capitals(text: str, memory: Memory) -> Finding | None:
    """lemon tree in capitals is LEMON TREE; lemon: LEMON"""
    for phrase in (" in capitals is ", " in uppercase is ", " in capital letters is ", " in all caps is "):
        word, found, upper = text.partition(phrase)
        if found:
            word, upper = word.strip("'\""), upper.strip("'\"")
            return _about(memory, word, statement("case", word.upper(), upper, text, upper))
    match = _CAPITALS.fullmatch(text)
    if match and re.search(rf"(?<!\w){match[1]}(?!\w)", memory.flat):
        return statement("case", match[1].upper(), match[2], text, match[2])
    return None


def _about(memory: Memory, subject: str, finding: Finding) -> Finding:
    """The same, or wrong when the prompt never mentions what it is about."""
    if memory.says(subject):
        return finding
    return finding._replace(ok=False, expected="a word of the prompt", got=subject) if finding.ok else finding


def enumeration(text: str, memory: Memory) -> Finding | None:
    """1 the, 2 old, 3 man; or 3 times: 1 map, 2 map, 3 map"""
    match = _NUMBERED.fullmatch(text) if len(text) <= 20_000 else None
    if match is None:
        return None
    pairs = [(int(number), word) for number, word in _PAIR.findall(match[2])]
    said = [word for _, word in pairs]
    memory.counted = pairs[-1][0]
    if [number for number, _ in pairs] != list(range(1, len(pairs) + 1)):
        return statement("count", ", ".join(f"{i} {word}" for i, word in enumerate(said, 1)), match[2], text)
    if match[1]:
        return _repeated(int(match[1]), said, memory, text)
    if memory.quoted is None:
        return None
    return statement("count", memory.quoted.lower().split(), [word.lower() for word in said], text, str(len(said)))


def _repeated(times: int, said: list[str], memory: Memory, text: str) -> Finding:
    finding = statement("count", [said[0]] * min(times, len(said) + 1), said, text, str(len(said)))
    return _times(times, _about(memory, said[0], finding), memory)


def _times(times: int, finding: Finding, memory: Memory) -> Finding:
    if not finding.ok or Fraction(times) in memory.written:
        return finding
    return finding._replace(ok=False, expected="a count of the prompt", got=str(times))


def repetition(text: str, memory: Memory) -> Finding | None:
    """map 3 times: map map map"""
    match = _TIMES.fullmatch(text)
    if match is None:
        return None
    wanted = " ".join([match[1]] * min(int(match[2]), len(match[3]) + 1))
    finding = statement("string", wanted, match[3], text, match[3])
    return _times(int(match[2]), _about(memory, match[1], finding), memory)


def last_number(text: str, memory: Memory) -> Finding | None:
    """The last number is 7."""
    match = _LAST.fullmatch(text)
    if match is None or memory.counted is None:
        return None
    return statement("count", str(memory.counted), match[1], text, match[1])


def initials(text: str, memory: Memory) -> Finding | None:
    """first letters: dust d, rain r"""
    head, colon, tail = text.partition(": ")
    if head != "first letters" or not colon:
        return None
    pairs = [tuple(item.split()) for item in listed(tail)]
    words = [pair[0] for pair in pairs if pair]
    memory.items = words
    wanted = [f"{word} {word[0]}" for word in words]
    finding = statement("string", wanted, listed(tail), text, tuple(words))
    return _from_prompt(finding, words, memory)


def _from_prompt(finding: Finding, words: Sequence[str], memory: Memory) -> Finding:
    stray = next((word for word in words if not memory.says(word)), None)
    return finding if stray is None or not finding.ok else finding._replace(ok=False, expected="words of the prompt", got=stray)


def ordered(text: str, memory: Memory) -> Finding | None:
    """in order: d dust, r rain; sorted: dust, rain"""
    head, colon, tail = text.partition(": ")
    if not colon or head not in ("in order", "sorted", "Sorted", "in alphabetical order"):
        return None
    said = listed(tail.removesuffix("."))
    if head == "in order":
        pairs = [item.partition(" ") for item in said]
        if any(word[:1] != letter for letter, _, word in pairs):
            return statement("sort", [f"{word[:1]} {word}" for _, _, word in pairs], said, text)
        words = [word for _, _, word in pairs]
    else:
        words = said
    return _sorted(words, memory, text)


def _sorted(words: list[str], memory: Memory, text: str) -> Finding:
    have = memory.items if memory.items is not None else words
    turned = any(phrase in memory.flat for phrase in _DESCENDING)
    wanted = sorted(have, key=_place, reverse=turned)
    finding = statement("sort", wanted, words, text, ", ".join(words), tuple(words))
    memory.chosen = words
    return _from_prompt(finding, words, memory)


def _place(word: str) -> tuple[int, float, str]:
    number = word.lstrip("-").replace(".", "", 1).isascii() and word.lstrip("-").replace(".", "", 1).isdigit()
    return (0, float(word), "") if number and len(word) < 16 else (1, 0.0, word.casefold())


def extreme(text: str, memory: Memory) -> Finding | None:
    """smallest of 18, 52, 38 is 18"""
    head, found, value = text.partition(" is ")
    which, of, tail = head.partition(" of ")
    which = which.removeprefix("the ").removeprefix("The ").lower()
    if not (found and of) or which not in ("smallest", "largest") or "," not in tail:
        return None
    items, first = listed(tail), memory.items is None
    pick = min if which == "smallest" else max
    finding = statement("sort", pick(items, key=_place), value.removesuffix("."), text)
    if first:
        memory.items, memory.chosen = items, items
        finding = _from_prompt(finding, items, memory)
    elif memory.chosen is not None and finding.ok and sorted(items) != sorted(memory.chosen):
        finding = finding._replace(ok=False, expected=", ".join(memory.chosen), got=tail)
    memory.chosen = [item for item in items if item != value.removesuffix(".")]
    return finding


RULES: tuple[Rule, ...] = (
    letters,
    backwards,
    reversal,
    capitals,
    enumeration,
    repetition,
    last_number,
    initials,
    ordered,
    extreme,
)
