"""A question and its reply in columns: alpaca, TRL prompt and completion, and plain tables."""

from typing import Any

from tunix_rt.formats import chat, replies
from tunix_rt.formats.core import BadRow, Format, Reply, Row, body, text, without

_PROMPTS = ("prompt", "question", "problem", "query")
_REASONINGS = ("steps", "reasoning", "rationale", "thinking", "cot", "chain_of_thought")
_ANSWERS = ("final_answer", "answer", "response")


def _detect_alpaca(row: Row) -> bool:
    return "instruction" in row and ("output" in row or "input" in row)


def _read_alpaca(row: Row) -> dict[str, Any]:
    """Instruction and input are joined by a line break, as LLaMA-Factory joins them."""
    if row.get("history"):
        raise BadRow("several_turns", "'history' holds earlier turns; a trace holds one question and one reply.", "history")
    prompt, given = text(row, "instruction"), row.get("input")
    extra = without(row, "instruction", "input", "output", "system", "history")
    if isinstance(given, str) and given.strip():
        extra |= {"instruction": prompt, "input": given}
        prompt = f"{prompt}\n{given}"
    system = row.get("system")
    return body(prompt, replies.parse(text(row, "output")), extra, system=system)


def _read_completion(row: Row) -> dict[str, Any]:
    if isinstance(row.get("prompt"), list):
        both = [*chat.turns(row["prompt"], "prompt"), *chat.turns(row.get("completion"), "completion")]
        prompt, reply, system = chat.exchange(both)
        return body(prompt, reply, without(row, "prompt", "completion"), system=system)
    prompt = text(row, "prompt")
    return body(prompt, replies.parse(text(row, "completion")), without(row, "prompt", "completion"))


def _first(row: Row, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if isinstance(row.get(name), str)), None)


def _detect_columns(row: Row) -> bool:
    return _first(row, _PROMPTS) is not None and _first(row, _ANSWERS) is not None


def _read_columns(row: Row) -> dict[str, Any]:
    names = [_first(row, group) for group in (_PROMPTS, _REASONINGS, _ANSWERS)]
    prompt, reasoning, answer = (name or group[0] for name, group in zip(names, (_PROMPTS, _REASONINGS, _ANSWERS), strict=True))
    extra = without(row, prompt, reasoning, answer)
    said = text(row, answer)
    thought = row.get(reasoning)
    if not isinstance(thought, str) or not thought.strip():
        return body(text(row, prompt), replies.parse(said), extra)
    steps = replies.exact_steps(thought) or replies.segment(thought)
    return body(text(row, prompt), Reply(steps, said), extra)


FORMATS = (
    Format("alpaca", "instruction, input, output", _detect_alpaca, _read_alpaca),
    Format(
        "prompt-completion", "TRL prompt and completion", lambda row: "prompt" in row and "completion" in row, _read_completion
    ),
    Format("columns", "columns such as question, reasoning, answer", _detect_columns, _read_columns),
)
