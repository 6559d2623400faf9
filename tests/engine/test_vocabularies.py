"""A tokenizer that is not its model's is refused when the model is taken in, and by every job that makes tokens."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, jobs, models, settings, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import work
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import GenerateJob, Inputs, MaskJob, TrainConfig, TrainJob
from tunix_rt.models import BaseModel, Manifest, shapes
from tunix_rt.models import tiny as tiny_model
from tunix_rt.traces import Step, Trace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate


def changed(tiny: BaseModel, folder: Path, **config: Any) -> BaseModel:
    """The tiny model with other words in its config, as if it had been taken in so."""
    shutil.copytree(tiny.folder, folder)
    values.write_json(folder / "config.json", {**values.read_json(folder / "config.json"), **config})
    files = {name: values.sha256_file(folder / name) for name in tiny.manifest.files}
    manifest = Manifest.model_validate({**tiny.manifest.model_dump(), "files": files})
    values.write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
    return BaseModel(folder, manifest)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"vocab_size": 60}, "the tokenizer has the token 258, the model has 60"),
    ({"vocab_size": 258}, "the tokenizer has the token 258, the model has 258"),
    ({"eos_token_id": 100}, "'eos_token_id' is 100, which the tokenizer knows as"),
    ({"eos_token_id": [2, 100]}, "'eos_token_id' is 100"),
    ({"bos_token_id": 128_000}, "'bos_token_id' is 128000, which the tokenizer knows as None"),
]
GEMMA: dict[str, Any] = {"model_type": "gemma3_text", "query_pre_attn_scalar": 16, "sliding_window": 9, "rms_norm_eps": 1e-6}
TAKEN: list[dict[str, Any]] = [{}, {"vocab_size": 320}, {"eos_token_id": None}, {"eos_token_id": [0, 2]}]


@pytest.mark.parametrize(("config", "message"), REFUSED)
def test_a_folder_with_another_models_tokenizer_is_not_taken_in(
    config: dict[str, Any], message: str, tiny: BaseModel, tmp_path: Path
) -> None:
    home = settings.load(tmp_path / "home", {})
    with pytest.raises(errors.Invalid, match=message):
        models.fetch(home, str(changed(tiny, tmp_path / "other", **config).folder))
    assert "other" not in models.known(home)


@pytest.mark.parametrize("config", TAKEN)
def test_a_model_with_more_rows_than_tokens_is_taken_in(config: dict[str, Any], tiny: BaseModel, tmp_path: Path) -> None:
    """Control for the test above."""
    home = settings.load(tmp_path / "home", {})
    assert models.fetch(home, str(changed(tiny, tmp_path / "other", **config).folder)).manifest.parameters


def test_a_tokenizer_that_cannot_be_read_is_refused(tiny: BaseModel, tmp_path: Path) -> None:
    folder = changed(tiny, tmp_path / "other").folder
    (folder / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(errors.Invalid, match=r"tokenizer\.json is no tokenizer that can be read"):
        models.fetch(settings.load(tmp_path / "home", {}), str(folder))


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({}, 4096),
        ({"rope_scaling": {"rope_type": "linear", "factor": 4.0}}, 16_384),
        (GEMMA | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}, 4096),
    ],
)
def test_a_stretched_llama_has_a_longer_context_than_it_tells(config: dict[str, Any], context: int) -> None:
    told = {**tiny_model.make().config, **config}
    assert shapes.read(told, "config.json").context == context


@pytest.mark.parametrize("kind", ["train", "masks", "generate", "ask"])
def test_every_job_that_makes_tokens_refuses_it(
    kind: str, tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, tmp_path: Path
) -> None:
    def do(base: BaseModel, attempt: Path) -> dict[str, Any]:
        attempt.mkdir()
        rows = [{"item": "a", "prompt": "1 + 1 = ?"}]
        named = {"model": "tiny", "model_digest": base.digest}
        trained = {"dataset": "tiny-sums", "dataset_digest": sums.manifest.digest}
        job: Any = {
            "train": lambda: TrainJob(
                run_id="r", config=TrainConfig(name="t", model="tiny"), model_digest=base.digest, max_steps=1, **trained
            ),
            "masks": lambda: MaskJob(**named, **trained),
            "generate": lambda: GenerateJob(
                **named, evalset="tiny-sums-eval", evalset_digest=unseen_sums.manifest.digest, limit=1, max_new_tokens=1
            ),
            "ask": lambda: jobs.asking(attempt, rows, **named, max_new_tokens=1),
        }[kind]()
        dataset = unseen_sums if kind == "generate" else sums
        return work._do(job, Inputs(model=base.folder, dataset=dataset.path.parent), attempt)

    with pytest.raises(errors.Invalid, match="do not belong together"):
        do(changed(tiny, tmp_path / "other", eos_token_id=100), tmp_path / "refused")
    assert do(changed(tiny, tmp_path / "same"), tmp_path / "done")


def test_a_text_with_a_token_that_the_model_has_not_is_refused(tiny: BaseModel, tmp_path: Path) -> None:
    """As Gemma 3's token for pictures: the tokenizer adds it, and the model's rows end just before it."""
    folder = changed(tiny, tmp_path / "other").folder
    told = values.read_json(folder / "tokenizer_config.json")
    values.write_json(folder / "tokenizer_config.json", {**told, "extra_special_tokens": ["<picture>"]})
    prompts = Prompts(folder, jobs.INSTRUCTION)
    trace = Trace(prompt="What is on <picture>?", steps=(Step(i=1, type="compute", content="a cat"),), final_answer="a cat")
    with pytest.raises(errors.Invalid, match=rf"trace {trace.id[:12]}: the text has the token '<picture>' \(259\)"):
        prompts.example(trace)
    assert prompts.example(trace.model_copy(update={"prompt": "What is on picture 1?"})).tokens
