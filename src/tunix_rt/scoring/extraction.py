"""The answer that an output states, found without a look at the expected one: an expected answer cannot attract it."""

from tunix_rt.scoring import reading
from tunix_rt.scoring.format import parse_strict


def stated(output: str, finish: str) -> str | None:
    """The answer of the taught form, else what follows the last cue (`Answer:`, `\\boxed{}`, `####`); None without one."""
    parsed = parse_strict(output)
    if parsed is not None:
        return parsed.answer
    passage = reading.after_last_cue(reading.spoken(output, finish))
    return passage.strip() if passage and passage.strip() else None
