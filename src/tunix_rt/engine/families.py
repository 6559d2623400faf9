"""Tunix's model of each family, made to compute what its config says, and its vocabulary projection taken apart.

google-tunix 0.1.7 leaves parts of a config unused: Llama and Qwen 3 rotate at base 1,000,000 whatever it says, Gemma 2 at
10,000, Gemma 3 has one fixed layer pattern, and both Gemmas place their sliding window by the wrong count once rows are packed
or a cache is a ring. `configure` binds those module functions to the shape at hand. One process runs one model, so a
module-level binding is enough; see decisions 0001 and 0009.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tunix_rt import errors
from tunix_rt.models.shapes import Family, Rope, Shape

_plain: dict[Family, Callable[..., jax.Array]] = {}  # Tunix's own rotations, before they are bound to a base
_ages: list[jax.Array] = []
HEAD = "BTD,DV->BTV"  # the einsum of an untied vocabulary projection, and of nothing else


class Parts(NamedTuple):
    """A family in Tunix: its package, the model's class, and the module with the table of Hub names."""

    package: str
    model: str
    names: str


PARTS: dict[Family, Parts] = {
    "llama": Parts("tunix.models.llama3", "Llama3", "params"),
    "qwen2": Parts("tunix.models.qwen2", "Qwen2", "params"),
    "qwen3": Parts("tunix.models.qwen3", "Qwen3", "params"),
    "gemma2": Parts("tunix.models.gemma", "Gemma", "params_safetensors"),
    "gemma3": Parts("tunix.models.gemma3", "Gemma3", "params_safetensors"),
}


def module(family: Family) -> Any:
    """Tunix's module of the family. Only the one that runs is imported."""
    return importlib.import_module(f"{PARTS[family].package}.model")


def names(shape: Shape, config: Any) -> dict[str, Any]:
    """Tunix's table: pattern of a Hub name -> (path in the model, how to turn the tensor)."""
    parts = PARTS[shape.family]
    table = importlib.import_module(f"{parts.package}.{parts.names}")._get_key_and_transform_mapping(config)
    return dict(table)


def configure(shape: Shape) -> Any:
    """Tunix's `ModelConfig` of the shape, after binding what Tunix would not take from it."""
    sizes = {
        "num_layers": shape.layers,
        "embed_dim": shape.embed,
        "hidden_dim": shape.hidden,
        "num_heads": shape.heads,
        "head_dim": shape.head_dim,
        "num_kv_heads": shape.kv_heads,
    }
    if shape.family in ("gemma2", "gemma3"):
        return _gemma(shape, sizes)
    plain = {**sizes, "vocab_size": shape.vocab, "norm_eps": shape.norm_eps, "rope_theta": shape.rope.theta}
    if shape.family == "llama":
        return _rotating(shape).ModelConfig(**plain, weight_tying=shape.tied)
    tunix = _rotating(shape) if shape.family == "qwen3" else module(shape.family)
    return tunix.ModelConfig(**plain, use_tied_embedding=shape.tied)


def _rotating(shape: Shape) -> Any:
    """The module, its rotation bound to the shape's base."""
    tunix = module(shape.family)
    tunix.apply_rope = _rotation(_plain.setdefault(shape.family, tunix.apply_rope), shape.rope)
    return tunix


def _gemma(shape: Shape, sizes: dict[str, int]) -> Any:
    tunix = module(shape.family)
    kinds = tunix.AttentionType
    pattern = tuple(kinds.LOCAL_SLIDING if local else kinds.GLOBAL for local in shape.local)
    common = {**sizes, "num_embed": shape.vocab, "sliding_window_size": shape.window}
    if shape.family == "gemma2":
        tunix._create_sliding_mask = _window_of_rows
        rotate = _plain.setdefault("gemma2", tunix.apply_rope)
        tunix.apply_rope = functools.partial(rotate, max_wavelength=shape.rope.theta)
        return tunix.ModelConfig(
            **common,
            final_logit_softcap=shape.final_cap,
            attn_logits_soft_cap=shape.attention_cap,
            use_post_attn_norm=True,
            use_post_ffw_norm=True,
            attention_types=pattern,
        )
    tunix.create_sliding_window_mask = _window_of_cache
    tunix.GEMMA3_ATTENTION_PATTERN = pattern
    scale = tunix.QueryPreAttentionNormalisation
    by_head = shape.query_scalar == shape.head_dim
    return tunix.ModelConfig(
        **common,
        local_base_frequency=shape.local_rope.theta,
        global_base_frequency=shape.rope.theta,
        local_scale_factor=shape.local_rope.factor,
        global_scale_factor=shape.rope.factor,
        query_pre_attn_norm=scale.BY_ONE_OVER_SQRT_HEAD_DIM if by_head else scale.BY_ONE_OVER_SQRT_EMBED_DIM_DIV_NUM_HEADS,
        param_dtype=jnp.float32,
    )


def _rotation(plain: Callable[..., jax.Array], rope: Rope) -> Callable[..., jax.Array]:
    if rope.scaling == "none":
        return functools.partial(plain, rope_theta=rope.theta)
    return functools.partial(_rotate, rope)


def _rotate(rope: Rope, inputs: jax.Array, positions: jax.Array, head_dim: int) -> jax.Array:
    """RoPE (Su et al. 2021) with stretched frequencies. inputs: [B, L, heads, head_dim]; positions: [B, L]."""
    angles = positions[..., None, None] * jnp.asarray(frequencies(rope, head_dim))
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    first, second = jnp.split(inputs, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(inputs.dtype)


def frequencies(rope: Rope, head_dim: int) -> np.ndarray:
    """[head_dim / 2] radians a position. "llama3": long waves stretched, short ones kept, between them a blend
    (the rule of Llama 3.1, `transformers.modeling_rope_utils`)."""
    plain = rope.theta ** -(np.arange(0, head_dim, 2) / head_dim)
    if rope.scaling != "llama3":
        return np.asarray(plain / rope.factor, np.float32)
    turns = rope.context * plain / (2 * math.pi)
    kept = np.clip((turns - rope.low) / (rope.high - rope.low), 0.0, 1.0)
    return np.asarray((1 - kept) * plain / rope.factor + kept * plain, np.float32)


def projections(model: Any, targets: Sequence[str]) -> list[str]:
    """Tunix's modules that hold the projections q, k, v, o, gate, up, down; the Gemmas fuse some of them.

    `errors.Invalid` when only a part of a fused one is asked for: its adapter would reach the rest as well.
    """
    attention = model.layers[0].attn
    if hasattr(attention, "q_proj"):
        return [f"{target}_proj" for target in targets]
    fused = "qkv" if hasattr(attention, "qkv_einsum") else "kv"
    asked = [target for target in targets if target in fused]
    if asked and len(asked) < len(fused):
        raise errors.Invalid(
            f"'tuning.targets' has {', '.join(asked)}; this model holds {', '.join(fused)} in one weight: name all or none.",
            field="tuning.targets",
        )
    names = dict.fromkeys(fused, f"{fused}_einsum") | {"o": "attn_vec_einsum"}
    names |= {target: f"{target}_proj" for target in ("gate", "up", "down")}
    return list(dict.fromkeys(names.get(target, "q_einsum") for target in targets))


def input_axis(weight: str) -> int:
    """Which axis of a projection's weight takes the input; it comes first except in the Gemmas' query, key and value."""
    return {"q_einsum.w": 1, "kv_einsum.w": 2, "qkv_einsum.w": 2}.get(".".join(weight.split(".")[-2:]), 0)


@contextmanager
def ages(of_slots: jax.Array) -> Iterator[None]:
    """While tracing inside, sliding layers see a cache slot by its age: [B, slots], 0 for the token that asks."""
    _ages.append(of_slots)
    try:
        yield
    finally:
        _ages.pop()


def _window_of_cache(attention_mask: jax.Array, sliding_window_size: int) -> jax.Array:
    """Gemma 3 asks for this with a single query in each row."""
    if not _ages:
        return jnp.ones(attention_mask.shape, jnp.bool_)  # one query, and no cache: it sees itself
    return jnp.less(_ages[-1], sliding_window_size)[:, None, :]


def _window_of_rows(segment_pos: jax.Array, cache_len: int, sliding_window_size: int) -> jax.Array:
    """Gemma 2's window, counted along the row and not from positions, which start again at each packed example."""
    if _ages:
        return jnp.less(_ages[-1], sliding_window_size)[:, None, :]
    rows = jnp.arange(segment_pos.shape[1])[:, None] - jnp.arange(cache_len)[None, :]
    return jnp.less(jnp.abs(rows), sliding_window_size)[None]


@contextmanager
def final_hidden(model: nnx.Module) -> Iterator[list[jax.Array]]:
    """While tracing inside, `model(...)` makes no logits; the list holds the final hidden states, [B, L, embed].

    The model is still called as a whole, because qwix's adapters live in that call only.
    """
    kept: list[jax.Array] = []
    owner, name = _head(model)
    project = getattr(owner, name)

    def keep(self: Any, hidden: jax.Array) -> Any:
        if getattr(self, "einsum_str", HEAD) != HEAD:
            return project(self, hidden)
        kept.append(hidden)
        return hidden

    setattr(owner, name, keep)
    try:
        yield kept
    finally:
        setattr(owner, name, project)


def _head(model: Any) -> tuple[Any, str]:
    """Class and method that project to the vocabulary."""
    return (type(model.lm_head), "__call__") if hasattr(model, "lm_head") else (type(model.embedder), "decode")


def project(model: Any, hidden: jax.Array) -> jax.Array:
    """float32 logits [N, vocabulary] of final hidden states [N, embed], as the model itself would make them."""
    logits = model.lm_head(hidden[None])[0] if hasattr(model, "lm_head") else model.embedder.decode(hidden)
    cap = getattr(model, "final_logits_softcap", None)
    if cap is not None:
        logits = jnp.tanh(logits / cap) * cap
    return jnp.asarray(logits, jnp.float32)
