"""The one definition of the text a tuned model is taught to write, in each of three formats.

`numbered`: numbered steps, then a final `Answer:` line. `think`: the numbered steps in `<think>`, then the answer alone, as
Qwen 3 writes. `tags`: the steps in `<reasoning>`, the answer in `<answer>`.

    1. 48 / 2 = 24          <think>                 <reasoning>
    2. 48 + 24 = 72         1. 48 / 2 = 24          1. 48 / 2 = 24
    Answer: 72              2. 48 + 24 = 72         2. 48 + 24 = 72
                            </think>                </reasoning>
                                                    <answer>72</answer>
                            72

Training renders targets with `render`; strict scoring reads them with `parse_strict`. One is the inverse of the other.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tunix_rt import errors

ReplyFormat = Literal["numbered", "think", "tags"]
LINE_BREAK = re.compile(r"\r\n|\r|\n")
ANSWER = "Answer: "
TAG = re.compile(r"<(/?)(think|thinking|reasoning|answer)>", re.IGNORECASE)


class Parsed(NamedTuple):
    steps: tuple[str, ...]
    answer: str


class Marks(NamedTuple):
    """What stands before the steps, between steps and answer, and after the answer."""

    before: str
    between: str
    after: str


MARKS: dict[ReplyFormat, Marks] = {
    "numbered": Marks("", f"\n{ANSWER}", ""),
    "think": Marks("<think>\n", "\n</think>\n\n", ""),
    "tags": Marks("<reasoning>\n", "\n</reasoning>\n<answer>", "</answer>"),
}


def one_line(text: str) -> str:
    """The text on a single line: the lines trimmed and joined by one space, inner blanks left as they are."""
    return " ".join(part for line in LINE_BREAK.split(text) if (part := line.strip()))


def render(steps: Sequence[str], answer: str, form: ReplyFormat = "numbered") -> str:
    """The target text, without a final newline. A blank step, a blank answer or no step at all is `errors.Invalid`; where tags
    part steps and answer, so is a text that holds one itself."""
    lines = [one_line(step) for step in steps]
    last = one_line(answer)
    if not lines or not last or not all(lines):
        raise errors.Invalid(f"cannot write the steps {steps!r} and the answer {answer!r}: none of them may be blank.")
    if form != "numbered" and (tag := next(filter(None, map(TAG.search, (*lines, last))), None)):
        raise errors.Invalid(
            f"cannot write {tag.string[:80]!r} in the format {form!r}: it holds {tag[0]!r}, which would part the reply "
            "elsewhere; train with format 'numbered', or remove the trace.",
            field="format",
        )
    before, between, after = MARKS[form]
    return before + "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1)) + between + last + after


def parse_strict(text: str, form: ReplyFormat = "numbered") -> Parsed | None:
    """The steps and answer of a text in exactly this form, blanks around the whole text and after a line aside."""
    found = "\n".join(line.rstrip() for line in LINE_BREAK.split(text.strip()))
    before, between, after = MARKS[form]
    if not found.startswith(before) or not found.endswith(after):
        return None
    body, mark, last = found[len(before) : len(found) - len(after)].rpartition(between)
    if not mark or (form != "numbered" and TAG.search(body + last)):
        return None
    steps = tuple(_content(line, f"{number}. ") for number, line in enumerate(body.split("\n"), start=1))
    answer = "" if "\n" in last else last.strip()
    return Parsed(steps, answer) if answer and all(steps) else None


def _content(line: str, prefix: str) -> str:
    return line[len(prefix) :].strip() if line.startswith(prefix) else ""
