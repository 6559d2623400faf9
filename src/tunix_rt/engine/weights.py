"""Models in memory: load a Hub-layout folder into Tunix's llama, add LoRA, save and merge what was trained.

A trained run leaves `adapter/adapter.safetensors` (the trained tensors, named by their path in the model) and
`adapter/adapter_config.json`; the sha256 of the tensors is the adapter's digest.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import qwix
from flax import nnx
from safetensors.numpy import load_file, save
from tunix.models.llama3 import model as llama
from tunix.models.llama3 import params as llama_params

from tunix_rt import errors, values
from tunix_rt.jobs import Full, Lora

TENSORS = "adapter.safetensors"
CONFIG = "adapter_config.json"
_APPLY_ROPE = llama.apply_rope


def load(folder: Path) -> nnx.Module:
    """The float32 model of a Hub-layout folder. Raises `errors.Invalid` for a shape Tunix's llama does not have."""
    config = model_config(values.read_json(folder / "config.json"), str(folder / "config.json"))
    _use_rope_theta(config.rope_theta)
    return llama_params.create_model_from_safe_tensors(str(folder), config, dtype=jnp.float32)


def model_config(config: dict[str, Any], source: str) -> llama.ModelConfig:
    supported = {"model_type": "llama", "hidden_act": "silu", "tie_word_embeddings": True}
    for key, wanted in supported.items():
        if config.get(key) != wanted:
            raise errors.Invalid(f"{source}: {key!r} is {config.get(key)!r}; this version runs {wanted!r}.", field=key)
    if config.get("rope_scaling"):
        raise errors.Invalid(f"{source}: 'rope_scaling' is set; Tunix's llama has plain RoPE.", field="rope_scaling")
    return llama.ModelConfig(
        num_layers=config["num_hidden_layers"],
        vocab_size=config["vocab_size"],
        embed_dim=config["hidden_size"],
        hidden_dim=config["intermediate_size"],
        num_heads=config["num_attention_heads"],
        head_dim=config["head_dim"],
        num_kv_heads=config["num_key_value_heads"],
        rope_theta=config["rope_theta"],
        norm_eps=config["rms_norm_eps"],
        weight_tying=True,
    )


def _use_rope_theta(theta: float) -> None:
    """Make Tunix's llama use its own config's RoPE base.

    google-tunix 0.1.7 calls `apply_rope` without it, so every llama runs at 1,000,000 whatever its config says; at
    SmolLM2's 100,000 the logits then agree with transformers to 1e-4. One process runs one model, so a module-level
    setting is enough.
    """
    llama.apply_rope = functools.partial(_APPLY_ROPE, rope_theta=theta)


def add_lora(model: nnx.Module, lora: Lora, seed: int) -> nnx.Module:
    """The model with seeded adapters on the chosen projections; B starts at zero, so its output is unchanged."""
    provider = qwix.LoraProvider(
        module_path=f".*({'|'.join(f'{target}_proj' for target in lora.targets)})", rank=lora.rank, alpha=lora.alpha
    )
    example = {
        "input_tokens": jnp.ones((1, 2), jnp.int32),
        "positions": jnp.zeros((1, 2), jnp.int32),
        "cache": None,
        "attention_mask": jnp.ones((1, 2, 2), jnp.bool_),
    }
    return qwix.apply_lora_to_model(model, provider, rngs=nnx.Rngs(seed), **example)


def trained(model: nnx.Module, tuning: Lora | Full) -> dict[str, np.ndarray]:
    """The tensors training changes, by dotted path."""
    kind = nnx.LoRAParam if tuning.method == "lora" else nnx.Param
    flat = nnx.to_flat_state(nnx.state(model, kind))
    return {".".join(map(str, path)): np.asarray(variable[...]) for path, variable in flat}


def save_adapter(model: nnx.Module, tuning: Lora | Full, base: str, folder: Path) -> str:
    """Write the adapter folder; returns the sha256 of its tensors."""
    data = save(trained(model, tuning), metadata={"format": "tunix-rt"})
    values.write_bytes(folder / TENSORS, data)
    config = {**tuning.model_dump(mode="json"), "base_model_digest": base, "sha256": values.sha256(data)}
    values.write_json(folder / CONFIG, config)
    return values.sha256(data)


def merge_adapter(model: nnx.Module, folder: Path, *, base: str, digest: str) -> None:
    """Put a saved adapter into a base model in place: W + (alpha / rank) A B for LoRA, replacement for full tuning.

    Raises `errors.Tampered` when the tensors are not the ones named, `errors.Invalid` when they belong to another base.
    """
    config = values.read_json(folder / CONFIG)
    if values.sha256_file(folder / TENSORS) != digest:
        raise errors.Tampered(f"{folder / TENSORS} is not the adapter {digest[:12]} this job names.", path=str(folder))
    if config["base_model_digest"] != base:
        raise errors.Invalid(f"the adapter was trained on base model {config['base_model_digest'][:12]}, not on {base[:12]}.")
    tensors = load_file(folder / TENSORS)
    params = dict(nnx.to_flat_state(nnx.state(model, nnx.Param)))
    updates = _lora_updates(tensors, config["alpha"] / config["rank"]) if config["method"] == "lora" else tensors
    for name, update in updates.items():
        variable = params[tuple(int(part) if part.isdigit() else part for part in name.split("."))]
        variable.set_value(variable[...] + update if config["method"] == "lora" else jnp.asarray(update))


def _lora_updates(tensors: dict[str, np.ndarray], scale: float) -> dict[str, jax.Array]:
    """Update of each weight. A: [..., rank], B: [rank, ...]; their product has the weight's shape."""
    names = sorted(name.removesuffix("_lora_a") for name in tensors if name.endswith("_lora_a"))
    return {name: scale * jnp.tensordot(tensors[f"{name}_lora_a"], tensors[f"{name}_lora_b"], axes=1) for name in names}
