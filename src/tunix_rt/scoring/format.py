"""The one definition of the text a tuned model is taught to write: numbered steps, then a final `Answer:` line.

    1. 48 / 2 = 24
    2. 48 + 24 = 72
    Answer: 72

Training renders targets with `render`; strict scoring reads them with `parse_strict`. One is the inverse of the other.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tunix_rt import errors

LINE_BREAK = re.compile(r"\r\n|\r|\n")
ANSWER = "Answer: "


class Parsed(NamedTuple):
    steps: tuple[str, ...]
    answer: str


def one_line(text: str) -> str:
    """The text on a single line: the lines trimmed and joined by one space, inner blanks left as they are."""
    return " ".join(part for line in LINE_BREAK.split(text) if (part := line.strip()))


def render(steps: Sequence[str], answer: str) -> str:
    """The target text, without a final newline. A blank step, a blank answer or no step at all is `errors.Invalid`."""
    lines = [one_line(step) for step in steps]
    last = one_line(answer)
    if not lines or not last or not all(lines):
        raise errors.Invalid(f"cannot write the steps {steps!r} and the answer {answer!r}: none of them may be blank.")
    return "\n".join([*(f"{number}. {line}" for number, line in enumerate(lines, start=1)), ANSWER + last])


def parse_strict(text: str) -> Parsed | None:
    """The steps and answer of a text in exactly this form, blanks around the whole text and after a line aside."""
    *lines, last = (line.rstrip() for line in LINE_BREAK.split(text.strip()))
    if not lines or not last.startswith(ANSWER):
        return None
    steps = tuple(_content(line, f"{number}. ") for number, line in enumerate(lines, start=1))
    answer = _content(last, ANSWER)
    return Parsed(steps, answer) if answer and all(steps) else None


def _content(line: str, prefix: str) -> str:
    return line[len(prefix) :].strip() if line.startswith(prefix) else ""
