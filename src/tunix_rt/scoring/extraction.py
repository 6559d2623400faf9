"""The answer that an output states, found without a look at the expected one: an expected answer cannot attract it."""

from tunix_rt.scoring import reading
from tunix_rt.scoring.format import TAG, ReplyFormat, parse_strict


def stated(output: str, finish: str, form: ReplyFormat = "numbered") -> str | None:
    """The answer of the taught format, else what follows the last cue (`Answer:`, `\\boxed{}`, `####`); None without one.

    Where the format has tags, a single line after the reasoning, or in `<answer>`, is the answer too, cue or not.
    """
    parsed = parse_strict(output, form)
    if parsed is not None:
        return parsed.answer
    body = reading.spoken(output, finish)
    passage = reading.after_last_cue(body)
    if passage is None and form != "numbered" and TAG.search(output) and "\n" not in body:
        passage = body
    return passage.strip() if passage and passage.strip() else None
