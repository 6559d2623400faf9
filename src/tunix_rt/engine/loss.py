"""Completion-only loss that projects trained positions to the vocabulary and no others.

Tunix's default loss makes logits, their log-softmax and a one-hot for every position; here hidden states are gathered
first, so the largest array is [trained positions, vocabulary]. The forward pass still goes through `model(...)`, because
qwix patches only that call: a loss that walks the layers itself trains nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from tunix_rt.engine import families
from tunix_rt.engine.packing import MicroBatch


def model_input(micro: MicroBatch) -> dict[str, Any]:
    """The arguments of `lean_loss` from the arrays of a micro-batch; attention is causal and within a segment."""
    segments = jnp.asarray(micro.segments)
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    causal = jnp.tril(jnp.ones((length, length), jnp.bool_))
    return {
        "input_tokens": jnp.asarray(micro.tokens),
        "positions": jnp.asarray(micro.positions),
        "attention_mask": same & causal,
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
    with families.final_hidden(model) as kept:
        model(input_tokens, positions, None, attention_mask)
    hidden = kept[-1]
    logits = families.project(model, hidden.reshape(-1, hidden.shape[-1])[slots])
    return jnp.sum(weights * optax.softmax_cross_entropy_with_integer_labels(logits, targets))
