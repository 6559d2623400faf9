"""The lenient reading: find the answer in any text, as generously towards an untuned model as is honest.

It sees the expected answer's kind, and for text even its words, so it over-counts slightly and never under-counts on
purpose: a gain that remains under it is not a gain in format. In order:

1. Reasoning in `<think>` or `<reasoning>` is set aside; the last `<answer>` element, if any, is the whole text.
2. The last explicit cue decides: `Answer: X`, `the answer is X`, `\\boxed{X}`, or `#### X` with a number.
3. Without a cue it is a guess. For a number: the last number that is not a list marker. For yes or no: the first word
   of the text, else the first or last word of its last line. For text: the last quoted string, or of the last line the
   whole, the part after the colon, the last word, or an expected answer of several words anywhere in the last sentence.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tunix_rt.scoring.answers import normalise, quantity, same, truth_words
from tunix_rt.scoring.format import TAG

_CUE = re.compile(r"\banswer\b[*_`]{0,3} ?(?::|=|\bis\b)[ \t]{0,4}[*_`]{0,3}:?", re.IGNORECASE)
_HASHES = re.compile(r"#### ([^\n]{1,60})")
_BOXED = "\\boxed{"
_LIST_MARKER = re.compile(r"^[ \t]{0,8}[0-9]{1,3}[.)][ \t]", re.MULTILINE)
_NUMBER = re.compile(
    r"(?:(?<![\w)%])[-−])?[$€£¥₹]?(?<![\w.])"
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?: ?/ ?[0-9]+)?"
)
_QUOTED = re.compile(r"\"([^\"\n]{1,500})\"|“([^“”\n]{1,500})”|`([^`\n]{1,500})`|(?<!\w)'([^'\n]{1,500})'(?!\w)")
_SENTENCE_END = re.compile(r"[.!?] ")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9]{1,40})\}\{([0-9]{1,40})\}")
_WRAPPER = re.compile(r"\\(?:text|mathrm|mathbf)\{([^{}]{0,200})\}")
_DECORATION = "*_`$ \t"
_LONGEST_BOX = 2_000


class Found(NamedTuple):
    """`cued` tells an answer the text points at from a guess."""

    answer: str
    cued: bool


def spoken(text: str, finish: str) -> str:
    """The text after the reasoning. Reasoning that was cut off before its end has nothing after it."""
    tags = [(match.start(), match.end(), match[1] + match[2].lower()) for match in TAG.finditer(text)]
    closing = [end for _, end, name in tags if name.startswith("/") and name != "/answer"]
    opening = [end for _, end, name in tags if name not in ("answer", "/answer") and not name.startswith("/")]
    if opening and not closing and finish == "length":
        return ""
    start = closing[-1] if closing and text[closing[-1] :].strip() else 0
    answers = [end for _, end, name in tags if name == "answer" and end >= start]
    start = answers[-1] if answers else start
    stop = next((at for at, _, name in tags if name == "/answer" and at >= start), len(text)) if answers else len(text)
    return TAG.sub(" ", text[start:stop]).strip()


def reasoned(text: str) -> str:
    """The text inside the reasoning's tags, to the end where they are not closed; empty without any."""
    tags = [match for match in TAG.finditer(text) if match[2].lower() != "answer"]
    if not tags:
        return ""
    start = 0 if tags[0][1] else tags[0].end()
    closing = [match.start() for match in tags if match[1]]
    return text[start : closing[-1] if closing else len(text)].strip()


def find(expected: str, output: str, finish: str) -> Found | None:
    """The answer that the lenient reading takes from the output, or None when there is nothing to take."""
    body = spoken(output, finish)
    passage = after_last_cue(body)
    readings = _readings(expected, passage or body, cued=passage is not None)
    first: str | None = None
    for reading in readings:
        if not reading.strip():
            continue
        if same(expected, reading):
            return Found(reading, passage is not None)
        first = reading if first is None else first
    return None if first is None else Found(first, passage is not None)


def after_last_cue(body: str) -> str | None:
    """What follows the last cue: its line, or the next line that says something when its own is empty."""
    cues = deque(_CUE.finditer(body), maxlen=1)
    at, passage = (cues[0].start(), _line_from(body, cues[0].end())) if cues else (-1, None)
    box = body.rfind(_BOXED)
    if box > at and (content := _braced(body, box + len(_BOXED))) is not None:
        at, passage = box, content
    for hashes in _HASHES.finditer(body, max(at, 0)):
        if quantity(normalise(hashes[1])):
            passage = hashes[1]
    return passage if passage and passage.strip(_DECORATION) else None


def _line_from(text: str, start: int) -> str:
    line = text[start:].lstrip(_DECORATION + "\r\n").partition("\n")[0]
    return line.strip()


def _braced(text: str, start: int) -> str | None:
    depth = 1
    for at in range(start, min(len(text), start + _LONGEST_BOX)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start:at]
    return None


def _plain(text: str) -> str:
    """Without Markdown emphasis and the LaTeX that surrounds answers."""
    text = _WRAPPER.sub(r"\1", _FRACTION.sub(r"\1/\2", text)).replace("\\$", "$").replace("\\%", "%")
    return text.replace("\\(", "").replace("\\)", "").replace("**", "").strip().strip(_DECORATION.replace("$", ""))


def _readings(expected: str, text: str, *, cued: bool) -> Iterator[str]:
    gold = normalise(expected)
    if truth_words(gold):
        yield from _truths(gold, text)
    elif quantity(gold):
        yield from _numbers(text, cued=cued)
    else:
        yield from _texts(gold, text, cued=cued)


def _truths(gold: str, text: str) -> Iterator[str]:
    """At most one reading: the first place that says either word of the pair."""
    last = _last_line(text)
    words = [found[0] for found in (_WORD.search(text), _WORD.search(last)) if found]
    ends = _WORD.findall(last)[-1:]
    yield from [word for word in words + ends if word.casefold() in truth_words(gold)][:1]


def _numbers(text: str, *, cued: bool) -> Iterator[str]:
    """After a cue the whole passage, else the number after its last `=`, else its first number; in a guess the last."""
    if not cued:
        found = _NUMBER.findall(_LIST_MARKER.sub("", _plain(text)))
        yield from found[-1:]
        return
    sentence = _SENTENCE_END.split(_plain(text), maxsplit=1)[0]
    found = _NUMBER.findall(sentence.rpartition("=")[2]) or _NUMBER.findall(sentence)
    whole = quantity(normalise(sentence))
    yield from [sentence] if whole else []
    yield from found[:1]


def _texts(gold: str, text: str, *, cued: bool) -> Iterator[str]:
    last = _plain(text if cued else _last_line(text))
    yield last
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(text)]
    yield from quoted[-1:]
    yield last.rpartition(": ")[2]
    yield last.strip("[](){}")
    words = last.split()
    yield from [word.strip(".,;:!?\"'`*") for word in (words[-1:] + words[:1] if cued else words[-1:])]
    yield gold if " " in gold and _occurs(gold, _SENTENCE_END.split(last.rstrip(" .!?"))[-1]) else ""


def _occurs(gold: str, sentence: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", " ".join(sentence.split())) is not None


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2].strip()
