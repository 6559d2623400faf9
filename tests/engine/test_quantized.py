"""LoRA over frozen weights in 8 or 4 bits: the base is rounded and stays, the adapters move, the loss falls."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tunix_rt import errors, estimates, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import families, placement, training, weights
from tunix_rt.jobs import Batch, Compute, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob
from tunix_rt.models import BaseModel, shapes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
BITS = {"int8": "int8", "nf4": "uint4"}
"""A NormalFloat weight is kept as the number of its value."""


def frozen(model: nnx.Module) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): leaf[...] for path, leaf in flat if not isinstance(leaf, nnx.LoRAParam)}


def logits(model: Any) -> np.ndarray:
    tokens = jnp.arange(3, 40)[None]
    length = tokens.shape[1]
    found, _ = model(tokens, jnp.arange(length)[None], None, jnp.tril(jnp.ones((1, length, length), jnp.bool_)))
    return np.asarray(found)


@pytest.mark.parametrize(("quantize", "error"), [("int8", 0.03), ("nf4", 0.5)])
def test_the_projections_are_rounded_and_nothing_else(tiny: BaseModel, quantize: Any, error: float) -> None:
    plain = logits(weights.load(tiny.folder))
    model = weights.add_lora(weights.load(tiny.folder), Lora(rank=4, quantize=quantize), seed=1)
    kept = frozen(model)
    rounded = {name for name, value in kept.items() if str(value.dtype) == BITS[quantize]}
    assert len(rounded) == 2 * 7
    assert {str(value.dtype) for name, value in kept.items() if name not in rounded} == {"float32"}
    apart = np.sqrt(np.mean((logits(model) - plain) ** 2)) / np.std(plain)
    assert 0 < apart < error


@pytest.fixture
def job(tiny: BaseModel, sums: Dataset, request: pytest.FixtureRequest) -> tuple[TrainJob, Inputs]:
    config = TrainConfig(
        name="t",
        model="tiny",
        epochs=4,
        steps=12,
        tuning=Lora(rank=4, alpha=8, quantize=request.param),
        batch=Batch(row_tokens=1024, rows=1, accumulation=1),
        optimizer=Optimizer(learning_rate=2e-2),
    )
    asked = TrainJob(
        run_id="r", config=config, model_digest=tiny.digest, dataset="tiny-sums", dataset_digest=sums.manifest.digest
    )
    return asked, Inputs(model=tiny.folder, dataset=sums.path.parent)


@pytest.mark.parametrize("job", ["int8", "nf4"], indirect=True)
def test_the_loss_falls_and_every_adapter_moves(job: Any, tiny: BaseModel, tmp_path: Path, monkeypatch: Any) -> None:
    """What is trained is what is saved: merged into the base as it was, it lowers the loss there too."""
    models: list[nnx.Module] = []
    add = weights.add_lora
    monkeypatch.setattr(weights, "add_lora", lambda *given: models.append(add(*given)) or models[-1])
    made = training.train(*job, tmp_path)
    rows = [row["loss"] for _, row in values.read_jsonl(tmp_path / "metrics.jsonl")]
    assert np.mean(rows[-3:]) < np.mean(rows[:3]) - 0.2
    fresh = add(weights.load(tiny.folder), job[0].config.tuning, job[0].config.seed)
    before, after = (weights.trained(model, job[0].config.tuning) for model in (fresh, models[0]))
    pairs = [name for name in before if name.endswith("_lora_b")]
    assert len(pairs) == 2 * 7
    assert all((after[name] != before[name]).any() for name in before)
    was, now = frozen(fresh), frozen(models[0])
    for name, value in was.items():
        np.testing.assert_array_equal(np.asarray(now[name]), np.asarray(value), err_msg=name)
    merged = weights.load(tiny.folder)
    weights.merge_adapter(merged, tmp_path / "adapter", base=tiny.digest, digest=made["adapter_digest"])
    assert {str(value.dtype) for value in frozen(merged).values()} == {"float32"}


SMALL: dict[str, Any] = {
    "vocab_size": 259, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64,
}  # fmt: skip
WINDOWED = {"query_pre_attn_scalar": 16, "sliding_window": 9}


def built(kind: str) -> Any:
    """A random model of that type, always the same."""
    shape = shapes.read({"model_type": kind, **SMALL, **(WINDOWED if "gemma" in kind else {})}, "test")
    build = getattr(families.module(shape.family), families.PARTS[shape.family].model)
    return build(families.configure(shape), rngs=nnx.Rngs(params=0))


@pytest.mark.parametrize("quantize", ["int8", "nf4"])
@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text"])
def test_gemmas_can_be_quantized(kind: str, quantize: Any) -> None:
    """Rounding moves the logits a little, and adapters that are not zero move them too."""
    plain, model = logits(built(kind)), weights.add_lora(built(kind), Lora(rank=2, quantize=quantize), seed=1)
    found = logits(model)
    assert 0 < np.sqrt(np.mean((found - plain) ** 2)) < 0.6 * np.std(plain)
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.LoRAParam)):
        if str(path[-1]).endswith("_lora_b"):
            leaf.set_value(jnp.full_like(leaf[...], 0.1))
    assert np.abs(logits(model) - found).max() > 1e-3


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_a_family_that_casts_its_weights_is_refused(kind: str) -> None:
    with pytest.raises(errors.Invalid, match=r"'tuning\.quantize' is 'int8', which Tunix's Qwen"):
        weights.add_lora(built(kind), Lora(rank=2, quantize="int8"), seed=1)


@pytest.mark.parametrize("job", ["nf4"], indirect=True)
def test_bfloat16_leaves_the_rounded_weights_alone(job: Any, tiny: BaseModel) -> None:
    model = weights.add_lora(weights.load(tiny.folder), job[0].config.tuning, seed=1)
    placement.arrange(model, Compute(dtype="bfloat16"), frozen_base=True)
    assert {str(value.dtype) for value in frozen(model).values()} == {"uint4", "bfloat16"}


def test_a_mesh_and_quantized_weights_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement.jax, "device_count", lambda: 2)
    placement.check(Mesh(fsdp=2), Batch(rows=2), Lora())
    with pytest.raises(errors.Invalid, match=r"'tuning\.quantize' is 'nf4'"):
        placement.check(Mesh(fsdp=2), Batch(rows=2), Lora(quantize="nf4"))


def test_the_estimate_counts_bytes_of_rounded_weights(tiny: BaseModel) -> None:
    """By the shape of a model whose projections are most of it."""
    shape = shapes.of_folder(tiny.folder).model_copy(update={"layers": 30, "embed": 2048, "hidden": 8192})
    config = TrainConfig(name="t", model="tiny")
    plain, rounded = (
        estimates.cost(shape, config.model_copy(update={"tuning": tuning}), config.batch, 0.5).memory
        for tuning in (Lora(), Lora(quantize="nf4"))
    )
    projections = shape.layers * sum(inputs * outputs for inputs, outputs in shape.projections.values())
    assert plain - rounded == pytest.approx((4 - 1 - 1 / 16) * projections, rel=0.001)
