"""What other tools log of a model's work: agent trajectories, spans, evaluation samples.

Sources of the field names: ATIF 1.x as published by Harbor; the OpenTelemetry GenAI conventions for input and output messages;
OpenInference's message attributes; Inspect's EvalSample; lm-evaluation-harness's per-sample files.
"""

import re
from collections.abc import Mapping
from typing import Any

from tunix_rt.formats import chat, replies, strict
from tunix_rt.formats.chat import Turn
from tunix_rt.formats.core import BadRow, Format, Row, body, text, values_type, without

_ATTACHMENT = "attachment://"
_MESSAGE = re.compile(r"llm\.(input|output)_messages\.([0-9]{1,6})\.message\.(.+)")
_CONTENT = re.compile(r"contents\.([0-9]{1,6})\.message_content\.(type|text)")


def _detect_atif(row: Row) -> bool:
    version = row.get("schema_version")
    return isinstance(version, str) and version.startswith("ATIF-v1.")


def _read_atif(row: Row) -> dict[str, Any]:
    """The message of the one user step and the reply of the one agent step; a trajectory that uses tools is refused."""
    steps = row.get("steps")
    if not isinstance(steps, list) or not steps:
        raise BadRow("wrong_type", f"'steps' is {values_type(steps)}, expected a list of steps.", "steps")
    turns = [_atif_turn(step, f"steps.{at}") for at, step in enumerate(steps)]
    prompt, reply, system = chat.exchange(turns)
    return body(prompt, reply, without(row, "steps"), system=system)


def _atif_turn(step: object, where: str) -> Turn:
    if not isinstance(step, dict):
        raise BadRow("wrong_type", f"{where!r} is {values_type(step)}, expected an object.", where)
    if step.get("is_copied_context"):
        raise BadRow("copied_context", f"{where!r} is copied from another trajectory, which ATIF keeps out of training.", where)
    if step.get("observation"):
        raise BadRow("tool_turn", f"{where!r} observes a tool; a trace holds one question and one reply.", where)
    renamed = {"role": step.get("source"), "content": step.get("message")}
    return chat.message({**step, **renamed}, where)


def _attributes(row: Row) -> Mapping[str, Any]:
    """A span's attributes: an object, a list of keys and typed values as OTLP has it, or the row itself."""
    found = row.get("attributes")
    if isinstance(found, list):
        return _keyed(found)
    return found if isinstance(found, dict) else row


def _keyed(pairs: object) -> dict[str, Any]:
    rows = pairs if isinstance(pairs, list) else []
    return {row["key"]: _plain(row.get("value")) for row in rows if isinstance(row, dict) and isinstance(row.get("key"), str)}


def _plain(value: object) -> Any:
    """An OTLP value: `{"stringValue": "x"}` and its kin; whole numbers are text there."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, held),) = value.items()
    if kind == "intValue" and isinstance(held, str) and held.lstrip("-").isdecimal() and len(held) < 20:
        return int(held)
    if kind == "arrayValue" and isinstance(held, dict):
        values = held.get("values")
        return [_plain(each) for each in values] if isinstance(values, list) else []
    if kind == "kvlistValue" and isinstance(held, dict):
        return _keyed(held.get("values"))
    return held if kind.endswith("Value") else value


def _detect_genai(row: Row) -> bool:
    found = _attributes(row)
    return "gen_ai.input.messages" in found or "gen_ai.output.messages" in found


def _read_genai(row: Row) -> dict[str, Any]:
    """Both attributes may be JSON text, as spans record them."""
    found = _attributes(row)
    names = ("gen_ai.input.messages", "gen_ai.output.messages")
    turns = [turn for name in names for turn in _genai_turns(found.get(name), name)]
    told = found.get("gen_ai.system_instructions")
    if told:
        said, _ = _genai_parts(strict.nested(told, "gen_ai.system_instructions"), "gen_ai.system_instructions")
        turns.insert(0, Turn("system", said))
    prompt, reply, system = chat.exchange(turns)
    return body(prompt, reply, without(found, *names, "gen_ai.system_instructions"), system=system)


def _genai_turns(value: object, where: str) -> list[Turn]:
    found = strict.nested(value, where)
    if not isinstance(found, list) or not found:
        raise BadRow("wrong_type", f"{where!r} is {values_type(found)}, expected a list of messages.", where)
    turns = []
    for at, each in enumerate(found):
        if not isinstance(each, dict) or not isinstance(each.get("role"), str):
            raise BadRow("missing_field", f"'{where}.{at}' has no 'role'.", f"{where}.{at}.role")
        turns.append(Turn(each["role"], *_genai_parts(each.get("parts"), f"{where}.{at}.parts")))
    return turns


def _genai_parts(value: object, where: str) -> tuple[str, str]:
    if not isinstance(value, list):
        raise BadRow("wrong_type", f"{where!r} is {values_type(value)}, expected a list of parts.", where)
    if any(isinstance(part, dict) and part.get("type") in ("tool_call", "tool_call_response") for part in value):
        raise BadRow("tool_turn", f"{where!r} calls a tool; a trace holds one question and one reply.", where)
    return chat.parts(value, where)


def _detect_openinference(row: Row) -> bool:
    return any(key.startswith("llm.input_messages.") for key in _attributes(row))


def _read_openinference(row: Row) -> dict[str, Any]:
    """Flattened attributes of an LLM span: `llm.input_messages.0.message.role` and so on."""
    found, messages = _attributes(row), dict[tuple[str, int], dict[str, Any]]()
    for key, value in found.items():
        if match := _MESSAGE.fullmatch(key):
            messages.setdefault((match[1], int(match[2])), {})[match[3]] = value
    turns = [_openinference_turn(messages[key], f"llm.{key[0]}_messages.{key[1]}") for key in sorted(messages)]
    prompt, reply, system = chat.exchange(turns)
    kept = {key: value for key, value in found.items() if not _MESSAGE.fullmatch(key)}
    return body(prompt, reply, kept, system=system)


def _openinference_turn(message: dict[str, Any], where: str) -> Turn:
    if any(key.startswith("tool_call") for key in message):
        raise BadRow("tool_turn", f"{where!r} calls a tool; a trace holds one question and one reply.", where)
    parts: dict[int, dict[str, Any]] = {}
    for key, value in message.items():
        if match := _CONTENT.fullmatch(key):
            parts.setdefault(int(match[1]), {})[match[2]] = value
    content = message.get("content", [parts[at] for at in sorted(parts)])
    return chat.message({"role": message.get("role"), "content": content}, where)


def _detect_inspect(row: Row) -> bool:
    return {"input", "target", "output", "epoch"} <= set(row)


def _read_inspect(row: Row) -> dict[str, Any]:
    """One sample of an Inspect log: what the model said, right or wrong; its target stays in `meta.extra`."""
    if row.get("error"):
        raise BadRow("failed_sample", "the sample ended with an error, so its last message is not the model's reply.", "error")
    turns = chat.turns(_attached(row.get("messages"), row.get("attachments")), "messages")
    prompt, reply, system = chat.exchange(turns)
    left = without(row, "messages", "output", "events", "events_data", "input", "attachments")
    return body(prompt, reply, left, system=system)


def _attached(value: Any, attachments: object) -> Any:
    """The value with long texts put back: a log keeps them aside, and `attachment://<digest>` in their place."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        found = attachments.get(value.removeprefix(_ATTACHMENT)) if isinstance(attachments, dict) else None
        if not isinstance(found, str):
            raise BadRow("missing_field", f"the log does not hold the text of {value[:80]!r}.", "attachments")
        return found
    if isinstance(value, dict):
        return {key: _attached(inner, attachments) for key, inner in value.items()}
    return [_attached(inner, attachments) for inner in value] if isinstance(value, list) else value


def _detect_lm_eval(row: Row) -> bool:
    return {"doc_id", "doc", "arguments", "resps"} <= set(row)


def _read_lm_eval(row: Row) -> dict[str, Any]:
    """The first response of a generation task; likelihood tasks hold no text and are refused."""
    try:
        prompt, said = row["arguments"]["gen_args_0"]["arg_0"], row["resps"][0][0]
    except (KeyError, IndexError, TypeError) as error:
        message = "'arguments' and 'resps' hold no prompt and response (gen_args_0.arg_0 and resps[0][0])."
        raise BadRow("missing_field", message, "resps") from error
    if not isinstance(said, str):
        raise BadRow("not_text", f"'resps' holds {values_type(said)} for a response: not a generation task.", "resps")
    return body(prompt, replies.parse(text({"resps": said}, "resps")), without(row, "arguments", "resps", "filtered_resps"))


FORMATS = (
    Format("atif", "agent trajectories of one question and one reply, ATIF 1.x", _detect_atif, _read_atif),
    Format("otel-genai", "OpenTelemetry GenAI spans with their messages", _detect_genai, _read_genai),
    Format("openinference", "OpenInference LLM spans, flattened attributes", _detect_openinference, _read_openinference),
    Format("inspect", "samples of Inspect logs", _detect_inspect, _read_inspect),
    Format("lm-eval", "lm-evaluation-harness samples of generation tasks", _detect_lm_eval, _read_lm_eval),
)
