"""Evaluation during training, curricula, and traces too long for a row: what is decided, recorded and left behind."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from test_vocabularies import changed

from tunix_rt import datasets, errors, jobs, traces, values
from tunix_rt.datasets import Dataset, Recipe, Share
from tunix_rt.engine import corpus, estimating, loss, packing, trainer, training, weights
from tunix_rt.engine.held_out import HeldOut, Measured
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.engine.stopping import Deadline, Stopped
from tunix_rt.jobs import (
    Batch,
    Checkpoints,
    EstimateJob,
    Events,
    Inputs,
    Lora,
    Optimizer,
    Stage,
    TrainConfig,
    TrainJob,
    Validation,
)
from tunix_rt.models import BaseModel
from tunix_rt.runs import trained

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate


@pytest.fixture(scope="module")
def job(tiny: BaseModel, sums: Dataset, unseen_sums: Dataset) -> tuple[TrainJob, Inputs]:
    """Two stages, and a learning rate that grows until the held-out loss does too."""
    config = TrainConfig(
        name="t",
        model="tiny",
        steps=8,
        tuning=Lora(rank=4, alpha=8),
        batch=Batch(row_tokens=1024, rows=1, accumulation=1),
        optimizer=Optimizer(learning_rate=50.0, warmup=0.9, final=1.0),
        checkpoints=Checkpoints(every_steps=100),
        stages=(Stage(dataset="tiny-sums", epochs=1), Stage(dataset="tiny-sums", epochs=1)),
        validation=Validation(dataset="tiny-sums-eval", every_steps=2),
    )
    digest = sums.manifest.digest
    asked = TrainJob(
        run_id="r",
        config=config,
        model_digest=tiny.digest,
        dataset="tiny-sums",
        dataset_digest=digest,
        stage_digests=(digest, digest),
        validation_digest=unseen_sums.manifest.digest,
    )
    folder = sums.path.parent
    return asked, Inputs(model=tiny.folder, dataset=folder, stages=(folder, folder), validation=unseen_sums.path.parent)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]


def decided(folder: Path) -> list[tuple[int, float, float | None]]:
    return [(row["step"], row["loss"], row.get("eval_loss")) for row in rows(folder)]


@pytest.fixture(scope="module")
def whole(job: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("held-out")
    return folder, training.train(*job, folder)


def test_the_held_out_loss_is_that_of_the_adapter_that_is_kept(
    job: Any, whole: tuple[Path, dict[str, Any]], tiny: BaseModel, unseen_sums: Dataset
) -> None:
    """Computed again from the adapter on the disk, example by example."""
    folder, made = whole
    measured = {row["step"]: row["eval_loss"] for row in rows(folder) if "eval_loss" in row}
    assert list(measured) == [2, 4, 6, 8]
    assert made["best_eval_loss"] == min(measured.values())
    assert made["kept_step"] == made["best_step"] == min(measured, key=lambda step: measured[step])
    assert made["best_step"] < 8, "the test needs a run whose last step is not its best"
    assert [path.name for path in (folder / "best").iterdir()] == [str(made["best_step"])]
    model = weights.load(tiny.folder)
    weights.merge_adapter(model, folder / "adapter", base=tiny.digest, digest=made["adapter_digest"])
    prompts = Prompts(tiny.folder, jobs.INSTRUCTION)
    examples = [prompts.example(trace) for trace in traces.read(unseen_sums.path)]
    micro = packing.held_out(examples, job[0].config.batch)
    found = sum(float(loss.lean_loss(model, **loss.model_input(one))) for one in micro)
    assert found == pytest.approx(made["best_eval_loss"], abs=1e-4)


def test_evaluation_changes_nothing_in_training(job: Any, whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    asked, inputs = job
    plain = asked.model_copy(
        update={"config": asked.config.model_copy(update={"validation": None}), "validation_digest": None, "max_steps": 3}
    )
    training.train(plain, inputs, tmp_path)
    assert [row["loss"] for row in rows(tmp_path)] == [row["loss"] for row in rows(whole[0])[:3]]


def test_the_stages_are_trained_on_in_order_and_recorded(whole: tuple[Path, dict[str, Any]], sums: Dataset) -> None:
    made = whole[1]
    assert [(stage["dataset"], stage["dataset_digest"]) for stage in made["stages"]] == [
        ("tiny-sums", sums.manifest.digest)
    ] * 2
    assert sum(stage["steps"] for stage in made["stages"]) == made["steps"] == 8
    assert made["stages"][0]["examples"] == sums.manifest.count
    assert made["examples"] == sum(stage["examples"] for stage in made["stages"])


def test_a_run_stopped_at_the_border_of_two_stages_goes_on_exactly(
    job: Any, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    border = whole[1]["stages"][0]["steps"]
    counted = itertools.count(1)

    class AtTheBorder:
        requested = property(lambda _: next(counted) == border)

        def hold(self) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "stop", AtTheBorder())
        with pytest.raises(Stopped):
            training.train(*job, tmp_path)
    assert len(rows(tmp_path)) == border
    made = training.train(*job, tmp_path)
    assert decided(tmp_path) == decided(whole[0])
    for key in ("adapter_digest", "best_step", "best_eval_loss", "eval_loss", "stages"):
        assert made[key] == whole[1][key], key


def test_training_ends_when_patience_does_and_says_so(job: Any, whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """More is asked of the second evaluation than it brought."""
    asked, inputs = job
    first, second, *_ = (row[2] for row in decided(whole[0]) if row[2] is not None)
    validation = asked.config.validation.model_copy(update={"patience": 1, "min_delta": first - second + 0.01})
    impatient = asked.model_copy(update={"config": asked.config.model_copy(update={"validation": validation})})
    made = training.train(impatient, inputs, tmp_path)
    assert (made["steps"], made["early_stopped"]) == (4, True)
    assert decided(tmp_path) == decided(whole[0])[:4]
    assert trained.reason(asked, made) == "early_stop"


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "ends"),
    [
        ([3.0, 2.0, 2.5], 1, 0.0, True),
        ([3.0, 2.0, 2.5], 2, 0.0, False),
        ([3.0, 2.0, 2.5, 1.9], 2, 0.0, False),
        ([3.0, 2.95], 1, 0.1, True),
        ([3.0, 2.5], None, 0.0, False),
    ],
)
def test_when_patience_ends(losses: list[float], patience: int | None, min_delta: float, ends: bool, tmp_path: Path) -> None:
    held_out = HeldOut(Validation(dataset="d", patience=patience, min_delta=min_delta), [], 100, tmp_path)
    held_out.history = [Measured(step, value) for step, value in enumerate(losses)]
    assert held_out.exhausted == ends


class Slow(HeldOut):
    def note(self, *given: Any) -> None:
        super().note(*given)
        time.sleep(2)


class Asked(Deadline):
    """A time limit far off that keeps what it is told a step may take."""

    def __init__(self) -> None:
        super().__init__(1e9)
        self.step_seconds: list[float] = []

    def before_another(self, step_seconds: float, saving_seconds: float) -> bool:
        self.step_seconds.append(step_seconds)
        return super().before_another(step_seconds, saving_seconds)


def test_time_limits_and_estimates_count_the_evaluations_that_are_due(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    """After steps 2 and 4. What follows step 2, which is not evaluated, is the control."""
    prompts = Prompts(tiny.folder, jobs.INSTRUCTION)
    examples = [prompts.example(trace) for trace in traces.read(sums.path)][:24]
    config = TrainConfig(name="t", model="tiny", tuning=Lora(rank=4), batch=Batch(row_tokens=1024, rows=1, accumulation=1))
    steps = packing.plan(examples, config.batch, 0, 4)[:4]
    micro = packing.held_out(examples, config.batch)
    held_out = Slow(Validation(dataset="d", every_steps=2), micro, 4, tmp_path / "best")
    deadline = Asked()
    run = trainer.make(
        weights.add_lora(weights.load(tiny.folder), Lora(rank=4), seed=1), config, 4, steps, tmp_path, held_out=held_out,
        deadline=deadline,
    )  # fmt: skip
    run.train(run.batches())
    took = [row["seconds"] for row in rows(tmp_path)]
    before, between, after = deadline.step_seconds
    assert before == pytest.approx(took[0] * (2 + len(micro)), abs=1e-3), "the first evaluation compiles"
    assert between == pytest.approx(took[1], abs=1e-3)
    assert after == pytest.approx(max(took[1:3]) + rows(tmp_path)[1]["eval_seconds"], abs=1e-3)
    assert after > 2
    left = [row["seconds_left"] for row in rows(tmp_path)]
    assert left[1] > 2 and left[2] > 2
    assert (left[0], left[3]) == (None, 0.0)


@pytest.mark.parametrize(("every", "last"), [(2, 8), (3, 8), (5, 3), (1, 4)])
def test_how_many_evaluations_are_left(every: int, last: int, tmp_path: Path) -> None:
    held_out = HeldOut(Validation(dataset="d", every_steps=every), [], last, tmp_path)
    for step in range(last + 1):
        assert held_out.left(step) == sum(held_out.due(later) for later in range(step + 1, last + 1))


@pytest.mark.parametrize(("rate", "finite"), [(1e30, False), (0.01, True)])
def test_a_held_out_loss_that_is_not_finite_stops_the_run_and_is_never_the_best(
    job: Any, tmp_path: Path, rate: float, finite: bool
) -> None:
    """The loss of the only step is taken before its update, and finite."""
    asked, inputs = job
    changes = {"optimizer": Optimizer(learning_rate=rate), "steps": 1}
    asked = asked.model_copy(update={"config": asked.config.model_copy(update=changes)})
    if finite:
        training.train(asked, inputs, tmp_path)
    else:
        with pytest.raises(errors.Failed, match="held-out loss of step 1 is") as told:
            training.train(asked, inputs, tmp_path)
        assert (told.value.details["reason"], told.value.details["step"]) == ("nan_loss", 1)
        assert told.value.details["traces"]
    for place in ("best", "checkpoints"):
        assert bool(list((tmp_path / place).glob("*/sha256.json"))) == finite


def test_a_held_out_dataset_that_is_trained_on_is_refused(job: Any, sums: Dataset, tmp_path: Path) -> None:
    asked, inputs = job
    leaking = asked.model_copy(update={"validation_digest": sums.manifest.digest})
    with pytest.raises(errors.Invalid, match="64 prompts of the validation dataset"):
        training.train(leaking, inputs.model_copy(update={"validation": sums.path.parent}), tmp_path)


# ── traces that do not fit ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_does_not_fit_is_cut_or_left_out_only_when_asked_and_is_counted(job: Any, tmp_path: Path) -> None:
    asked, inputs = job
    base = corpus.read(asked, inputs, Events(tmp_path))
    lengths = sorted(len(example.tokens) for example in base.parts[0].examples)
    row = lengths[-1] - 1
    small = Batch(row_tokens=row, rows=1, accumulation=1)
    read = {}
    for choice in ("refuse", "truncate", "drop"):
        config = asked.config.model_copy(update={"batch": small, "too_long": choice, "validation": None})
        read[choice] = corpus.read(asked.model_copy(update={"config": config}), inputs, Events(tmp_path))
    too_long = sum(length > row for length in lengths)
    assert too_long
    with pytest.raises(errors.Invalid, match="'too_long'"):
        packing.curriculum(read["refuse"].parts, small, 0)
    assert (len(read["truncate"].truncated), len(read["drop"].dropped)) == (2 * too_long, 2 * too_long)
    assert max(len(example.tokens) for example in read["truncate"].examples) == row
    assert len(read["drop"].examples) == 2 * (len(lengths) - too_long)
    said = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in said] == ["too_long", "too_long"]
    assert said[0]["truncated"] == list(read["truncate"].truncated)


@pytest.mark.parametrize("choice", ["truncate", "drop"])
def test_what_does_not_fit_of_the_held_out_dataset_is_counted_apart(job: Any, tmp_path: Path, choice: Any) -> None:
    asked, inputs = job
    read = corpus.read(asked, inputs, Events(tmp_path))
    assert not (tmp_path / "events.jsonl").exists(), "nothing was too long"
    row = max(len(example.tokens) for example in read.held_out) - 1
    apart = {
        what: {example.id for example in examples if len(example.tokens) > row}
        for what, examples in (("trained", read.examples), ("held out", read.held_out))
    }
    assert apart["held out"]
    changes = {"batch": Batch(row_tokens=row, rows=1, accumulation=1), "too_long": choice}
    asked = asked.model_copy(update={"config": asked.config.model_copy(update=changes), "max_steps": 1})
    made = training.train(asked, inputs, tmp_path)
    same = EstimateJob(**asked.model_dump(exclude={"kind", "run_id", "group"}))
    word = {"truncate": "truncated", "drop": "dropped"}[choice]
    for facts in (made, estimating.estimate(same, inputs, tmp_path)):
        counts = {key: value for key, value in facts.items() if key.endswith(("truncated", "dropped")) and value}
        assert counts == {word: 2 * len(apart["trained"]), f"held_out_{word}": len(apart["held out"])}
    said = next(row for _, row in values.read_jsonl(tmp_path / "events.jsonl") if row["kind"] == "too_long")
    assert (set(said[word]), set(said[f"held_out_{word}"])) == (apart["trained"], apart["held out"])


@pytest.mark.parametrize(("row_tokens", "left"), [(165, False), (8192, True)])
def test_a_held_out_dataset_of_which_nothing_is_left_is_refused(job: Any, tmp_path: Path, row_tokens: int, left: bool) -> None:
    """What is trained on fits either row."""
    shares = {"shopping": Share(count=3)}
    recipe = Recipe(name="long", version=1, seed=1, split="eval", description="long", licence="CC0-1.0", tasks=shares)
    datasets.build(recipe, tmp_path / "long")
    asked, inputs = job
    digest = datasets.open_dataset(tmp_path / "long").manifest.digest
    changes = {"batch": Batch(row_tokens=row_tokens), "too_long": "drop", "memory_gb": 64.0}
    asked = asked.model_copy(update={"config": asked.config.model_copy(update=changes), "validation_digest": digest})
    inputs = inputs.model_copy(update={"validation": tmp_path / "long"})
    if left:
        assert len(corpus.read(asked, inputs, Events(tmp_path)).held_out) == 3
        return
    with pytest.raises(errors.Invalid, match=r"the validation dataset .* is empty without traces longer") as refused:
        training.train(asked, inputs, tmp_path)
    assert refused.value.details["field"] == "validation.dataset"


def test_a_trace_longer_than_the_models_context_is_as_too_long_as_one_longer_than_a_row(
    job: Any, tiny: BaseModel, tmp_path: Path
) -> None:
    asked, inputs = job
    lengths = [len(example.tokens) for example in corpus.read(asked, inputs, Events(tmp_path)).parts[0].examples]

    def read(choice: str, context: int) -> Any:
        base = changed(tiny, tmp_path / f"{choice}-{context}", max_position_embeddings=context)
        config = asked.config.model_copy(update={"too_long": choice, "validation": None})
        named = asked.model_copy(update={"config": config, "model_digest": base.digest})
        return corpus.read(named, inputs.model_copy(update={"model": base.folder}), Events(tmp_path))

    context = max(lengths) - 1
    too_long = sum(length > context for length in lengths)
    with pytest.raises(errors.Invalid, match=rf"has {max(lengths)} tokens, the model was made for {context}.*'too_long'"):
        read("refuse", context)
    assert len(read("truncate", context).truncated) == len(read("drop", context).dropped) == 2 * too_long
    whole = read("refuse", context + 1)
    assert (whole.truncated, whole.dropped) == ((), ())
    steps = packing.curriculum(whole.parts, asked.config.batch, 0)
    assert max(len(step.ids) for step in steps) > 1, "a row holds more than the context, of several traces"


def test_a_prompt_that_fills_a_row_is_never_cut() -> None:
    example = Example("long", tuple(range(50)), 40)
    assert corpus.fit([example], 30, "truncate") == ((), (), ("long",))
    assert corpus.fit([example], 45, "truncate") == ((example._replace(tokens=tuple(range(45))),), ("long",), ())
