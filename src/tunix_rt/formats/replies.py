"""A reply as text, and back: numbered steps and an answer, reasoning in tags, or free prose.

`write` and `parse` are inverse: a trace that the text forms cannot hold is refused when written, never changed. Steps and
answers of one line each are written as the numbered form that training renders; others between `<step>` tags. Free text is
cut into steps by numbered items, else paragraphs, else lines, else sentences; nothing depends on chance or locale.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tunix_rt.formats.core import BadRow, Reply
from tunix_rt.traces import Trace

ANSWER = "Answer: "
_THINK_OPEN = re.compile(r"\A\s*<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_ANSWER_OPEN = re.compile(r"<answer>", re.IGNORECASE)
_ANSWER_CLOSE = re.compile(r"</answer>", re.IGNORECASE)
_HASHES = re.compile(r"^####[ \t]*(\S[^\n]*)$", re.MULTILINE)
_CUE = re.compile(r"\banswer(?: is\b|[*_]{0,3} ?:)[*_]{0,3}:?", re.IGNORECASE)
_LEAD = re.compile(r"[\s*_#>-]*(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:final )?", re.IGNORECASE)
_ITEM = re.compile(r"^[ \t]*(?:[*_]{2})?(?:step[ \t]+)?([0-9]{1,4})[.):](?:[*_]{2})?[ \t]+(?=\S)", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SENTENCE = re.compile(r"(?<=[.!?])[ \t]+(?=[\"'“(]?[A-Z0-9$])")
_BOXED = "\\boxed{"
_BEGIN, _END = "<step>", "</step>\n"


def write(trace: Trace) -> str:
    """The reply of a trace as text; BadRow when reading it back would not give the same steps and answer."""
    contents = [step.content for step in trace.steps]
    if all(map(_on_one_line, [*contents, trace.final_answer])):
        written = "\n".join([*_numbered(contents), ANSWER + trace.final_answer])
    else:
        written = f"<reasoning>\n{_tagged(contents)}</reasoning>\n<answer>{trace.final_answer}</answer>"
    return _proved(trace, written, exact(written))


def write_reasoning(trace: Trace) -> str:
    """Only the steps, for formats that keep reasoning and answer apart."""
    contents = [step.content for step in trace.steps]
    plain = all(map(_on_one_line, contents)) and cued(trace.final_answer) is None
    written = "\n".join(_numbered(contents)) if plain else _tagged(contents)
    return _proved(trace, written, with_reasoning(written, trace.final_answer))


def write_thought(trace: Trace) -> str:
    """The steps inside `<think>`, then the answer."""
    reasoning = write_reasoning(trace).removesuffix("\n")
    written = f"<think>\n{reasoning}\n</think>\n\n{trace.final_answer}"
    return _proved(trace, written, exact(written))


def _proved(trace: Trace, written: str, back: Reply | None) -> str:
    if back is None or back[:2] != (tuple(step.content for step in trace.steps), trace.final_answer):
        text = "its text contains the marks this format separates steps with, so it could not be read back"
        raise BadRow("unwritable", f"trace {trace.id[:12]} cannot be written: {text}.")
    return written


def _on_one_line(text: str) -> bool:
    return text == text.strip() and "\n" not in text and "\r" not in text


def _numbered(contents: Sequence[str]) -> list[str]:
    return [f"{number}. {content}" for number, content in enumerate(contents, start=1)]


def _tagged(contents: Sequence[str]) -> str:
    return "".join(f"{_BEGIN}{content}{_END}" for content in contents)


def exact_steps(text: str) -> tuple[str, ...] | None:
    """The steps of text in exactly one of the two forms that `write_reasoning` writes."""
    if text.startswith(_BEGIN) and text.endswith(_END):
        return tuple(text.removeprefix(_BEGIN).removesuffix(_END).split(_END + _BEGIN))
    steps = []
    for number, line in enumerate(text.split("\n"), start=1):
        mark = f"{number}. "
        if not line.startswith(mark) or not line[len(mark) :].strip():
            return None
        steps.append(line[len(mark) :])
    return tuple(steps)


def exact(text: str) -> Reply | None:
    """The reply in exactly one of the forms that this module writes, else None."""
    if text.startswith("<reasoning>\n" + _BEGIN) and text.endswith("</answer>"):
        head, mark, answer = text[len("<reasoning>\n") : -len("</answer>")].partition("</reasoning>\n<answer>")
    elif text.startswith("<think>\n"):
        head, mark, answer = text.removeprefix("<think>\n").partition("\n</think>\n\n")
        head += "\n" if head.startswith(_BEGIN) else ""
        mark = mark if head.startswith(_BEGIN) or cued(answer) is None else ""
    else:
        head, mark, answer = text.rpartition("\n" + ANSWER)
        mark = "" if "\n" in answer else mark
    found = exact_steps(head) if mark and answer.strip() else None
    return Reply(found, answer) if found else None


def parse(text: str) -> Reply:
    """The reasoning and the answer of any reply. Text without an answer is a BadRow."""
    if found := exact(text):
        return found
    reasoning, rest = _split_tags(text)
    if reasoning is None:
        return _free(rest)
    if rest.strip() or _THINK_CLOSE.search(text):
        return with_reasoning(reasoning, rest)
    return _free(reasoning)._replace(note={"unclosed": True})


def with_reasoning(reasoning: str, content: str) -> Reply:
    """A reply whose reasoning came apart from it. The answer is what the content points at, else all of it."""
    if not content.strip():
        raise BadRow("no_answer", "there is reasoning but no answer after it.")
    if not reasoning.strip():
        return _free(content)
    pointed = cued(content)
    if (found := exact_steps(reasoning)) and (pointed is None or reasoning.startswith(_BEGIN)):
        return Reply(found, content)
    body, answer = _answer_tag(content)
    if answer is not None:
        return Reply(segment(reasoning), answer, {"response": body} if body.strip() else {})
    if pointed is None:
        return Reply(segment(reasoning), content.strip())
    return Reply(segment(reasoning), pointed, {"response": content})


def _split_tags(text: str) -> tuple[str | None, str]:
    """(reasoning, what follows it). An opening tag may be absent (it was in the prompt), a closing one too (cut off)."""
    opened = _THINK_OPEN.match(text)
    closed = _THINK_CLOSE.search(text)
    if opened and closed:
        return text[opened.end() : closed.start()], text[closed.end() :]
    if closed:
        return text[: closed.start()], text[closed.end() :]
    if opened:
        marked = _ANSWER_OPEN.search(text)
        end = marked.start() if marked else len(text)
        return text[opened.end() : end], text[end:]
    return None, text


def _answer_tag(text: str) -> tuple[str, str | None]:
    """(text without its last answer element, what stands in it); the closing tag may be missing."""
    found = list(_ANSWER_OPEN.finditer(text))
    if not found:
        return text, None
    closed = _ANSWER_CLOSE.search(text, found[-1].end())
    inside = text[found[-1].end() : closed.start() if closed else len(text)].strip()
    if not inside:
        raise BadRow("no_answer", "the <answer> element is empty.")
    return text[: found[-1].start()] + (text[closed.end() :] if closed else ""), inside


def _free(text: str) -> Reply:
    """Prose: an answer element, else the last cue, else the last of its parts."""
    rest, answer = _answer_tag(text)
    if answer is not None:
        return Reply(segment(rest), answer)
    if hashes := list(_HASHES.finditer(text)):
        return Reply(segment(_cut(text, hashes[-1].span())), hashes[-1][1].strip())
    if (box := boxed(text)) is not None:
        return Reply(segment(text), box)
    if cue := _last_cue(text):
        return Reply(segment(_cut(text, cue.line) if cue.alone else text), cue.answer)
    parts = segment(text)
    if not parts:
        raise BadRow("no_answer", "the reply is blank.")
    return Reply(parts[:-1], parts[-1])


def cued(text: str) -> str | None:
    """The answer that the text points at by `####`, a box or an "answer is" phrase; None when it does not."""
    if hashes := _HASHES.findall(text):
        return str(hashes[-1]).strip()
    if (box := boxed(text)) is not None:
        return box
    cue = _last_cue(text)
    return cue.answer if cue else None


class _Cue(NamedTuple):
    """`line` is where its line stands in the text; `alone` when the line says nothing before the cue."""

    answer: str
    line: tuple[int, int]
    alone: bool


def _last_cue(text: str) -> _Cue | None:
    """The last "answer is X" or "Answer: X" in the last two lines that say something."""
    end = len(text)
    for _ in range(2):
        end = len(text[:end].rstrip())
        start = text.rfind("\n", 0, end) + 1
        for match in reversed(list(_CUE.finditer(text, start, end))):
            if answer := _bare(text[match.end() : end]):
                return _Cue(answer, (start, end), _LEAD.fullmatch(text[start : match.start()]) is not None)
        end = start
    return None


def _bare(answer: str) -> str:
    return answer.strip().strip("*_`$ ").removesuffix(".").strip("*_`$ ")


def _cut(text: str, span: tuple[int, int]) -> str:
    return text[: span[0]] + text[span[1] :]


def boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}`, braces matched; None without one that closes."""
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    depth, begin = 1, start + len(_BOXED)
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin:at].strip() or None
    return None


def segment(text: str) -> tuple[str, ...]:
    """The text as steps: its numbered items, else its paragraphs, else its lines, else its sentences."""
    if not text.strip():
        return ()
    for parts in (_items(text), _PARAGRAPH.split(text), text.split("\n"), _SENTENCE.split(text)):
        kept = tuple(part.strip() for part in parts if part.strip())
        if len(kept) > 1:
            return kept
    return (_ITEM.sub("", text.strip(), count=1).strip() or text.strip(),)


def _items(text: str) -> list[str]:
    """Items numbered 1, 2, 3 from the line's start, each with the lines that follow it; a lead-in is a part of its own."""
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        match = _ITEM.match(line)
        if match and int(match[1]) == len(parts):
            parts.append([line[match.end() :]])
        else:
            parts[-1].append(line)
    return ["\n".join(lines) for lines in parts] if len(parts) > 2 else []
