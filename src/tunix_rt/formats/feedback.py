"""Rows that say which reply is better, or which steps are right: preference pairs and stepwise labels, read and written.

A trace states its steps as right, so only what a row calls right becomes one: the chosen reply, and completions that are all
labelled true. The rejected reply stays beside it in `meta.extra`; a row with a step labelled false is refused by name.
"""

from typing import Any, NamedTuple

from tunix_rt.formats import chat, replies
from tunix_rt.formats.chat import Turn
from tunix_rt.formats.core import BadRow, Format, Reply, Row, body, text, values_type, without
from tunix_rt.traces import Trace

_ASKING = ("prompt", "question", "problem")


class Mistaken(NamedTuple):
    """A trace changed so that one step is wrong. `step` is the number of the first wrong one; None means the answer."""

    trace: Trace
    kind: str
    step: int | None


# ── preference ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _detect_preference(row: Row) -> bool:
    return "chosen" in row and "rejected" in row


def _read_preference(row: Row) -> dict[str, Any]:
    """The chosen reply, with the prompt beside it or, where there is none, in its own turns."""
    asked, used = _asked(row)
    chosen = _said(row.get("chosen"), "chosen")
    if [turn.role for turn in chosen] != ["assistant"]:  # a whole conversation; a prompt beside it only repeats its question
        asked = [turn for turn in asked if turn.role == "system"]
    prompt, reply, system = chat.exchange([*asked, *chosen])
    extra = {**without(row, *used, "chosen", "rejected", "messages"), "rejected": row.get("rejected")}
    return body(prompt, reply, extra, system=system)


def _asked(row: Row) -> tuple[list[Turn], tuple[str, ...]]:
    """(the turns before the reply, the keys they came from)"""
    told = [Turn("system", row["system"])] if isinstance(row.get("system"), str) and row["system"].strip() else []
    if "conversations" in row:
        return told + chat.sharegpt_turns(row), ("conversations", "system")
    if isinstance(row.get("instruction"), str):
        parts = [row["instruction"], row.get("input")]
        asked = "\n".join(part for part in parts if isinstance(part, str) and part)
        return [*told, Turn("user", asked)], ("instruction", "input", "system")
    key = next((key for key in _ASKING if row.get(key)), None)
    if key is None:
        return told, ("system",)
    turns = chat.turns(row[key], key) if isinstance(row[key], list) else [Turn("user", text(row, key))]
    return told + turns, (key, "system")


def _said(value: object, where: str) -> list[Turn]:
    if isinstance(value, str):
        return [Turn("assistant", text({where: value}, where))]
    if isinstance(value, dict):
        return [chat.sharegpt_turn(value, where)]
    return chat.turns(value, where)


def prefer(trace: Trace, mistaken: Mistaken) -> dict[str, Any]:
    return {"prompt": trace.prompt, "chosen": replies.write(trace), "rejected": replies.write(mistaken.trace)}


def prefer_messages(trace: Trace, mistaken: Mistaken) -> dict[str, Any]:
    said = {"chosen": replies.write(trace), "rejected": replies.write(mistaken.trace)}
    turns = {key: [{"role": "assistant", "content": value}] for key, value in said.items()}
    return {"prompt": [{"role": "user", "content": trace.prompt}], **turns}


# ── stepwise ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _detect_stepwise(row: Row) -> bool:
    return isinstance(row.get("completions"), list) and "labels" in row


def _read_stepwise(row: Row) -> dict[str, Any]:
    """Completions are steps; the answer is a last one `Answer: X`, else what the last one points at, else the last one."""
    said, labels = row.get("completions"), row.get("labels")
    if not isinstance(said, list) or not isinstance(labels, list) or len(labels) != len(said) or not said:
        raise BadRow("wrong_type", "'labels' is not one true or false for each of 'completions'.", "labels")
    for at, (step, label) in enumerate(zip(said, labels, strict=True)):
        text({f"completions.{at}": step}, f"completions.{at}")
        if label != 1:
            shown = "false" if label == 0 else values_type(label)
            message = f"step {at + 1} is labelled {shown}; a trace states its steps as right, so this row cannot be one."
            raise BadRow("wrong_step", message, f"labels.{at}")
    return body(text(row, "prompt"), _reply(said), without(row, "prompt", "completions", "labels"))


def _reply(said: list[str]) -> Reply:
    last = said[-1]
    if last.startswith(replies.ANSWER) and last.removeprefix(replies.ANSWER).strip():
        return Reply(tuple(said[:-1]), last.removeprefix(replies.ANSWER))
    pointed = replies.cued(last)
    return Reply(tuple(said), pointed) if pointed is not None else Reply(tuple(said[:-1]), last)


def label_right(trace: Trace) -> dict[str, Any]:
    completions = _completions(trace)
    return {"prompt": trace.prompt, "completions": completions, "labels": [True] * len(completions)}


def label_mistaken(mistaken: Mistaken) -> dict[str, Any]:
    """A label says whether everything up to and with that step is right: false from the first wrong step on."""
    completions = _completions(mistaken.trace)
    right = len(completions) - 1 if mistaken.step is None else mistaken.step - 1
    labels = [at < right for at in range(len(completions))]
    return {"prompt": mistaken.trace.prompt, "completions": completions, "labels": labels}


def _completions(trace: Trace) -> list[str]:
    return [*(step.content for step in trace.steps), replies.ANSWER + trace.final_answer]


FORMATS = (
    Format("preference", "prompt, chosen, rejected; chosen is the reply", _detect_preference, _read_preference),
    Format("stepwise", "prompt, completions, labels; all labels true", _detect_stepwise, _read_stepwise),
)
