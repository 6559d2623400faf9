"""Completion-only loss that projects trained positions to the vocabulary and no others.

Tunix's default loss makes logits, their log-softmax and a one-hot for every position; here hidden states are gathered
first, so the largest array is [trained positions, vocabulary]. The forward pass still goes through `model(...)`, because
qwix patches only that call: a loss that walks the layers itself trains nothing.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from tunix_rt.engine import families
from tunix_rt.engine.packing import SHARED, MicroBatch


def model_input(micro: MicroBatch) -> dict[str, Any]:
    """The arguments of `lean_loss` from the arrays of a micro-batch; attention is causal, within a segment and to what the
    row's segments share."""
    segments = jnp.asarray(micro.segments)
    length = segments.shape[1]
    seen = (segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == SHARED)
    causal = jnp.tril(jnp.ones((length, length), jnp.bool_))
    return {
        "input_tokens": jnp.asarray(micro.tokens),
        "positions": jnp.asarray(micro.positions),
        "attention_mask": seen & causal,
        "slots": jnp.asarray(micro.slots),
        "targets": jnp.asarray(micro.targets),
        "weights": jnp.asarray(micro.weights),
    }


def lean_loss(
    model: nnx.Module,
    input_tokens: jax.Array,
    positions: jax.Array,
    attention_mask: jax.Array,
    slots: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    """sum(weights * nll) over the trained positions; see `packing.MicroBatch` for shapes and for what it means."""
    return _nll(model, _chosen(model, input_tokens, positions, attention_mask, slots), targets, weights)


def configured(dtype: jnp.dtype | None, chunk: int | None) -> Callable[..., jax.Array]:
    """`lean_loss`, or one whose model computes in `dtype` while its parameters keep theirs, or whose largest array is
    [chunk, vocabulary]: the logits are then computed again in the backward pass."""
    if dtype is None and chunk is None:
        return lean_loss

    def loss(
        model: nnx.Module,
        input_tokens: jax.Array,
        positions: jax.Array,
        attention_mask: jax.Array,
        slots: jax.Array,
        targets: jax.Array,
        weights: jax.Array,
    ) -> jax.Array:
        model = model if dtype is None else _cast(model, dtype)
        hidden = _chosen(model, input_tokens, positions, attention_mask, slots)
        return _nll(model, hidden, targets, weights) if chunk is None else _chunked_nll(model, hidden, targets, weights, chunk)

    return loss


def _chosen(
    model: nnx.Module, input_tokens: jax.Array, positions: jax.Array, attention_mask: jax.Array, slots: jax.Array
) -> jax.Array:
    """Hidden states at the slots: [slots, embed]."""
    with families.final_hidden(model) as kept:
        model(input_tokens, positions, None, attention_mask)
    hidden = kept[-1]
    chosen: jax.Array = hidden.reshape(-1, hidden.shape[-1])[slots]
    return chosen


def _nll(model: nnx.Module, hidden: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    logits = families.project(model, hidden)
    return jnp.sum(weights * optax.softmax_cross_entropy_with_integer_labels(logits, targets))


def _chunked_nll(model: nnx.Module, hidden: jax.Array, targets: jax.Array, weights: jax.Array, chunk: int) -> jax.Array:
    """The same sum, block after block: a scan whose body keeps nothing for the backward pass (Chen et al. 2016)."""
    unused = -len(targets) % chunk
    blocks = (
        jnp.pad(hidden, ((0, unused), (0, 0))).reshape(-1, chunk, hidden.shape[-1]),
        jnp.pad(targets, (0, unused)).reshape(-1, chunk),
        jnp.pad(weights, (0, unused)).reshape(-1, chunk),
    )

    @jax.checkpoint
    def add(total: jax.Array, block: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return total + _nll(model, *block)

    total, _ = jax.lax.scan(lambda total, block: (add(total, block), None), jnp.zeros(()), blocks)
    return jnp.asarray(total)


def _cast(model: nnx.Module, dtype: jnp.dtype) -> nnx.Module:
    """The model with its float32 parameters cast; gradients flow back to them in float32."""
    graph, state = nnx.split(model)
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf, state)
    return nnx.merge(graph, cast)
