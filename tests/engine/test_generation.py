"""The sampler says what a plain argmax loop says, whatever shares its batch, and counts what was cut off."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_vocabularies import changed

from tunix_rt import errors, jobs, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import asking, generator, masks, weights
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import GenerateJob, Inputs
from tunix_rt.models import BaseModel
from tunix_rt.scoring import render

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NEW_TOKENS = 10
LENGTH = 384


@pytest.fixture(scope="module")
def job(tiny: BaseModel, unseen_sums: Dataset) -> GenerateJob:
    return GenerateJob(
        model="tiny",
        model_digest=tiny.digest,
        evalset=unseen_sums.manifest.name,
        evalset_digest=unseen_sums.manifest.digest,
        limit=7,
        max_new_tokens=NEW_TOKENS,
        batch_size=3,
        device="cpu",
    )


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for _, row in values.read_jsonl(folder / generator.FILE)]


def test_batched_sampling_equals_a_plain_argmax_loop(
    job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path
) -> None:
    generator.generate(job, Inputs(model=tiny.folder, dataset=unseen_sums.path.parent), tmp_path)
    rows = rows_of(tmp_path)
    assert len(rows) == 7
    model: Any = weights.load(tiny.folder)
    prompts = Prompts(tiny.folder, job.instruction)
    mask = jnp.tril(jnp.ones((1, LENGTH, LENGTH), jnp.bool_))
    forward = nnx.jit(lambda called, tokens, positions, seen: called(tokens, positions, None, seen)[0])
    for row in rows:
        tokens = prompts.encode(prompts.prefix(row["prompt"]))
        said: list[int] = []
        while len(said) < NEW_TOKENS:
            padded = jnp.array([tokens + [0] * (LENGTH - len(tokens))])  # one shape; what follows a token does not reach it
            best = int(np.argmax(forward(model, padded, jnp.arange(LENGTH)[None], mask)[0, len(tokens) - 1]))
            if best in prompts.stops:
                break
            said.append(best)
            tokens.append(best)
        assert row["output"] == prompts.decode(said)
        assert (row["tokens"], row["finish"]) == (len(said), "length" if len(said) == NEW_TOKENS else "stop")


def torn_and_resumed(job: GenerateJob, inputs: Inputs, folder: Path) -> tuple[list[str], list[str]]:
    """The items of a whole evaluation, and of one whose third line a kill tore, both sorted; they agree in what was said."""
    generator.generate(job, inputs, folder)
    whole = rows_of(folder)
    (folder / generator.FILE).write_bytes(b"".join(values.jsonl_line(row) for row in whole[:3]) + b'{"item": "torn')
    generator.generate(job, inputs, folder)
    rows = rows_of(folder)
    assert all(row in whole for row in rows)
    return sorted(row["item"] for row in whole), sorted(row["item"] for row in rows)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(
    job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path
) -> None:
    whole, resumed = torn_and_resumed(job, Inputs(model=tiny.folder, dataset=unseen_sums.path.parent), tmp_path)
    assert resumed == whole


def test_an_evaluation_that_does_not_look_at_what_is_finished_is_caught(
    job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control for the test above."""
    real = generator._finished
    monkeypatch.setattr(generator, "_finished", lambda path: real(path) and set())
    whole, resumed = torn_and_resumed(job, Inputs(model=tiny.folder, dataset=unseen_sums.path.parent), tmp_path)
    assert resumed != whole


def test_another_model_or_set_than_the_job_names_is_refused(
    job: GenerateJob, tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(errors.Tampered, match="the job names dataset"):
        generator.generate(job, Inputs(model=tiny.folder, dataset=sums.path.parent), tmp_path)
    wrong = job.model_copy(update={"model_digest": "0" * 64})
    with pytest.raises(errors.Tampered, match="the job names model 000000000000"):
        generator.generate(wrong, Inputs(model=tiny.folder, dataset=unseen_sums.path.parent), tmp_path)


@pytest.mark.parametrize("kind", ["generate", "ask"])
def test_an_item_for_which_the_context_has_no_room_is_refused_by_name(
    kind: str, job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path
) -> None:
    """Before anything is answered; a context of one token more has room for all."""
    items = jobs.spread(list(traces.read(unseen_sums.path)), job.limit)
    prompts = Prompts(tiny.folder, job.instruction)
    sizes = {item.id: len(prompts.encode(prompts.prefix(item.prompt))) for item in items}
    longest = max(sizes, key=lambda item: sizes[item])

    def do(context: int) -> Path:
        base, attempt = changed(tiny, tmp_path / f"m{context}", max_position_embeddings=context), tmp_path / f"a{context}"
        attempt.mkdir()
        inputs = Inputs(model=base.folder, dataset=unseen_sums.path.parent)
        if kind == "generate":
            generator.generate(job.model_copy(update={"model_digest": base.digest}), inputs, attempt)
            return attempt / generator.FILE
        rows = [{"item": item.id, "prompt": item.prompt} for item in items]
        about = {"model": "tiny", "model_digest": base.digest, "max_new_tokens": NEW_TOKENS, "batch_size": 3}
        asking.ask(jobs.asking(attempt, rows, **about), inputs, attempt)
        return attempt / asking.FILE

    room = sizes[longest] + NEW_TOKENS
    message = rf"item {longest[:12]}: {sizes[longest]} tokens are asked and up to 10 .* made for {room - 1} .*'max_new_tokens'"
    with pytest.raises(errors.Invalid, match=message):
        do(room - 1)
    assert len(list(values.read_jsonl(do(room)))) == len(items)


def test_training_and_inference_see_the_same_prefix(tiny: BaseModel, sums: Dataset) -> None:
    prompts = Prompts(tiny.folder, jobs.INSTRUCTION)
    for trace in traces.read(sums.path):
        example = prompts.example(trace)
        prefix = prompts.prefix(trace.prompt)
        assert list(example.tokens[: example.prefix]) == prompts.encode(prefix)
        completion = list(example.tokens[example.prefix :])
        assert completion[-1] == prompts.end_of_turn
        assert prompts.decode(completion) == render([step.content for step in trace.steps], trace.final_answer)
        assert prefix.endswith("<|im_start|>assistant\n")


def test_items_of_a_limited_evaluation_are_spread_evenly() -> None:
    assert jobs.spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert jobs.spread(list(range(3)), 5) == [0, 1, 2]


TEMPLATES = {
    "gemma2": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n'"
        " + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    "qwen3": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n'"
        " + ('<think>\n\n</think>\n\n' if m['role'] == 'assistant' else '')"
        " + m['content'] + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
    ),
}


def retemplated(tiny: BaseModel, folder: Path, template: str) -> Path:
    """The tiny model's tokenizer with another template and two more special tokens."""
    shutil.copytree(tiny.folder, folder, dirs_exist_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    extra = ["<start_of_turn>", "<end_of_turn>"]
    config |= {"chat_template": template, "bos_token": "<|endoftext|>", "extra_special_tokens": extra}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    values.write_json(folder / "config.json", {**values.read_json(folder / "config.json"), "vocab_size": 261})
    return folder


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_turn_ends_as_the_template_ends_it(name: str, tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    """Gemma's turns end before its end of text and have no system role; Qwen 3 writes an empty thought before a plain reply."""
    prompts = Prompts(retemplated(tiny, tmp_path, TEMPLATES[name]), jobs.INSTRUCTION)
    assert prompts.shown([prompts.end_of_turn]) == "<end_of_turn>"
    assert prompts.end_of_turn in prompts.stops
    assert len(prompts.stops) == 3
    trace = next(iter(traces.read(sums.path)))
    assert jobs.INSTRUCTION in prompts.prefix(trace.prompt)
    assert masks.conforming(prompts, trace).tokens[-1] == prompts.end_of_turn


def test_a_template_that_cannot_be_asked_is_refused(tiny: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "none").mkdir()
    endless = "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    with pytest.raises(errors.Invalid, match="not a token that could end the answer"):
        Prompts(retemplated(tiny, tmp_path / "open", endless), jobs.INSTRUCTION)
    with pytest.raises(errors.Invalid, match="no chat template"):
        Prompts(retemplated(tiny, tmp_path / "none", ""), jobs.INSTRUCTION)
