"""The trained part is the declared one, for every trace; a tokenizer that loses text is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, jobs, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import masks, packing
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Batch, Inputs, MaskJob
from tunix_rt.models import BaseModel
from tunix_rt.scoring import ReplyFormat
from tunix_rt.traces import Step, Trace


def prove(
    tiny: BaseModel,
    dataset: Dataset,
    folder: Path,
    instruction: str = jobs.INSTRUCTION,
    row_tokens: int = 256,
    form: Any = "numbered",
) -> dict[str, Any]:
    job = MaskJob(
        model="tiny",
        model_digest=tiny.digest,
        dataset=dataset.manifest.name,
        dataset_digest=dataset.manifest.digest,
        format=form,
        instruction=instruction,
        row_tokens=row_tokens,
    )
    return masks.prove(job, Inputs(model=tiny.folder, dataset=dataset.path.parent), folder)


def test_the_proof_counts_what_is_trained(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    facts = prove(tiny, sums, tmp_path)
    assert facts["traces"] == 64
    assert 0 < facts["trained_tokens"] < facts["tokens"]
    for _, row in values.read_jsonl(tmp_path / masks.PREVIEW):
        trained = "".join(token["text"] for token in row["tokens"] if token["trained"])
        assert trained.startswith("1. ")
        assert trained.endswith("<|im_end|>")
        assert "Answer: " in trained
        assert "".join(token["text"] for token in row["tokens"] if not token["trained"]).endswith("<|im_start|>assistant\n")


def test_the_digest_follows_the_tokens(tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, tmp_path: Path) -> None:
    first = prove(tiny, sums, tmp_path)["mask_digest"]
    assert prove(tiny, sums, tmp_path)["mask_digest"] == first
    assert prove(tiny, unseen_sums, tmp_path)["mask_digest"] != first
    assert prove(tiny, sums, tmp_path, "Answer.")["mask_digest"] != first


class Shortened(Prompts):
    """A broken renderer: it loses the last token before the end of the turn."""

    def example(self, trace: Trace) -> Example:
        whole = super().example(trace)
        return Example(whole.id, (*whole.tokens[:-2], whole.tokens[-1]), whole.prefix)


def test_a_trained_part_that_is_not_the_declared_one_is_refused(tiny: BaseModel, sums: Dataset) -> None:
    trace = next(traces.read(sums.path))
    assert masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace).id == trace.id
    with pytest.raises(errors.Failed, match="not the declared steps and answer"):
        masks.conforming(Shortened(tiny.folder, jobs.INSTRUCTION), trace)


def test_text_that_holds_a_special_token_is_refused(tiny: BaseModel) -> None:
    """Written into a step, an end-of-turn token would end the reply in the middle."""
    trace = Trace(prompt="Say it.", steps=(Step(i=1, type="compute", content="a <|im_end|> b"),), final_answer="b")
    with pytest.raises(errors.Failed, match="not the declared steps and answer"):
        masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace)


class Moved(Prompts):
    """A mask that begins a token late, or early."""

    by = 1

    def example(self, trace: Trace) -> Example:
        whole = super().example(trace)
        return whole._replace(prefix=whole.prefix + self.by)


class Early(Moved):
    by = -1


@pytest.mark.parametrize("broken", [Moved, Early])
def test_a_mask_that_is_off_by_one_token_is_refused(tiny: BaseModel, sums: Dataset, broken: type[Prompts]) -> None:
    trace = next(traces.read(sums.path))
    with pytest.raises(errors.Failed, match="training prefix is not the inference prefix"):
        masks.conforming(broken(tiny.folder, jobs.INSTRUCTION), trace)


class Silent(Prompts):
    """A renderer that leaves nothing but the end of the turn."""

    def example(self, trace: Trace) -> Example:
        whole = super().example(trace)
        return Example(whole.id, (*whole.tokens[: whole.prefix], whole.tokens[-1]), whole.prefix)


def test_a_trace_with_nothing_to_train_on_is_refused(tiny: BaseModel, sums: Dataset) -> None:
    with pytest.raises(errors.Failed, match="there is nothing to train on"):
        masks.conforming(Silent(tiny.folder, jobs.INSTRUCTION), next(traces.read(sums.path)))


REPLY = "{{ m['content'] }}"
TEMPLATES = {
    "drops the reply's first character": "{{ m['content'][1:] if m['role'] == 'assistant' else m['content'] }}",
    "strips lines from the reply": "{{ m['content'].split('\n')[-1] if m['role'] == 'assistant' else m['content'] }}",
    "writes the question otherwise when it is answered": (
        "{{ m['content'] if m['role'] != 'user' or not messages[-1]['role'] == 'assistant' else m['content'] ~ '!' }}"
    ),
}


def templated(tiny: BaseModel, folder: Path, content: str) -> Prompts:
    """The tiny tokenizer with a chat template that writes a message's content in this way."""
    shutil.copytree(tiny.folder, folder)
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n" + content + "<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    config = values.read_json(folder / "tokenizer_config.json")
    config.pop("chat_template", None)
    values.write_json(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return Prompts(folder, jobs.INSTRUCTION)


def test_a_sound_template_passes(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    trace = next(traces.read(sums.path))
    assert masks.conforming(templated(tiny, tmp_path / "sound", REPLY), trace).id == trace.id


@pytest.mark.parametrize("content", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_that_rewrites_the_conversation_is_refused(
    tiny: BaseModel, sums: Dataset, tmp_path: Path, content: str
) -> None:
    with pytest.raises(errors.Failed, match="chat template writes the conversation another way"):
        masks.conforming(templated(tiny, tmp_path / "broken", content), next(traces.read(sums.path)))


THINKING = (
    "{% for m in messages %}{% set said = m['content'] %}{% set thought = '' %}"
    "{% if m['role'] == 'assistant' and '</think>' in said %}"
    "{% set thought = said.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ said }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


@pytest.mark.parametrize("form", ["numbered", "think", "tags"])
@pytest.mark.parametrize("template", ["plain", "of a thinking model"])
def test_every_format_is_proved_with_plain_and_thinking_templates(
    tiny: BaseModel, sums: Dataset, tmp_path: Path, form: ReplyFormat, template: str
) -> None:
    """As Qwen 3's template, one takes the thought apart and asks for an empty one where replies have none."""
    folder = tiny.folder
    if template != "plain":
        folder = Path(shutil.copytree(tiny.folder, tmp_path / "thinking"))
        config = values.read_json(folder / "tokenizer_config.json")
        values.write_json(folder / "tokenizer_config.json", {**config, "chat_template": THINKING})
    prompts = Prompts(folder, jobs.INSTRUCTIONS[form], form)
    trace = next(traces.read(sums.path))
    example = masks.conforming(prompts, trace)
    assert prompts.decode(list(example.tokens[example.prefix :])) == prompts.reply(trace)
    empty = prompts.prefix(trace.prompt).endswith("</think>\n\n")
    assert empty == (template != "plain" and form != "think")


def test_a_format_that_a_model_is_not_told_of_is_refused(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    """Many templates drop the thoughts of a conversation: then what is taught is not what the template writes."""
    dropping = "{{ m['content'].split('</think>')[-1].strip() if m['role'] == 'assistant' else m['content'] }}"
    prompts = templated(tiny, tmp_path / "dropping", dropping)
    trace = next(traces.read(sums.path))
    assert masks.conforming(prompts, trace)
    with pytest.raises(errors.Failed, match="chat template writes the conversation another way"):
        masks.conforming(Prompts(tmp_path / "dropping", jobs.INSTRUCTION, "think"), trace)


def test_a_trace_that_the_format_cannot_hold_is_named(tiny: BaseModel) -> None:
    trace = Trace(prompt="Say it.", steps=(Step(i=1, type="compute", content="write </think> here"),), final_answer="b")
    assert masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace)
    with pytest.raises(
        errors.Invalid, match=f"trace {trace.id[:12]}: cannot write 'write </think> here' in the format 'think'"
    ):
        masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION, "think"), trace)


def test_the_proof_follows_the_format(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    found = {form: prove(tiny, sums, tmp_path, form=form) for form in ("numbered", "think", "tags")}
    assert len({facts["mask_digest"] for facts in found.values()}) == 3
    assert found["think"]["trained_tokens"] > found["numbered"]["trained_tokens"]


def test_traces_that_training_would_refuse_are_reported(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    """What is longer than a row is neither cut nor hidden."""
    facts = prove(tiny, sums, tmp_path)
    assert (facts["too_long"], facts["first_too_long"]) == (0, None)
    short = prove(tiny, sums, tmp_path, row_tokens=facts["longest"] - 1)
    assert short["too_long"] >= 1
    assert short["first_too_long"] in {trace.id for trace in traces.read(sums.path)}
    assert short["mask_digest"] == facts["mask_digest"]
    examples = [masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace) for trace in traces.read(sums.path)]
    with pytest.raises(errors.Invalid, match=rf"trace {short['first_too_long'][:12]} has"):
        packing.plan(examples, Batch(row_tokens=facts["longest"] - 1), 0, 1)
