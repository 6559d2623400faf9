"""Models in memory: load a Hub-layout folder into Tunix's model of its family, add LoRA, save and merge what was trained.

A trained run leaves `adapter/adapter.safetensors` (the trained tensors, named by their path in the model) and
`adapter/adapter_config.json`; the sha256 of the tensors is the adapter's digest.
"""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import qwix
from flax import nnx
from safetensors.numpy import load_file, save

from tunix_rt import errors, values
from tunix_rt.engine import families, hosts, low_rank, tensors
from tunix_rt.jobs import Full, Lora
from tunix_rt.models import shapes

TENSORS = "adapter.safetensors"
CONFIG = "adapter_config.json"
NF4_BLOCK = 64


def load(folder: Path, dtype: Any = jnp.float32) -> nnx.Module:
    """The model of a Hub-layout folder. Raises `errors.Invalid` for a shape that Tunix's models do not have."""
    return tensors.load(folder, shapes.of_folder(folder), dtype)


def add_lora(model: nnx.Module, lora: Lora, seed: int) -> nnx.Module:
    """The model with seeded adapters on the chosen projections; B starts at zero, so its output is unchanged but for what
    rounding of the frozen weights changes."""
    modules = families.projections(model, lora.targets)
    low_rank.bind()
    provider = qwix.LoraProvider(
        module_path=f".*({'|'.join(modules)})", rank=lora.rank, alpha=lora.alpha, **_quantized(model, lora)
    )
    tokens, mask = jnp.ones((1, 2), jnp.int32), jnp.ones((1, 2, 2), jnp.bool_)
    return qwix.apply_lora_to_model(model, provider, tokens, jnp.zeros_like(tokens), None, mask, rngs=nnx.Rngs(seed))


def _quantized(model: Any, lora: Lora) -> dict[str, Any]:
    """What makes qwix keep the weights in fewer bits. NormalFloat has a scale for each block of 64 inputs, or of as many as
    divide the sides of every projection. `errors.Invalid` for a family whose weights must stay arrays."""
    if lora.quantize == "none":
        return {}
    if type(model).__name__.startswith("Qwen"):
        raise errors.Invalid(
            f"'tuning.quantize' is {lora.quantize!r}, which Tunix's {type(model).__name__} cannot have: it casts every weight, "
            "which a quantized one does not allow; leave it out.",
            field="tuning.quantize",
        )
    config = model.config
    block = math.gcd(NF4_BLOCK, config.embed_dim, config.hidden_dim, config.head_dim)
    return {"weight_qtype": lora.quantize, "tile_size": block if lora.quantize == "nf4" else None}


def trained(model: nnx.Module, tuning: Lora | Full) -> dict[str, np.ndarray]:
    """The tensors training changes, by dotted path."""
    kind = nnx.LoRAParam if tuning.method == "lora" else nnx.Param
    flat = nnx.to_flat_state(nnx.state(model, kind))
    return {".".join(map(str, path)): hosts.whole(variable[...]) for path, variable in flat}


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
    """Update of each weight: A [inputs..., rank] times B [rank, outputs...], the axes in the weight's own order."""
    names = sorted(name.removesuffix("_lora_a") for name in tensors if name.endswith("_lora_a"))
    products = {name: jnp.tensordot(tensors[f"{name}_lora_a"], tensors[f"{name}_lora_b"], axes=1) for name in names}
    return {name: scale * jnp.moveaxis(product, 0, families.input_axis(name)) for name, product in products.items()}
