"""Conversations: OpenAI and TRL messages, their reasoning fields, sharegpt turns, Gemma turn text.

A trace holds one question and one reply. A conversation of several questions, or one that uses tools, is refused by name: to
keep only a part of it would change what the reply answers.
"""

import re
from typing import Any, NamedTuple

from tunix_rt.formats import replies
from tunix_rt.formats.core import BadRow, Format, Reply, Row, body, text, values_type, without

REASONING = ("reasoning_content", "reasoning", "thinking")
_ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "agent": "assistant",
    "developer": "system",
}
_TURN = re.compile(
    r"(?:<bos>)?<start_of_turn>user\n(.*?)<end_of_turn>\n<start_of_turn>model\n(.*?)(?:<end_of_turn>\n?)?", re.DOTALL
)


class Turn(NamedTuple):
    role: str
    content: str
    reasoning: str = ""


def exchange(turns: list[Turn]) -> tuple[str, Reply, str]:
    """(prompt, reply, system text) of a conversation of one question."""
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    strange = next((turn.role for turn in rest if turn.role not in ("user", "assistant")), None)
    if strange is not None:
        code = "tool_turn" if strange in ("tool", "function", "observation", "function_call") else "bad_role"
        raise BadRow(code, f"a turn has the role {strange!r}; a trace holds one question and one reply.", "role")
    if [turn.role for turn in rest] != ["user", "assistant"]:
        shape = ", ".join(turn.role for turn in rest[:6]) or "none"
        code = "several_turns" if len(rest) > 2 else "no_exchange"
        raise BadRow(code, f"the turns are: {shape}; a trace holds one question and one reply.", "role")
    question, answer = rest
    reply = replies.with_reasoning(answer.reasoning, answer.content) if answer.reasoning else replies.parse(answer.content)
    return question.content, reply, system


def message(value: object, where: str) -> Turn:
    """One `{"role", "content"}` message, whose content is text or a list of parts."""
    if not isinstance(value, dict):
        raise BadRow("wrong_type", f"{where!r} is {values_type(value)}, expected an object.", where)
    role, content = value.get("role"), value.get("content")
    if not isinstance(role, str):
        raise BadRow("missing_field", f"{where!r} has no 'role'.", f"{where}.role")
    if value.get("tool_calls"):
        raise BadRow("tool_turn", f"{where!r} calls a tool; a trace holds one question and one reply.", f"{where}.tool_calls")
    said, thought = parts(content, f"{where}.content")
    given = [value[key] for key in REASONING if isinstance(value.get(key), str) and value[key].strip()]
    return Turn(_ROLES.get(role, role), said, given[0] if given else thought)


def parts(content: object, where: str) -> tuple[str, str]:
    """(text, reasoning) of message content: text, or a list of typed parts. Parts that are no text are refused."""
    if isinstance(content, str):
        return content, ""
    if content is None:
        return "", ""
    if not isinstance(content, list):
        raise BadRow("wrong_type", f"{where!r} is {values_type(content)}, expected text.", where)
    said, thought = [], []
    for at, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "output_text", "input_text"):
            said.append(_part(part, ("text", "content"), f"{where}.{at}"))
        elif kind in ("thinking", "reasoning"):
            thought.append(_part(part, ("thinking", "reasoning", "text", "content"), f"{where}.{at}"))
        else:
            raise BadRow("not_text", f"'{where}.{at}' is a part of type {kind!r}; only text and reasoning are read.", where)
    return "\n\n".join(said), "\n\n".join(thought)


def _part(part: dict[str, Any], keys: tuple[str, ...], where: str) -> str:
    for key in keys:
        if isinstance(part.get(key), str):
            return str(part[key])
    raise BadRow("missing_field", f"{where!r} holds no text.", where)


def turns(value: object, where: str) -> list[Turn]:
    if not isinstance(value, list) or not value:
        raise BadRow("wrong_type", f"{where!r} is {values_type(value)}, expected a list of turns.", where)
    return [message(each, f"{where}.{at}") for at, each in enumerate(value)]


def _detect_messages(row: Row) -> bool:
    return "messages" in row and "generations" not in row


def _read_messages(row: Row) -> dict[str, Any]:
    prompt, reply, system = exchange(turns(row.get("messages"), "messages"))
    return body(prompt, reply, without(row, "messages"), system=system)


def _read_sharegpt(row: Row) -> dict[str, Any]:
    found, told = sharegpt_turns(row), row.get("system")
    if isinstance(told, str) and told.strip():
        found.insert(0, Turn("system", told))
    prompt, reply, system = exchange(found)
    return body(prompt, reply, without(row, "conversations", "system"), system=system)


def sharegpt_turns(row: Row) -> list[Turn]:
    value = row.get("conversations")
    if not isinstance(value, list) or not value:
        raise BadRow("wrong_type", f"'conversations' is {values_type(value)}, expected a list of turns.", "conversations")
    return [sharegpt_turn(each, f"conversations.{at}") for at, each in enumerate(value)]


def sharegpt_turn(value: object, where: str) -> Turn:
    if isinstance(value, dict) and "role" in value:
        return message(value, where)
    if not isinstance(value, dict) or not isinstance(value.get("from"), str) or not isinstance(value.get("value"), str):
        raise BadRow("wrong_type", f"{where!r} needs the texts 'from' and 'value'.", where)
    return Turn(_ROLES.get(value["from"]) or str(value["from"]), value["value"])


def _detect_gemma(row: Row) -> bool:
    return isinstance(row.get("text"), str) and "<start_of_turn>user\n" in row["text"]


def _read_gemma(row: Row) -> dict[str, Any]:
    match = _TURN.fullmatch(text(row, "text"))
    if match is None:
        raise BadRow("bad_turns", "'text' is not one user turn followed by one model turn.", "text")
    if "<start_of_turn>" in match[1] + match[2]:
        raise BadRow("several_turns", "'text' has several turns; a trace holds one question and one reply.", "text")
    return body(match[1], replies.parse(match[2]), without(row, "text"))


FORMATS = (
    Format("messages", "OpenAI and TRL messages; reasoning fields, parts, tags", _detect_messages, _read_messages),
    Format("sharegpt", "conversations of from/value turns", lambda row: "conversations" in row, _read_sharegpt),
    Format("gemma", "one text of Gemma turns", _detect_gemma, _read_gemma),
)
