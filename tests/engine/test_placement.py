"""Chunks, bfloat16, rematerialisation and meshes change how a step is computed, not what it computes."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import engines
from tunix_rt import errors, estimates, jobs, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import loss, packing, placement, weights
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Batch, Checkpoints, Compute, Full, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob, Validation
from tunix_rt.models import BaseModel, shapes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
LORA = Lora(rank=4, alpha=8)


@pytest.fixture(scope="module")
def examples(tiny: BaseModel, sums: Dataset) -> list[Example]:
    prompts = Prompts(tiny.folder, jobs.INSTRUCTION)
    return [prompts.example(trace) for trace in traces.read(sums.path)][:12]


@pytest.fixture(scope="module")
def given(examples: list[Example]) -> dict[str, Any]:
    batch = Batch(row_tokens=1024, rows=2, accumulation=1)
    return loss.model_input(packing.plan(examples, batch, 0, 1)[0].micro[0])


def gradients(function: Any, model: nnx.Module, given: dict[str, Any], kind: Any) -> tuple[float, dict[str, np.ndarray]]:
    found = nnx.jit(nnx.value_and_grad(function, argnums=nnx.DiffState(0, kind)))
    value, state = found(model, *given.values())
    flat = nnx.to_flat_state(state)
    return float(value), {".".join(map(str, path)): np.asarray(leaf[...], np.float32) for path, leaf in flat}


def same(one: tuple[float, Any], other: tuple[float, Any], tolerance: float) -> None:
    assert one[0] == pytest.approx(other[0], abs=tolerance)
    assert max(float(np.abs(gradient).max()) for gradient in one[1].values()) > 1e-3
    for name, gradient in one[1].items():
        np.testing.assert_allclose(other[1][name], gradient, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("chunk", [7, 64])
def test_a_chunked_loss_has_the_value_and_gradients_of_the_whole(tiny: BaseModel, given: dict[str, Any], chunk: int) -> None:
    """In full tuning, where the embedding carries a gradient as well; 7 does not divide the number of positions."""
    model = weights.load(tiny.folder)
    whole = gradients(loss.lean_loss, model, given, nnx.Param)
    assert "embedder.input_embedding" in whole[1]
    same(whole, gradients(loss.configured(None, chunk), model, given, nnx.Param), 1e-5)


@pytest.mark.parametrize("remat", ["block", "layer"])
def test_activations_computed_again_give_the_same_gradients(tiny: BaseModel, given: dict[str, Any], remat: Any) -> None:
    plain = weights.load(tiny.folder)
    again = weights.load(tiny.folder)
    placement.arrange(again, Compute(remat=remat), frozen_base=False)
    same(gradients(loss.lean_loss, plain, given, nnx.Param), gradients(loss.lean_loss, again, given, nnx.Param), 1e-5)
    plain, again = (weights.add_lora(model, LORA, seed=1) for model in (plain, again))
    both = [gradients(loss.lean_loss, model, given, nnx.LoRAParam) for model in (plain, again)]
    same(both[0], both[1], 1e-5)


def test_bfloat16_keeps_what_is_trained_in_float32(tiny: BaseModel, given: dict[str, Any]) -> None:
    exact = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    placement.arrange(model, Compute(dtype="bfloat16"), frozen_base=True)
    assert model.embedder.input_embedding[...].dtype == jnp.bfloat16
    assert {str(leaf.dtype) for leaf in weights.trained(model, LORA).values()} == {"float32"}
    whole = gradients(loss.lean_loss, exact, given, nnx.LoRAParam)
    short = gradients(loss.configured(jnp.bfloat16, None), model, given, nnx.LoRAParam)
    assert short[0] == pytest.approx(whole[0], rel=0.02)
    assert short[0] != whole[0]
    for name, gradient in whole[1].items():
        if np.abs(gradient).max() > 1e-3:
            cosine = np.vdot(gradient, short[1][name]) / (np.linalg.norm(gradient) * np.linalg.norm(short[1][name]))
            assert cosine > 0.95, name


# ── meshes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

FOUR = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}


def job_on(mesh: Mesh, tiny: BaseModel, sums: Dataset, unseen: Dataset, cache: Path) -> tuple[TrainJob, Inputs]:
    config = TrainConfig(
        name="t",
        model="tiny",
        steps=4,
        tuning=LORA,
        batch=Batch(row_tokens=384, rows=4, accumulation=1),
        optimizer=Optimizer(learning_rate=0.01),
        checkpoints=Checkpoints(every_steps=2),
        validation=Validation(dataset="tiny-sums-eval", every_steps=2),
    )
    asked = TrainJob(
        run_id="r",
        config=config,
        model_digest=tiny.digest,
        dataset="tiny-sums",
        dataset_digest=sums.manifest.digest,
        validation_digest=unseen.manifest.digest,
        mesh=mesh,
        device="cpu",
    )
    here = {"dataset": sums.path.parent, "validation": unseen.path.parent, "compile_cache": cache}
    return asked, Inputs(model=tiny.folder, **here)


def test_four_devices_train_what_one_does_and_resume_from_sharded_checkpoints(
    tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, compile_cache: Path, tmp_path: Path
) -> None:
    """To the bit what four that were never stopped train."""
    found, adapters, four = {}, {}, Mesh(fsdp=2, tp=2)
    for name, mesh, attempts in (("one", Mesh(), (2, None)), ("four", four, (2, None)), ("never", four, (None,))):
        asked, inputs = job_on(mesh, tiny, sums, unseen_sums, compile_cache)
        folder = tmp_path / name
        folder.mkdir()
        for steps in attempts:  # the second goes on from the checkpoint of the first
            jobs.write(folder, asked.model_copy(update={"max_steps": steps}), inputs)
            assert engines.end(folder, **FOUR) == 0, (folder / "log.txt").read_text()
        found[name] = [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]
        resumed = [row["kind"] for _, row in values.read_jsonl(folder / "events.jsonl")].count("resumed")
        assert resumed == len(attempts) - 1
        adapters[name] = values.read_json(folder / "result.json")["adapter_digest"]
    exact = {name: [(row["loss"], row["grad_norm"], row.get("eval_loss")) for row in rows] for name, rows in found.items()}
    assert exact["four"] == exact["never"] != exact["one"]
    assert adapters["four"] == adapters["never"] != adapters["one"]
    for one, other in zip(found["one"], found["four"], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-3)
        assert (other["tokens"], other["examples"]) == (one["tokens"], one["examples"])
        assert other.get("eval_loss") == (pytest.approx(one["eval_loss"], abs=1e-3) if "eval_loss" in one else None)
    assert len(found["four"]) == 4
    best = {name: min((row["eval_loss"], row["step"]) for row in rows if "eval_loss" in row) for name, rows in found.items()}
    assert best["one"][1] == best["four"][1]


def test_a_mesh_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(errors.Missing, match="needs 4096 devices"):
        placement.check(Mesh(fsdp=4096), Batch(), LORA)
    with pytest.raises(errors.Missing, match="there are 1"):
        placement.check(Mesh(fsdp=2), Batch(rows=4), LORA)


# ── estimates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_formulas_count_the_parameters_there_are(tiny: BaseModel) -> None:
    shape = shapes.of_folder(tiny.folder)
    assert shape.parameters == tiny.manifest.parameters
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    there = sum(tensor.size for tensor in weights.trained(model, LORA).values())
    assert estimates.trained_tensors(shape, TrainConfig(name="t", model="tiny", tuning=LORA)) == there
    assert estimates.trained_tensors(shape, TrainConfig(name="t", model="tiny", tuning=Full())) == tiny.manifest.parameters


def test_a_memory_budget_cuts_the_micro_batch_and_keeps_the_step(tiny: BaseModel) -> None:
    shape = shapes.of_folder(tiny.folder)
    config = TrainConfig(name="t", model="tiny", batch=Batch(row_tokens=1024, rows=12, accumulation=2))

    def needed(rows: int) -> float:
        batch = config.batch.model_copy(update={"rows": rows, "accumulation": 24 // rows})
        return estimates.cost(shape, config, batch, 0.5).memory / 1e9

    assert needed(1) < needed(4) < needed(6) < needed(24)
    for rows in (1, 4, 24):
        batch = estimates.fitting(shape, config.model_copy(update={"memory_gb": needed(rows) + 1e-6}), 0.5)
        assert (batch.rows, batch.step_rows) == (rows, 24)
    with pytest.raises(errors.Invalid, match=r"'memory_gb' is 0\.1, one row of 1024 tokens needs about .*'batch.row_tokens'"):
        estimates.fitting(shape, config.model_copy(update={"memory_gb": 0.1}), 0.5)


def test_a_memory_budget_is_each_devices_and_rows_are_dealt_out_evenly(tiny: BaseModel) -> None:
    shape = shapes.of_folder(tiny.folder)
    two = Mesh(fsdp=2)
    config = TrainConfig(name="t", model="tiny", batch=Batch(row_tokens=1024, rows=12, accumulation=2))

    def needed(rows: int, mesh: Mesh) -> float:
        batch = config.batch.model_copy(update={"rows": rows, "accumulation": 24 // rows})
        return estimates.cost(shape, config, batch, 0.5, mesh).memory

    assert needed(12, two) - estimates.OVERHEAD == pytest.approx((needed(12, Mesh()) - estimates.OVERHEAD) / 2)
    for rows, mesh, fits in ((2, two, 2), (3, two, 2), (3, Mesh(), 3), (6, two, 6), (24, two, 24)):
        budget = config.model_copy(update={"memory_gb": needed(rows, mesh) / 1e9 + 1e-6})
        assert estimates.fitting(shape, budget, 0.5, mesh).rows == fits
    assert estimates.fitting(shape, budget, 0.5).rows < 24, "the control: one device holds less than two"
    with pytest.raises(errors.Invalid, match=r"one row of 1024 tokens on each device needs about"):
        estimates.fitting(shape, config.model_copy(update={"memory_gb": 0.1}), 0.5, two)
    with pytest.raises(errors.Invalid, match=r"'batch.rows' times 'batch.accumulation' is 24, which cannot .* fsdp=5 devices"):
        estimates.fitting(shape, config.model_copy(update={"memory_gb": 64.0}), 0.5, Mesh(fsdp=5))


def test_less_memory_is_estimated_for_what_saves_memory(tiny: BaseModel) -> None:
    shape = shapes.of_folder(tiny.folder).model_copy(update={"layers": 30})
    base = TrainConfig(name="t", model="tiny", batch=Batch(row_tokens=2048, rows=4, accumulation=1))

    def memory(**changes: Any) -> float:
        return estimates.cost(shape, base.model_copy(update=changes), base.batch, 0.5).memory

    assert memory(compute=Compute(remat="layer")) < memory(compute=Compute(remat="block")) < memory()
    assert memory(compute=Compute(loss_chunk=128)) < memory()
    assert memory(tuning=Full()) > memory()
