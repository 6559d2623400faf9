"""The loss is Tunix's own, every LoRA pair moves, packed equals unpacked, and the model is the one transformers would run."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file
from tunix.models.llama3 import model as llama
from tunix.sft import peft_trainer

from tunix_rt import errors, jobs, models, settings, traces
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints, families, loss, low_rank, packing, trainer, weights
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Batch, Lora, TrainConfig
from tunix_rt.models import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
LORA = Lora(rank=4, alpha=8)
BATCH = Batch(row_tokens=512, rows=2, accumulation=2)
FAST = jobs.Optimizer(learning_rate=2e-2)


@pytest.fixture(scope="module")
def examples(tiny: BaseModel, sums: Dataset) -> list[Example]:
    prompts = Prompts(tiny.folder, jobs.INSTRUCTION)
    return [prompts.example(trace) for trace in traces.read(sums.path)][:24]


@pytest.fixture
def tuned(tiny: BaseModel) -> nnx.Module:
    """The tiny model with LoRA whose B is not zero, so that every path carries a gradient."""
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.LoRAParam)):
        if str(path[-1]).endswith("_lora_b"):
            variable.set_value(0.02 * jax.random.normal(jax.random.key(len(str(path))), variable.shape))
    return model


def gradients(function: Any, model: nnx.Module, arguments: dict[str, Any]) -> tuple[float, dict[str, np.ndarray]]:
    value, state = nnx.value_and_grad(function, argnums=nnx.DiffState(0, nnx.LoRAParam))(model, **arguments)
    return float(value), {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)}


def default_input(example: Example) -> dict[str, Any]:
    """One unpacked example as Tunix's own default loss takes it."""
    length = len(example.tokens)
    return {
        "input_tokens": jnp.array([example.tokens]),
        "input_mask": (jnp.arange(length) >= example.prefix)[None],
        "positions": jnp.arange(length)[None],
        "attention_mask": jnp.tril(jnp.ones((1, length, length), jnp.bool_)),
    }


def test_lean_loss_and_gradients_equal_the_default_loss(tuned: nnx.Module, examples: list[Example]) -> None:
    for example in examples[:3]:
        micro = packing.plan([example], Batch(row_tokens=512, rows=1, accumulation=1), 0, 1)[0].micro[0]
        lean, lean_gradients = gradients(loss.lean_loss, tuned, loss.model_input(micro))
        default, default_gradients = gradients(peft_trainer._default_loss_fn, tuned, default_input(example))
        assert lean == pytest.approx(default, abs=1e-5)
        assert max(float(np.abs(g).max()) for g in default_gradients.values()) > 1e-4
        for name, expected in default_gradients.items():
            np.testing.assert_allclose(lean_gradients[name], expected, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("leading", [(), (5,), (2, 5)])
def test_the_low_rank_product_and_its_gradients_are_those_jax_would_take(leading: tuple[int, ...]) -> None:
    keys = jax.random.split(jax.random.key(3), 4)
    x, a, b, weight = (
        jax.random.normal(key, shape) for key, shape in zip(keys, ((*leading, 7), (7, 3), (3, 11), (*leading, 11)), strict=True)
    )
    dimensions = ((len(leading),), (), (7,), (), (11,), 3)

    def taken(function: Any) -> Any:
        return jax.value_and_grad(lambda *given: jnp.sum(weight * function(*given, *dimensions)), argnums=(0, 1, 2))(x, a, b)

    for found, expected in zip(jax.tree.leaves(taken(low_rank.delta)), jax.tree.leaves(taken(low_rank.plain)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_feed_forward_blocks_compute_their_adapters_with_it(
    tiny: BaseModel, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    seen: list[tuple[int, ...]] = []
    product = low_rank.product
    monkeypatch.setattr(
        low_rank, "product", lambda _, x, a, b: (seen.append((x.shape[-1], b.shape[-1])), product(None, x, a, b))[1]
    )
    micro = packing.plan(examples[:1], Batch(row_tokens=512, rows=1, accumulation=1), 0, 1)[0].micro[0]
    loss.lean_loss(model, **loss.model_input(micro))
    embed, hidden = model.config.embed_dim, model.config.hidden_dim
    assert seen == [(embed, hidden), (embed, hidden), (hidden, embed)] * model.config.num_layers


def test_a_loss_that_walks_the_layers_itself_would_train_nothing(tuned: nnx.Module, examples: list[Example]) -> None:
    """Negative control for the test above: past `model(...)`, qwix's adapters get no gradient."""

    def bypassing(
        model: Any, input_tokens: Any, positions: Any, attention_mask: Any, slots: Any, targets: Any, weights: Any
    ) -> Any:
        x = model.embedder.encode(input_tokens)
        for layer in model.layers:
            _, x = layer(x, positions, None, attention_mask)
        logits = model.embedder.decode(model.final_norm(x).reshape(-1, x.shape[-1])[slots])
        return -jnp.sum(weights * jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], 1)[:, 0])

    micro = packing.plan(examples[:2], Batch(row_tokens=512, rows=1, accumulation=1), 0, 1)[0].micro[0]
    _, wrong = gradients(bypassing, tuned, loss.model_input(micro))
    assert all(not g.any() for g in wrong.values())


@pytest.mark.parametrize("share", [False, True])
def test_packed_rows_give_each_example_the_loss_and_gradient_it_has_alone(
    share: bool, tuned: nnx.Module, examples: list[Example]
) -> None:
    batch = Batch(row_tokens=1024, rows=2, accumulation=1, share_prefix=share)
    step = packing.plan(examples[:6], batch, 0, 1)[0]
    assert len(step.ids) == 6
    assert (step.shared > 20, step.spared > 60) == (share, share)
    packed, packed_gradients = gradients(loss.lean_loss, tuned, loss.model_input(step.micro[0]))
    alone = [gradients(peft_trainer._default_loss_fn, tuned, default_input(example)) for example in examples[:6]]
    lengths = [len(example.tokens) - example.prefix for example in examples[:6]]
    assert packed == pytest.approx(np.average([value for value, _ in alone], weights=lengths), abs=1e-5)
    for name, found in packed_gradients.items():
        expected = np.average([gradient[name] for _, gradient in alone], axis=0, weights=lengths)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


def test_examples_that_did_not_see_what_they_share_would_have_another_loss(tuned: nnx.Module, examples: list[Example]) -> None:
    """Negative control for the test above."""
    micro = packing.plan(examples[:6], Batch(row_tokens=1024, rows=2, accumulation=1), 0, 1)[0].micro[0]
    hidden = micro._replace(segments=np.where(micro.segments == packing.SHARED, 99, micro.segments))
    values = [float(loss.lean_loss(tuned, **loss.model_input(one))) for one in (micro, hidden)]
    assert abs(values[0] - values[1]) > 1e-3


@pytest.mark.parametrize("share", [False, True])
def test_nothing_attends_across_examples(share: bool, tuned: nnx.Module, examples: list[Example]) -> None:
    """Changing one example of a row leaves the hidden states of its neighbours untouched, and of what they share."""
    first, second = examples[0], examples[1]
    changed = Example("changed", (*second.tokens[:-4], 70, 71, 72, 73), second.prefix)
    batch = Batch(row_tokens=1024, rows=1, accumulation=1, share_prefix=share)

    def hidden(other: Example) -> np.ndarray:
        micro = packing._micro([[other, first]], batch, 1024, 1.0, packing.common([other, first], batch))
        given = loss.model_input(micro)
        logits, _ = tuned(given["input_tokens"], given["positions"], None, given["attention_mask"])
        return np.asarray(logits[0, np.isin(micro.segments[0], (packing.SHARED, 2))])

    assert len(hidden(second)) == len(first.tokens)
    np.testing.assert_array_equal(hidden(second), hidden(changed))


def unpacked(steps: list[packing.StepBatch]) -> list[packing.StepBatch]:
    """The same steps with the same examples in the same order, each in a row of its own."""
    alone = [[[example] for row in step.rows for example in row] for step in steps]
    batch = Batch(row_tokens=512, rows=max(map(len, alone)), accumulation=1)
    slots = max(step.trained for step in steps)
    return [packing.StepBatch([*rows, *[[]] * (batch.rows - len(rows))], batch, slots, 0) for rows in alone]


def test_packed_and_unpacked_training_agree_step_by_step_and_on_what_was_held_out(
    tiny: BaseModel, examples: list[Example], tmp_path: Path
) -> None:
    batch = Batch(row_tokens=1024, rows=2, accumulation=1)
    packed = packing.plan(examples[:16], batch, 0, 2)
    held_out = packing.held_out(examples[16:], batch)
    found: dict[str, tuple[list[float], float]] = {}
    for name, steps in (("packed", packed), ("unpacked", unpacked(packed))):
        assert [step.ids for step in steps] == [step.ids for step in packed]
        model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
        before = sum(float(loss.lean_loss(model, **loss.model_input(micro))) for micro in held_out)
        config = TrainConfig(name="t", model="tiny", tuning=LORA, batch=steps[0].batch, optimizer=FAST)
        (tmp_path / name).mkdir()
        trainer.make(model, config, len(steps), steps, tmp_path / name).train(m for step in steps for m in step.micro)
        rows = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        after = sum(float(loss.lean_loss(model, **loss.model_input(micro))) for micro in held_out)
        assert after < before, "the verdict on what was held out is that it got better"
        found[name] = [row["loss"] for row in rows], after
    assert found["unpacked"][0] == pytest.approx(found["packed"][0], abs=1e-3)
    assert found["unpacked"][1] == pytest.approx(found["packed"][1], abs=1e-3)


def run_steps(model: nnx.Module, tuning: Any, examples: list[Example], folder: Path, count: int = 1) -> list[dict[str, Any]]:
    config = TrainConfig(name="t", model="tiny", tuning=tuning, batch=BATCH)
    steps = packing.plan(examples, BATCH, 0, 3)[:count]
    trainer.make(model, config, count, steps, folder).train(micro for step in steps for micro in step.micro)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_after_one_step_every_lora_pair_has_moved_and_nothing_else(
    tiny: BaseModel, examples: list[Example], tmp_path: Path
) -> None:
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    before = weights.trained(model, LORA)
    frozen = weights.trained(model, jobs.Full())
    rows = run_steps(model, LORA, examples, tmp_path)
    after = weights.trained(model, LORA)
    pairs = [name.removesuffix("_lora_b") for name in before if name.endswith("_lora_b")]
    assert len(pairs) == 2 * 7
    assert all((after[f"{pair}_lora_b"] != before[f"{pair}_lora_b"]).any() for pair in pairs)
    for name, value in weights.trained(model, jobs.Full()).items():
        if "_lora_" not in name:
            np.testing.assert_array_equal(value, frozen[name])
    assert rows[0]["grad_norm"] > 0


def test_the_step_is_compiled_once_and_frozen_weights_stay_where_they_are(
    tiny: BaseModel, examples: list[Example], tmp_path: Path
) -> None:
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    config = TrainConfig(name="t", model="tiny", tuning=LORA, batch=BATCH)
    steps = packing.plan(examples, BATCH, 0, 3)[:3]
    run = trainer.make(model, config, 3, steps, tmp_path)
    frozen = model.layers[0].mlp.up_proj.kernel
    place = frozen[...].unsafe_buffer_pointer()
    run.train(micro for step in steps for micro in step.micro)
    assert run.train_steps == 3
    assert run._jitted_train_step_fn.func.jitted_fn._cache_size() == 1
    assert frozen[...].unsafe_buffer_pointer() == place


def test_full_tuning_moves_every_tensor(tiny: BaseModel, examples: list[Example], tmp_path: Path) -> None:
    model = weights.load(tiny.folder)
    before = weights.trained(model, jobs.Full())
    run_steps(model, jobs.Full(), examples, tmp_path)
    after = weights.trained(model, jobs.Full())
    assert [name for name in before if not (after[name] != before[name]).any()] == []


def test_accumulated_micro_batches_equal_one_large_batch(tiny: BaseModel, examples: list[Example], tmp_path: Path) -> None:
    """The loss of a step, and its gradient norm, do not depend on how the step is cut into micro-batches."""
    results = []
    for rows, accumulation in ((4, 1), (1, 4)):
        batch = Batch(row_tokens=512, rows=rows, accumulation=accumulation)
        model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
        config = TrainConfig(name="t", model="tiny", tuning=LORA, batch=batch)
        steps = packing.plan(examples, batch, 0, 1)[:2]
        folder = tmp_path / f"{rows}"
        folder.mkdir()
        trainer.make(model, config, 2, steps, folder).train(micro for step in steps for micro in step.micro)
        results.append([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])
    for one, other in zip(*results, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)


def test_the_loss_falls(tiny: BaseModel, examples: list[Example], tmp_path: Path) -> None:
    model = weights.add_lora(weights.load(tiny.folder), LORA, seed=1)
    config = TrainConfig(name="t", model="tiny", tuning=LORA, batch=BATCH, optimizer=FAST)
    steps = packing.plan(examples, BATCH, 0, 6)
    trainer.make(model, config, len(steps), steps, tmp_path).train(micro for step in steps for micro in step.micro)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.5


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    tiny: BaseModel, examples: list[Example], tmp_path: Path
) -> None:
    model = weights.load(tiny.folder)
    model.final_norm.w.set_value(jnp.full_like(model.final_norm.w[...], jnp.nan))
    with pytest.raises(errors.Failed, match=r"loss of step 1 is nan.*learning_rate") as told:
        run_steps(model, jobs.Full(), examples, tmp_path)
    seen = packing.plan(examples, BATCH, 0, 3)[0].ids
    assert (told.value.details["step"], told.value.details["traces"]) == (1, list(seen))
    assert seen[0][:12] in told.value.message
    assert not list((tmp_path / "checkpoints").glob("*/sha256.json"))


@pytest.mark.parametrize(("alpha", "finite"), [(1e30, False), (8.0, True)])
def test_a_gradient_that_is_not_finite_stops_the_run_though_its_loss_is(
    tiny: BaseModel, examples: list[Example], tmp_path: Path, alpha: float, finite: bool
) -> None:
    """Adapters start at zero, so a huge alpha shows in the gradient first, here in that of the last step."""
    tuning = Lora(rank=4, alpha=alpha)
    model = weights.add_lora(weights.load(tiny.folder), tuning, seed=1)
    if finite:
        run_steps(model, tuning, examples, tmp_path)
    else:
        with pytest.raises(errors.Failed, match="gradient norm of step 1 is") as told:
            run_steps(model, tuning, examples, tmp_path)
        details = {"reason": "nan_loss", "step": 1, "traces": list(packing.plan(examples, BATCH, 0, 3)[0].ids)}
        assert told.value.details == details
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert (np.isfinite(line["loss"]), np.isfinite(float(line["grad_norm"]))) == (True, finite)
    assert bool(list((tmp_path / "checkpoints").glob("*/sha256.json"))) == finite


def test_an_adapter_merged_into_the_base_gives_the_tuned_logits(
    tiny: BaseModel, tuned: nnx.Module, examples: list[Example], tmp_path: Path
) -> None:
    digest = weights.save_adapter(tuned, LORA, tiny.digest, tmp_path)
    merged = weights.load(tiny.folder)
    given = default_input(examples[0])
    arguments = (given["input_tokens"], given["positions"], None, given["attention_mask"])
    base, _ = merged(*arguments)
    weights.merge_adapter(merged, tmp_path, base=tiny.digest, digest=digest)
    expected, _ = tuned(*arguments)
    found, _ = merged(*arguments)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert float(np.abs(np.asarray(expected) - np.asarray(base)).max()) > 1e-2
    with pytest.raises(errors.Invalid, match="trained on base model"):
        weights.merge_adapter(merged, tmp_path, base="f" * 64, digest=digest)
    (tmp_path / weights.TENSORS).write_bytes((tmp_path / weights.TENSORS).read_bytes()[:-1] + b"x")
    with pytest.raises(errors.Tampered):
        weights.merge_adapter(merged, tmp_path, base=tiny.digest, digest=digest)


# ── the model is the one its config describes ───────────────────────────────────────────────────────────────────────


def reference_logits(folder: Path, tokens: list[int]) -> np.ndarray:
    """A llama forward pass in numpy, written from the architecture's description (Touvron et al. 2023; Su et al. 2021)."""
    config, t = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    heads, kv_heads, size = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"])

    def rotate(x: np.ndarray) -> np.ndarray:
        angles = np.outer(np.arange(len(tokens)), config["rope_theta"] ** (-2 * np.arange(size // 2) / size))[:, None]
        a, b = x[..., : size // 2], x[..., size // 2 :]
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], -1)

    x = t["model.embed_tokens.weight"][tokens].astype(np.float64)
    future = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for number in range(config["num_hidden_layers"]):
        w = {k.split(".", 3)[3].removesuffix(".weight"): v for k, v in t.items() if k.startswith(f"model.layers.{number}.")}
        h = norm(x, w["input_layernorm"])
        q = rotate((h @ w["self_attn.q_proj"].T).reshape(-1, heads, size))
        k = rotate((h @ w["self_attn.k_proj"].T).reshape(-1, kv_heads, size)).repeat(heads // kv_heads, 1)
        v = (h @ w["self_attn.v_proj"].T).reshape(-1, kv_heads, size).repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + future
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", shares, v).reshape(len(tokens), -1) @ w["self_attn.o_proj"].T
        h = norm(x, w["post_attention_layernorm"])
        gate = h @ w["mlp.gate_proj"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T
    return np.asarray(norm(x, t["model.norm.weight"]) @ t["model.embed_tokens.weight"].T)


def logits_of(model: Any, tokens: list[int]) -> np.ndarray:
    length = len(tokens)
    logits, _ = model(jnp.array([tokens]), jnp.arange(length)[None], None, jnp.tril(jnp.ones((1, length, length), jnp.bool_)))
    return np.asarray(logits[0])


def test_logits_agree_with_an_independent_forward_pass(tiny: BaseModel, examples: list[Example]) -> None:
    tokens = list(examples[0].tokens)
    np.testing.assert_allclose(logits_of(weights.load(tiny.folder), tokens), reference_logits(tiny.folder, tokens), atol=1e-4)


def test_tunix_alone_would_use_another_rope_base(tiny: BaseModel, examples: list[Example]) -> None:
    """Negative control: without the engine's correction Tunix's llama ignores its config's rope_theta."""
    model = weights.load(tiny.folder)
    tokens = list(examples[0].tokens)
    corrected, llama.apply_rope = llama.apply_rope, families._plain["llama"]
    try:
        wrong = logits_of(model, tokens)
    finally:
        llama.apply_rope = corrected
    assert np.abs(wrong - reference_logits(tiny.folder, tokens)).max() > 1e-3


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_checkpoint_is_verified_and_any_change_is_found(tiny: BaseModel, examples: list[Example], tmp_path: Path) -> None:
    run_steps(weights.add_lora(weights.load(tiny.folder), LORA, seed=1), LORA, examples, tmp_path)
    step = tmp_path / "checkpoints" / "1"
    checkpoints.verify(step)
    files = [path for path in sorted(step.rglob("*")) if path.is_file() and path.name != checkpoints.MANIFEST]
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else b"x")
        with pytest.raises(errors.Tampered):
            checkpoints.verify(step)
        file.write_bytes(data)
    (step / "extra").write_text("x")
    with pytest.raises(errors.Tampered, match="not in the manifest"):
        checkpoints.verify(step)
    (step / "extra").unlink()
    files[0].unlink()
    with pytest.raises(errors.Tampered, match="missing"):
        checkpoints.verify(step)


def test_models_are_converted_once_and_tampering_is_found(tmp_path: Path) -> None:
    home = settings.load(tmp_path, {})
    first = models.prepare(home, "tiny")
    stamp = (first.folder / "model.safetensors").stat().st_mtime_ns
    assert models.prepare(home, "tiny").digest == first.digest
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == stamp
    data = (first.folder / "model.safetensors").read_bytes()
    (first.folder / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(errors.Tampered, match=r"model\.safetensors"):
        models.prepare(home, "tiny")
