"""LoRA's product x A B for the matrices of a feed-forward block, with a gradient that costs what it must.

As JAX would differentiate qwix's product, the gradient of B multiplies the transposed gradient of the output, which XLA writes
out first: on a CPU a fifth of a training step. Here the narrow factor is transposed instead. qwix 0.1.8 has no place for a
product of one's own, so it is bound in its module, as `families` does in Tunix's.
"""

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

_qwix: Any = importlib.import_module("qwix._src.providers.lora")
plain = _qwix._compute_lora_delta


def bind() -> None:
    """From here on, in this process, qwix's adapters compute with `delta`."""
    _qwix._compute_lora_delta = delta


def unbind() -> None:
    """qwix's own product again."""
    _qwix._compute_lora_delta = plain


def delta(
    lhs: jax.Array,
    lora_a: jax.Array,
    lora_b: jax.Array,
    lhs_ca: Sequence[int],
    lhs_ba: Sequence[int],
    contract_shape: Sequence[int],
    batch_shape: Sequence[int],
    remain_shape: Sequence[int],
    rank: int,
    precision: Any = None,
) -> jax.Array:
    """qwix's `_compute_lora_delta`, ours where `lhs` [..., inputs] meets A [inputs, rank] and B [rank, outputs]."""
    if batch_shape or len(remain_shape) != 1 or tuple(lhs_ca) != (lhs.ndim - 1,):
        made: jax.Array = plain(
            lhs, lora_a, lora_b, lhs_ca, lhs_ba, contract_shape, batch_shape, remain_shape, rank, precision=precision
        )
        return made
    return product(precision, lhs, lora_a, lora_b)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(precision: Any, x: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """[..., inputs] times [inputs, rank] times [rank, outputs]."""
    return jnp.dot(jnp.dot(x, a, precision=precision), b, precision=precision)


def _forward(precision: Any, x: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    narrow = jnp.dot(x, a, precision=precision)
    return jnp.dot(narrow, b, precision=precision), (x, narrow, a, b)


def _backward(precision: Any, kept: tuple[jax.Array, ...], of_output: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, narrow, a, b = kept
    dot = functools.partial(jnp.tensordot, precision=precision)
    rows = tuple(range(x.ndim - 1))
    of_narrow = dot(of_output, b, axes=((-1,), (1,)))
    of_a = dot(of_narrow, x, axes=(rows, rows)).T
    return dot(of_narrow, a, axes=((-1,), (1,))), of_a, dot(narrow, of_output, axes=(rows, rows))


product.defvjp(_forward, _backward)
