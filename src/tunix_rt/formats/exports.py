"""Traces in the files that trainers read. A row counts once reading it back has given the same prompt, steps and answer."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors
from tunix_rt.formats import replies
from tunix_rt.formats.core import BadRow, Format, Origin, to_trace
from tunix_rt.traces import Trace
from tunix_rt.values import pretty, write_bytes, write_jsonl

DATA = "train.jsonl"


class About(NamedTuple):
    """What the files beside the data say of the dataset."""

    name: str
    digest: str
    description: str
    licence: str
    size: int


class Export(NamedTuple):
    """`reads` names the import format that reads it back; `beside` makes the other files of the folder."""

    name: str
    about: str
    reads: str
    row: Callable[[Trace], dict[str, Any]]
    beside: Callable[[About], dict[str, str]] = lambda about: {}  # noqa: ARG005


def write(export: Export, form: Format, about: About, traces: Iterable[Trace], folder: Path) -> None:
    """The export's files in the folder; Invalid names the first trace the format cannot hold."""
    write_jsonl(folder / DATA, _proved(export, form, traces))
    for name, text in export.beside(about).items():
        write_bytes(folder / name, text.encode())


def _proved(export: Export, form: Format, traces: Iterable[Trace]) -> Iterator[dict[str, Any]]:
    for number, trace in enumerate(traces, start=1):
        try:
            row = export.row(trace)
            same = _told(to_trace(form, row, Origin(DATA, number))) == _told(trace)
        except BadRow as error:
            text = f"trace {number} ({trace.id[:12]}) cannot be exported as {export.name}: {error.message}"
            raise errors.Invalid(text, trace=trace.id, line=number) from error
        if not same:
            text = f"trace {number} ({trace.id[:12]}) cannot be exported as {export.name}: it would not read back the same."
            raise errors.Invalid(text, trace=trace.id, line=number)
        yield row


def _told(trace: Trace) -> tuple[str, list[str], str]:
    return trace.prompt, [step.content for step in trace.steps], trace.final_answer


def _completion(trace: Trace) -> dict[str, Any]:
    return {"prompt": trace.prompt, "completion": replies.write(trace)}


def _messages(prompt: str, **reply: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", **reply}]}


def _plain(trace: Trace) -> dict[str, Any]:
    return _messages(trace.prompt, content=replies.write(trace))


def _apart(trace: Trace) -> dict[str, Any]:
    return _messages(trace.prompt, reasoning_content=replies.write_reasoning(trace), content=trace.final_answer)


def _thought(trace: Trace) -> dict[str, Any]:
    return _messages(trace.prompt, content=replies.write_thought(trace))


def _sharegpt(trace: Trace) -> dict[str, Any]:
    turns = [{"from": "human", "value": trace.prompt}, {"from": "gpt", "value": replies.write(trace)}]
    return {"conversations": turns}


def _alpaca(trace: Trace) -> dict[str, Any]:
    return {"instruction": trace.prompt, "input": "", "output": replies.write(trace)}


def _gemma(trace: Trace) -> dict[str, Any]:
    turn = "<start_of_turn>{}\n{}<end_of_turn>\n"
    return {"text": turn.format("user", trace.prompt) + turn.format("model", replies.write(trace))}


def _info_sharegpt(about: About) -> dict[str, str]:
    tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
    entry = {"file_name": DATA, "formatting": "sharegpt", "columns": {"messages": "conversations"}, "tags": tags}
    return {"dataset_info.json": pretty({about.name: entry})}


def _info_alpaca(about: About) -> dict[str, str]:
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    return {"dataset_info.json": pretty({about.name: {"file_name": DATA, "formatting": "alpaca", "columns": columns}})}


def _axolotl(_about: About) -> dict[str, str]:
    lines = (
        "# Put this into the Axolotl configuration; `path` is relative to where it is run.",
        "datasets:",
        f"  - path: {DATA}",
        "    ds_type: json",
        "    type: chat_template",
        "    field_messages: messages",
        "    message_property_mappings:",
        "      role: role",
        "      content: content",
        '    roles_to_train: ["assistant"]',
    )
    return {"axolotl.yaml": "\n".join(lines) + "\n"}


_ALL = (
    Export("trl-prompt-completion", "TRL: prompt, completion", "prompt-completion", _completion),
    Export("trl-messages", "TRL: messages, the reply in full as content", "messages", _plain),
    Export("trl-messages-reasoning", "messages with the steps as reasoning_content", "messages", _apart),
    Export("trl-messages-think", "messages with the steps in <think>", "messages", _thought),
    Export("openai-chat", "OpenAI chat fine-tuning: messages only", "messages", _plain),
    Export("sharegpt", "LLaMA-Factory sharegpt, with dataset_info.json", "sharegpt", _sharegpt, _info_sharegpt),
    Export("alpaca", "LLaMA-Factory alpaca, with dataset_info.json", "alpaca", _alpaca, _info_alpaca),
    Export("axolotl", "Axolotl chat_template, with its dataset entry", "messages", _plain, _axolotl),
    Export("gemma", "one text of Gemma turns, as Tunix trains on", "gemma", _gemma),
)
EXPORTS: dict[str, Export] = {export.name: export for export in _ALL}
PARQUET = "hf-parquet"
NAMES: dict[str, str] = {**{name: export.about for name, export in EXPORTS.items()}, PARQUET: "Hugging Face folder with README"}


def card(about: About) -> str:
    """The README of a Hugging Face dataset folder."""
    header = ["---", f"license: {about.licence.lower()}", "task_categories:", "- text-generation"]
    header += [
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*.parquet",
        "---",
    ]
    text = f"""
# {about.name}

{about.description}

{about.size} reasoning traces: a prompt, numbered steps with their types and machine-checkable claims, a final answer.
Licence: {about.licence}. Written by tunix-rt from the dataset with digest `{about.digest}`.

| column | holds |
|---|---|
| `trace_version` | version of the trace format |
| `prompt` | the question |
| `steps` | a list of `i`, `type`, `content`, and `claims` as JSON text |
| `final_answer` | the answer |
| `meta` | everything else, as JSON text |
"""
    return "\n".join(header) + "\n" + text
