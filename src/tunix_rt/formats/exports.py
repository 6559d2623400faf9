"""Traces in the files that trainers read. A row counts once reading it back has given the same prompt, steps and answer."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors
from tunix_rt.formats import feedback, kaggle, replies
from tunix_rt.formats.core import BadRow, Format, Origin, to_trace
from tunix_rt.formats.feedback import Mistaken
from tunix_rt.traces import Trace
from tunix_rt.values import pretty, write_bytes, write_jsonl

DATA = "train.jsonl"
Written = dict[str, Any]


class About(NamedTuple):
    """What the files beside the data say of the dataset. `owner` is the account a folder is to be uploaded to."""

    name: str
    digest: str
    description: str
    licence: str
    size: int
    owner: str | None = None


class Item(NamedTuple):
    """A trace and its line in the dataset; `mistaken` is its wrong version, for exports that pair the two."""

    line: int
    trace: Trace
    mistaken: Mistaken | None = None


class Export(NamedTuple):
    """`reads` names the import format that reads it back; `beside` makes the other files of the folder.

    The first of `rows` reads back as the trace. A paired export has none for a trace without a wrong version, or a further one
    that states the wrong version as wrong, and so is refused when read.
    """

    name: str
    about: str
    reads: str
    rows: Callable[[Item], list[Written]]
    beside: Callable[[About], dict[str, str]] = lambda about: {}  # noqa: ARG005
    paired: bool = False


def write(export: Export, form: Format, about: About, items: Iterable[Item], folder: Path) -> int:
    """The export's files in the folder, and how many rows they hold; Invalid names the first trace the format cannot hold."""
    written = 0

    def rows() -> Iterator[Written]:
        nonlocal written
        for item in items:
            for row in _proved(export, form, item):
                written += 1
                yield row

    write_jsonl(folder / DATA, rows())
    for name, text in export.beside(about).items():
        write_bytes(folder / name, text.encode())
    return written


def _proved(export: Export, form: Format, item: Item) -> list[Written]:
    trace, origin = item.trace, Origin(DATA, item.line)
    named = f"trace {item.line} ({trace.id[:12]}) cannot be exported as {export.name}"
    try:
        rows = export.rows(item)
        same = all(_told(to_trace(form, row, origin)) == _told(trace) for row in rows[:1])
    except BadRow as error:
        raise errors.Invalid(f"{named}: {error.message}", trace=trace.id, line=item.line) from error
    if not same or not all(_states_a_wrong_step(form, row, origin) for row in rows[1:]):
        raise errors.Invalid(f"{named}: it would not read back the same.", trace=trace.id, line=item.line)
    return rows


def _states_a_wrong_step(form: Format, row: Written, origin: Origin) -> bool:
    try:
        to_trace(form, row, origin)
    except BadRow as error:
        return error.code == "wrong_step"
    return False


def _told(trace: Trace) -> tuple[str, list[str], str]:
    return trace.prompt, [step.content for step in trace.steps], trace.final_answer


def _one(row: Callable[[Trace], Written]) -> Callable[[Item], list[Written]]:
    return lambda item: [row(item.trace)]


def _prefer(row: Callable[[Trace, Mistaken], Written]) -> Callable[[Item], list[Written]]:
    return lambda item: [row(item.trace, item.mistaken)] if item.mistaken else []


def _stepwise(item: Item) -> list[Written]:
    wrong = [feedback.label_mistaken(item.mistaken)] if item.mistaken else []
    return [feedback.label_right(item.trace), *wrong]


def _completion(trace: Trace) -> Written:
    return {"prompt": trace.prompt, "completion": replies.write(trace)}


def _messages(prompt: str, **reply: str) -> Written:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", **reply}]}


def _plain(trace: Trace) -> Written:
    return _messages(trace.prompt, content=replies.write(trace))


def _apart(trace: Trace) -> Written:
    return _messages(trace.prompt, reasoning_content=replies.write_reasoning(trace), content=trace.final_answer)


def _thought(trace: Trace) -> Written:
    return _messages(trace.prompt, content=replies.write_thought(trace))


def _sharegpt(trace: Trace) -> Written:
    turns = [{"from": "human", "value": trace.prompt}, {"from": "gpt", "value": replies.write(trace)}]
    return {"conversations": turns}


def _alpaca(trace: Trace) -> Written:
    return {"instruction": trace.prompt, "input": "", "output": replies.write(trace)}


def _gemma(trace: Trace) -> Written:
    turn = "<start_of_turn>{}\n{}<end_of_turn>\n"
    return {"text": turn.format("user", trace.prompt) + turn.format("model", replies.write(trace))}


def _trajectory(trace: Trace) -> Written:
    """ATIF 1.7: one step of the user, one of the agent. The agent is whoever wrote the trace; its version is the format's."""
    user = {"step_id": 1, "source": "user", "message": trace.prompt}
    thought = replies.write_reasoning(trace)
    agent = {"step_id": 2, "source": "agent", "message": trace.final_answer, "reasoning_content": thought}
    return {
        "schema_version": "ATIF-v1.7",
        "trajectory_id": trace.id,
        "agent": {"name": "tunix-rt", "version": f"trace-{trace.trace_version}"},
        "steps": [user, agent],
    }


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


def _kaggle(about: About) -> dict[str, str]:
    return {kaggle.METADATA: pretty(kaggle.metadata(about.name, about.description, about.licence, about.owner, DATA))}


_ALL = (
    Export("trl-prompt-completion", "TRL: prompt, completion", "prompt-completion", _one(_completion)),
    Export("trl-messages", "TRL: messages, the reply in full as content", "messages", _one(_plain)),
    Export("trl-messages-reasoning", "messages with the steps as reasoning_content", "messages", _one(_apart)),
    Export("trl-messages-think", "messages with the steps in <think>", "messages", _one(_thought)),
    Export(
        "trl-preference",
        "TRL: prompt, chosen, rejected; rejected has one seeded mistake",
        "preference",
        _prefer(feedback.prefer),
        paired=True,
    ),
    Export("trl-preference-messages", "the same as messages", "preference", _prefer(feedback.prefer_messages), paired=True),
    Export("trl-stepwise", "TRL: prompt, completions, labels; right and wrong rows", "stepwise", _stepwise, paired=True),
    Export("openai-chat", "OpenAI chat fine-tuning: messages only", "messages", _one(_plain)),
    Export("sharegpt", "LLaMA-Factory sharegpt, with dataset_info.json", "sharegpt", _one(_sharegpt), _info_sharegpt),
    Export("alpaca", "LLaMA-Factory alpaca, with dataset_info.json", "alpaca", _one(_alpaca), _info_alpaca),
    Export("axolotl", "Axolotl chat_template, with its dataset entry", "messages", _one(_plain), _axolotl),
    Export("gemma", "one text of Gemma turns, as Tunix trains on", "gemma", _one(_gemma)),
    Export("atif", "agent trajectories, ATIF 1.7", "atif", _one(_trajectory)),
    Export("kaggle", "Kaggle dataset folder with dataset-metadata.json", "tunix-rt", _one(Trace.line), _kaggle),
)
EXPORTS: dict[str, Export] = {export.name: export for export in _ALL}
PARQUET = "hf-parquet"
NAMES: dict[str, str] = {**{name: export.about for name, export in EXPORTS.items()}, PARQUET: "Hugging Face folder with README"}
