"""Langfuse exports: observations and traces, from the table's export, blob storage (snake_case) or the public API (camelCase).

Source of the field names: Langfuse's public API and its blob storage export fields. `input` and `output` hold whatever the
instrumented program sent; they are read where they are text or messages, and refused by name where they are anything else.
"""

from typing import Any

from tunix_rt.formats import chat, strict
from tunix_rt.formats.chat import Turn
from tunix_rt.formats.core import BadRow, Format, Row, body, values_type, without

_CALL = "GENERATION"
_OF_TRACE = frozenset({"tags", "bookmarked", "sessionId", "session_id", "userId", "user_id", "htmlPath"})


def _detect(row: Row) -> bool:
    if isinstance(row.get("trace"), dict) and isinstance(row.get("observations"), list):
        return True
    if not {"input", "output"} <= set(row):
        return False
    of_observation = ("traceId" in row or "trace_id" in row) and "type" in row
    return of_observation or ("timestamp" in row and not _OF_TRACE.isdisjoint(row))


def _read(row: Row) -> dict[str, Any]:
    """One model call: the observation itself, the only generation inside a trace, or a trace's own input and output."""
    if isinstance(row.get("trace"), dict):
        row = {**row["trace"], "observations": row.get("observations")}
    kind = row.get("type")
    if isinstance(kind, str) and kind.upper() != _CALL:
        raise BadRow("not_generation", f"the observation is of type {kind!r}; only a {_CALL} holds a model's reply.", "type")
    found, kept = row, without(row, "input", "output", "observations")
    inside = row.get("observations")
    if isinstance(inside, list) and any(isinstance(each, dict) for each in inside):
        found = _only_call(inside)
        kept = {**kept, "observation": without(found, "input", "output")}
    turns = [*_turns(found.get("input"), "input", "user"), *_turns(found.get("output"), "output", "assistant")]
    prompt, reply, system = chat.exchange(turns)
    return body(prompt, reply, kept, system=system)


def _only_call(observations: list[Any]) -> Row:
    calls = [each for each in observations if isinstance(each, dict) and each.get("type") == _CALL]
    if len(calls) != 1:
        code = "several_turns" if calls else "not_generation"
        raise BadRow(
            code, f"the trace has {len(calls)} observations of type {_CALL}; export observations instead.", "observations"
        )
    called: Row = calls[0]
    return called


def _turns(value: object, where: str, role: str) -> list[Turn]:
    """Messages, or text which may itself be the JSON of messages."""
    found = _unpacked(value)
    if isinstance(found, dict) and isinstance(found.get("messages"), list):
        found = found["messages"]
    if isinstance(found, str) and found.strip():
        return [Turn(role, found)]
    if isinstance(found, dict) and "content" in found:
        return [chat.message({"role": role, **found}, where)]
    if isinstance(found, list) and found:
        return chat.turns(found, where)
    shown = "missing" if value in (None, "") else f"{values_type(found)} without messages"
    raise BadRow("no_exchange", f"{where!r} is {shown}; text or messages are read.", where)


def _unpacked(value: object) -> object:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        found = strict.loads(value)
    except BadRow:
        return value
    messages = found.get("messages", [found]) if isinstance(found, dict) else found
    listed = isinstance(messages, list) and bool(messages)
    return found if listed and all(isinstance(each, dict) and "content" in each for each in messages) else value


FORMATS = (Format("langfuse", "Langfuse generations: input and output messages", _detect, _read),)
