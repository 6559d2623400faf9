"""The next token from logits: the best one, or one drawn with a seed that belongs to the answer, not to its batch."""

import hashlib

import jax
import jax.numpy as jnp

from tunix_rt.jobs import Sampling


def seed_of(sampling: Sampling, item: str, sample: int) -> int:
    """32 bits that depend on the seed, the item and the number of the sample only."""
    key = hashlib.blake2b(f"{sampling.seed}/{item}/{sample}".encode(), digest_size=4)
    return int.from_bytes(key.digest(), "little")


def pick(logits: jax.Array, sampling: Sampling, seeds: jax.Array, step: jax.Array) -> jax.Array:
    """int32 [N]: the next token of each row. logits: [N, vocabulary]; seeds: uint32 [N]; step: how many came before, [N]."""
    if sampling.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    kept = _kept(logits / sampling.temperature, sampling)
    noise = jax.vmap(lambda seed, at: jax.random.gumbel(jax.random.fold_in(jax.random.key(seed), at), kept.shape[1:]))
    return jnp.argmax(kept + noise(seeds, step), axis=-1).astype(jnp.int32)


def _kept(logits: jax.Array, sampling: Sampling) -> jax.Array:
    """The logits, minus infinity where a token is ruled out."""
    if sampling.top_k is None and sampling.top_p == 1.0:
        return logits
    size = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    best, _ = jax.lax.top_k(logits, size)
    before = jnp.cumsum(jax.nn.softmax(best, axis=-1), axis=-1) - jax.nn.softmax(best, axis=-1)
    last = jnp.sum(before < sampling.top_p, axis=-1, keepdims=True) - 1
    return jnp.where(logits >= jnp.take_along_axis(best, last, axis=-1), logits, -jnp.inf)
