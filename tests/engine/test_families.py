"""Each family computes what `transformers` computes, and a config it cannot follow is refused by the name of the key."""

import json
import shutil
from pathlib import Path
from typing import Any

import instances
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from tunix_rt import errors, models, settings
from tunix_rt.engine import loss, packing, tensors, training, weights
from tunix_rt.engine.corpus import Corpus
from tunix_rt.engine.prompts import Example
from tunix_rt.jobs import Batch, Lora, TrainConfig
from tunix_rt.models import BaseModel, imports, shapes
from tunix_rt.models.folders import Manifest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LENGTH = 40  # longer than the sliding windows, and than llama3's original context


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """name -> (folder, PyTorch model), each made once."""
    known: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            known[name] = folder, instances.made(name, folder)
        return known[name]

    return get


def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 259, (2, LENGTH))


def theirs(model: Any, given: np.ndarray) -> np.ndarray:
    torch = instances.parity("torch")
    with torch.no_grad():
        return np.asarray(model(torch.tensor(given)).logits)


def ours(model: Any, given: np.ndarray) -> np.ndarray:
    rows, length = given.shape
    positions = jnp.tile(jnp.arange(length), (rows, 1))
    mask = jnp.tril(jnp.ones((rows, length, length), jnp.bool_))
    forward = nnx.jit(lambda called, *arguments: called(*arguments)[0])
    return np.asarray(forward(model, jnp.asarray(given), positions, None, mask))


@pytest.mark.parametrize("name", instances.INSTANCES)
def test_logits_are_those_of_transformers(name: str, made: Any) -> None:
    folder, model = made(name)
    expected = theirs(model, tokens())
    assert float(np.abs(expected).max()) > 1.0
    np.testing.assert_allclose(ours(weights.load(folder), tokens()), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", instances.INSTANCES)
def test_the_shape_counts_the_parameters_there_are(name: str, made: Any) -> None:
    folder, model = made(name)
    assert shapes.of_folder(folder).parameters == model.num_parameters()


WRONG: dict[str, dict[str, Any]] = {
    "llama": {"rope": {"theta": 1e6}},
    "llama-3": {"rope": {"theta": 5e5}},
    "qwen2": {"rope": {"theta": 1e5}},
    "qwen3": {"rope": {"theta": 1e6}},
    "gemma2": {"window": 10},
    "gemma3": {"local_rope": {"theta": 1e6}},
}


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_number_of_the_config_misses_them(name: str, made: Any) -> None:
    """Negative control. The wrong bases of llama and qwen3 are the ones Tunix has built in."""
    folder, model = made(name)
    wrong = shapes.Shape.model_validate({**shapes.of_folder(folder).model_dump(), **WRONG[name]})
    found = ours(tensors.load(folder, wrong, jnp.float32), tokens())
    assert float(np.abs(found - theirs(model, tokens())).max()) > 1e-2


@pytest.mark.parametrize("name", instances.ONE_EACH)
def test_packed_examples_have_the_loss_they_have_alone_and_every_adapter_learns(name: str, made: Any) -> None:
    """Also across a sliding window, which Tunix counts from positions that start again in a packed row."""
    torch = instances.parity("torch")
    folder, model = made(name)
    rng = np.random.default_rng(1)
    examples = [Example(str(k), tuple(map(int, rng.integers(3, 259, 24 + k))), 4) for k in range(3)]
    micro = packing.plan(examples, Batch(row_tokens=128, rows=1, accumulation=1), 0, 1)[0].micro[0]
    alone = []
    for example in examples:
        logits = torch.tensor(theirs(model, np.array([example.tokens]))[0])
        alone.append(float(torch.nn.functional.cross_entropy(logits[3:-1], torch.tensor(example.tokens[4:]))))
    tuned = weights.add_lora(weights.load(folder), Lora(rank=2), seed=1)
    lengths = [len(example.tokens) - 4 for example in examples]
    both = nnx.jit(nnx.value_and_grad(loss.lean_loss, argnums=nnx.DiffState(0, nnx.LoRAParam)))
    value, gradient = both(tuned, **loss.model_input(micro))
    assert float(value) == pytest.approx(np.average(alone, weights=lengths), abs=1e-4)
    found = nnx.to_flat_state(gradient)
    moved = {".".join(map(str, path)): bool(np.asarray(leaf[...]).any()) for path, leaf in found}
    assert [path for path, any_moved in moved.items() if path.endswith("_lora_b") and not any_moved] == []
    assert sum(path.endswith("_lora_b") for path in moved) >= 2 * 5


@pytest.mark.parametrize("name", instances.ONE_EACH)
def test_rows_that_share_what_their_examples_begin_with_are_right_for_every_family(name: str, made: Any) -> None:
    """Short of a sliding window, which counts along the row; `training.planned` shares nothing in rows that are longer."""
    folder, _ = made(name)
    rng = np.random.default_rng(2)
    first = tuple(range(30, 36))
    examples = [Example(str(k), (*first, *map(int, rng.integers(40, 259, 12 + k))), 8) for k in range(3)]
    batch = Batch(row_tokens=64, rows=1, accumulation=1)
    kept = shapes.of_folder(folder)

    def both(window: int | None, share: bool) -> tuple[float, list[np.ndarray]]:
        changed = {"window": window} if kept.window else {}
        model = tensors.load(folder, shapes.Shape.model_validate({**kept.model_dump(), **changed}), jnp.float32)
        steps = packing.plan(examples, batch.model_copy(update={"share_prefix": share}), 0, 1)
        assert [len(step.ids) for step in steps] == [3]
        tuned = weights.add_lora(model, Lora(rank=2), seed=1)
        of_adapters = nnx.jit(nnx.value_and_grad(loss.lean_loss, argnums=nnx.DiffState(0, nnx.LoRAParam)))
        value, gradient = of_adapters(tuned, **loss.model_input(steps[0].micro[0]))
        return float(value), [np.asarray(leaf[...]) for _, leaf in nnx.to_flat_state(gradient)]

    (shared, of_shared), (alone, of_alone) = both(64, share=True), both(64, share=False)
    assert shared == pytest.approx(alone, abs=1e-5)
    assert max(float(np.abs(one).max()) for one in of_alone) > 1e-3
    for found, expected in zip(of_shared, of_alone, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    if kept.window:
        assert abs(both(kept.window, share=True)[0] - both(kept.window, share=False)[0]) > 1e-4


@pytest.mark.parametrize(("name", "row", "shares"), [("llama", 64, True), ("gemma2", 64, False), ("gemma3", 64, False)])
def test_a_row_longer_than_a_sliding_window_shares_nothing(name: str, row: int, shares: bool, made: Any) -> None:
    folder, _ = made(name)
    first = tuple(range(30, 36))
    part = packing.Part([Example(str(k), (*first, 40 + k, 50), 7) for k in range(3)], 1)
    base = BaseModel(folder, Manifest(name=name, source="", licence="", parameters=0, files={}))
    config = TrainConfig(name="t", model=name, batch=Batch(row_tokens=row, rows=1, accumulation=1))
    plan = training.planned(config, None, Corpus(base, (), (), (part,), None, (), ()))
    assert plan.batch.share_prefix is shares
    assert {step.shared for step in plan.steps} == {6 if shares else 0}


def test_hub_tensors_come_back_as_they_were(made: Any) -> None:
    for name in ("llama-untied", "qwen2", "gemma2", "gemma2-fused", "gemma3"):
        folder, _ = made(name)
        model = weights.load(folder)
        state = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model))}
        stored = load_file(folder / "model.safetensors")
        places = tensors.hub_names(folder, shapes.of_folder(folder))
        assert set(places) == set(stored) - ({"lm_head.weight"} if name != "llama-untied" else set())
        for key, spot in places.items():
            np.testing.assert_array_equal(spot.outwards(np.asarray(state[spot.path][...])), stored[key], err_msg=key)


REFUSED = {
    "model_type": ("llama", {"model_type": "mamba"}),
    "rope_type": ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}),
    "original_max_position_embeddings": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 1e4,
                "factor": 4,
                "low_freq_factor": 1,
                "high_freq_factor": 4,
            }
        },
    ),
    "partial_rotary_factor": ("llama", {"partial_rotary_factor": 0.5}),
    "factor": ("llama", {"rope_scaling": {"rope_type": "linear"}, "rope_parameters": None}),
    "attention_bias": ("llama", {"attention_bias": True}),
    "hidden_act": ("llama", {"hidden_act": "gelu"}),
    "quantization_config": ("llama", {"quantization_config": {"bits": 4}}),
    "use_sliding_window": ("qwen2", {"use_sliding_window": True}),
    "layer_types": ("gemma3", {"layer_types": ["chunked_attention"] * 2}),
    "query_pre_attn_scalar": ("gemma2", {"query_pre_attn_scalar": 144}),
    "final_logit_softcapping": ("gemma3", {"final_logit_softcapping": 30.0}),
    "use_bidirectional_attention": ("gemma3", {"use_bidirectional_attention": True}),
    "rms_norm_eps": ("gemma2", {"rms_norm_eps": 1e-5}),
    "num_hidden_layers": ("qwen3", {"num_hidden_layers": None}),
}


@pytest.mark.parametrize("key", REFUSED)
def test_a_config_that_cannot_be_followed_is_refused_by_key(key: str) -> None:
    name, changes = REFUSED[key]
    config = json.loads(instances.config_of(name).to_json_string())
    shapes.read(config, "config.json")  # negative control
    with pytest.raises(errors.Invalid, match=f"'{key}'") as told:
        shapes.read({**config, **changes}, "config.json")
    assert told.value.details["field"] == key


def test_a_scaling_without_a_type_is_refused_not_dropped() -> None:
    config = {**instances.BASE, "model_type": "llama", "rope_scaling": {"factor": 8}}
    with pytest.raises(errors.Invalid, match="'factor' is 8"):
        shapes.read(config, "config.json")
    assert shapes.read({**config, "rope_scaling": {"factor": 1}}, "config.json").rope.scaling == "none"


def test_old_and_new_spellings_of_rope_mean_the_same() -> None:
    common = dict(instances.BASE)
    old = {**common, "model_type": "gemma3_text", "sliding_window": 9, "rope_theta": 2e5, "rope_local_base_freq": 3e4}
    old |= {"head_dim": 12, "query_pre_attn_scalar": 12}
    new = {key: value for key, value in old.items() if not key.startswith("rope")}
    new["rope_parameters"] = {
        "full_attention": {"rope_type": "default", "rope_theta": 2e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 3e4},
    }
    assert shapes.read(old, "old") == shapes.read(new, "new")


def test_a_tensor_without_a_place_and_a_place_without_a_tensor_are_refused(made: Any, tmp_path: Path) -> None:
    folder, _ = made("llama")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    stored = load_file(folder / "model.safetensors")
    bias = np.zeros(48, np.float32)
    save_file({**stored, "model.layers.0.self_attn.q_proj.bias": bias}, tmp_path / "model.safetensors")
    with pytest.raises(errors.Invalid, match=r"q_proj\.bias' has no place"):
        weights.load(tmp_path)
    del stored["model.norm.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    with pytest.raises(errors.Invalid, match=r"no tensor for the weight 'final_norm\.w'"):
        weights.load(tmp_path)


def test_a_half_of_a_fused_projection_is_refused(made: Any) -> None:
    folder, _ = made("gemma3")
    with pytest.raises(errors.Invalid, match="name all or none"):
        weights.add_lora(weights.load(folder), Lora(rank=2, targets=("q", "v")), seed=1)


def test_shards_are_read_and_a_missing_one_is_named(made: Any, tmp_path: Path) -> None:
    folder, model = made("qwen3")
    source = tmp_path / "sharded"
    source.mkdir()
    model.save_pretrained(source, max_shard_size="60KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / name, source / name)
    home = settings.load(tmp_path / "home", {})
    fetched = models.fetch(home, str(source), name="mine")
    assert len([name for name in fetched.manifest.files if name.endswith(".safetensors")]) > 1
    assert fetched.manifest.parameters == sum(parameter.numel() for parameter in model.parameters())
    np.testing.assert_allclose(ours(weights.load(fetched.folder), tokens()), theirs(model, tokens()), atol=1e-4)
    assert models.prepare(home, "mine").digest == fetched.digest
    assert models.fetch(home, str(source), name="mine").digest == fetched.digest
    with pytest.raises(errors.Conflict, match="--as"):
        models.fetch(home, str(folder), name="mine")
    next(source.glob("model-00002*")).unlink()
    with pytest.raises(errors.Invalid, match="model-00002"):
        models.fetch(home, str(source), name="broken")
    assert "broken" not in models.known(home)


def test_half_precision_is_read_exactly_even_beside_float32(made: Any, tmp_path: Path) -> None:
    """Tunix's loader takes a whole file in the type of its first tensor."""
    torch = instances.parity("torch")
    _, model = made("llama")
    mixed = model.__class__(model.config)
    mixed.load_state_dict(model.state_dict())
    mixed.model.embed_tokens.to(torch.bfloat16)
    mixed.save_pretrained(tmp_path)
    stored = dict(tensors.read(tmp_path))
    assert {str(array.dtype) for array in stored.values()} == {"bfloat16", "float32"}
    loaded: Any = weights.load(tmp_path)
    np.testing.assert_array_equal(
        np.asarray(loaded.embedder.input_embedding[...]), mixed.model.embed_tokens.weight.detach().float().numpy()
    )


def test_what_is_no_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    home = settings.load(tmp_path / "home", {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.Invalid, match=r"has no config\.json"):
        models.fetch(home, str(tmp_path / "empty"))
    with pytest.raises(errors.NotFound, match="no folder, no GGUF file and no Hub id"):
        models.fetch(home, "no-such-thing")
    with pytest.raises(errors.NotFound, match="models pull"):
        models.prepare(home, "../../etc")
    cut = tmp_path / "model.safetensors"
    save_file({"x": np.ones(4, np.float32)}, cut)
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(errors.Invalid, match="cut short"):
        list(imports._tensors(cut))


def test_a_hub_id_without_a_network_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants  # noqa: PLC0415

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(errors.Missing, match=r"neither in the cache nor to be had.*give its path"):
        models.fetch(settings.load(tmp_path / "home", {}), "nobody/nothing")
