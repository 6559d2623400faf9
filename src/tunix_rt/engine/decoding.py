"""Batched decoding that wastes little: a full batch, refilled as answers end, and shrunk when nothing is left to refill it.

All rows write to the same slot of a ring of cache slots, so a prompt can join at any moment: its keys and values are laid so
that its last token is the newest slot. A row of length n attends to the n newest slots, whatever else the ring holds; padding
never enters. What all prompts begin with is run once, and only the last position of a prompt is projected to the vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tunix_rt.engine import families
from tunix_rt.engine.sampling import pick
from tunix_rt.jobs import Sampling

JOIN = 8  # prompts that join at once
MULTIPLE = 32  # prompts are padded to multiples of this, so that few shapes are compiled
LEAST_SHARED = 16
LOOK = 16  # steps between two looks for stop strings

Cache = dict[str, dict[str, jax.Array]]


class Request(NamedTuple):
    """`seed` is used only where tokens are drawn."""

    prompt: tuple[int, ...]
    limit: int
    seed: int = 0


class Answer(NamedTuple):
    """`tokens` end before the stop token; `stopped` is False when the limit cut the answer off."""

    tokens: list[int]
    stopped: bool


class Rows(NamedTuple):
    """One entry a row: tokens in the cache, the newest token, tokens made and allowed, what was made, and how it stands."""

    length: jax.Array
    last: jax.Array
    made: jax.Array
    limit: jax.Array
    out: jax.Array
    active: jax.Array
    stopped: jax.Array
    seeds: jax.Array


class State(NamedTuple):
    """`end` counts the slots ever written; slot `end` modulo the ring's size is the next."""

    cache: Cache
    end: jax.Array
    rows: Rows


class Decoder:
    """Answers requests with one model. `stops` are token ids; `ended` says of a row's tokens whether it is complete.

    `one_shape` pads all prompts alike and keeps the batch as it is, so that only three programs are compiled: an accelerator
    hardly notices padding, but each program costs it some 20 s (measured on an H200). That is the default where there is one.
    """

    def __init__(
        self,
        model: nnx.Module,
        stops: Sequence[int],
        sampling: Sampling = Sampling(),
        ended: Callable[[list[int]], bool] | None = None,
        *,
        one_shape: bool | None = None,
    ) -> None:
        self._one_shape = jax.default_backend() != "cpu" if one_shape is None else one_shape
        self._config: Any = model.config
        self._graph, self._weights = nnx.split(model)
        self._stops = jnp.array(sorted(set(stops)), jnp.int32)
        self._sampling = sampling
        self._ended = ended
        self._prefill = jax.jit(self._prefill_shared)
        self._join = jax.jit(self._join_rows, donate_argnums=(1,))
        self._run = jax.jit(self._decode, donate_argnums=(1,))
        self._shrink = jax.jit(lambda state, kept: State(_take(state.cache, kept), state.end, _take(state.rows, kept)))

    def answer(self, requests: Sequence[Request], size: int, done: Callable[[int, Answer], None]) -> None:
        """Call `done` with the index and answer of each request as it ends; at most `size` are decoded at once."""
        waiting = sorted(range(len(requests)), key=lambda k: (len(requests[k].prompt), -k))  # the longest is taken first
        shared = self._shared([request.prompt for request in requests], size)
        size = min(size, len(requests))
        widest = max(len(request.prompt) for request in requests) - len(shared) if self._one_shape else 0
        longest = max(len(request.prompt) + request.limit for request in requests)
        prefix = self._prefill(self._weights, jnp.array([shared], jnp.int32)) if shared else {}
        state = self._empty(size, -(-longest // MULTIPLE) * MULTIPLE, max(request.limit for request in requests))
        who: list[int | None] = [None] * size
        while waiting or any(k is not None for k in who):
            free = [row for row, k in enumerate(who) if k is None]
            group = min(JOIN, size)
            while waiting and len(free) >= min(group, len(waiting)):
                taken = [waiting.pop() for _ in range(min(group, len(waiting)))]
                rows, free = free[: len(taken)], free[len(taken) :]
                for row, k in zip(rows, taken, strict=True):
                    who[row] = k
                joining = [requests[k] for k in taken]
                state = self._join(self._weights, state, prefix, *_arrays(joining, rows, len(shared), group, len(who), widest))
            floor = len(who) - min(group, len(waiting)) if waiting else self._next_size(len(who))
            state = self._run(self._weights, state, floor, LOOK if self._ended else np.iinfo(np.int32).max)
            state = self._collect(state, who, done)
            if not waiting:
                state, who = self._smaller(state, who)

    def _shared(self, prompts: list[tuple[int, ...]], size: int) -> tuple[int, ...]:
        """What all prompts begin with, if it is worth a run of its own. A sliding window counts slots from 0, so not there."""
        if len(prompts) < 2 * min(size, JOIN) or getattr(self._config, "sliding_window_size", None):
            return ()
        first, last = min(prompts), max(prompts)
        most = min(len(first), min(map(len, prompts)) - 1)
        same = next((k for k in range(most) if first[k] != last[k]), most)
        return first[:same] if same >= LEAST_SHARED else ()

    def _empty(self, size: int, slots: int, longest: int) -> State:
        config = self._config
        shape = (size, slots, config.num_kv_heads, config.head_dim)
        dtype = jax.tree.leaves(self._weights)[0].dtype
        cache = {
            f"layer_{layer}": {"k": jnp.zeros(shape, dtype), "v": jnp.zeros(shape, dtype)} for layer in range(config.num_layers)
        }
        number = jnp.zeros(size, jnp.int32)
        no = jnp.zeros(size, jnp.bool_)
        rows = Rows(number, number, number, number, jnp.zeros((size, longest), jnp.int32), no, no, number.astype(jnp.uint32))
        state = State(cache, jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, rows))  # a donated buffer is given once
        bound: State = jax.device_put(state, jax.devices()[0])  # as what a program returns is: else each compiles twice
        return bound

    def _prefill_shared(self, weights: Any, tokens: jax.Array) -> Cache:
        _, cache = self._hidden(weights, tokens, {}, 0)
        return cache

    def _hidden(self, weights: Any, tokens: jax.Array, before: Cache, start: int) -> tuple[jax.Array, Cache]:
        """Final hidden states [R, P, embed] of tokens [R, P] that follow `start` shared ones, and the cache of all."""
        model: Any = nnx.merge(self._graph, weights)
        config = self._config
        rows, length = tokens.shape
        room = jnp.zeros((rows, length, config.num_kv_heads, config.head_dim), jax.tree.leaves(weights)[0].dtype)
        cache = {}
        for layer in range(config.num_layers):
            name = f"layer_{layer}"
            given = {part: jnp.broadcast_to(value, (rows, *value.shape[1:])) for part, value in before.get(name, {}).items()}
            held = {part: jnp.concatenate([given[part], room], 1) if given else room for part in ("k", "v")}
            cache[name] = {**held, "end_index": jnp.full(rows, start, jnp.int32)}
        positions = start + jnp.arange(length)
        mask = jnp.arange(start + length)[None, :] <= positions[:, None]
        with families.final_hidden(model) as kept:
            _, cache = model(
                tokens,
                jnp.broadcast_to(positions, (rows, length)),
                cache,
                jnp.broadcast_to(mask, (rows, *mask.shape)),
            )
        return kept[-1], {name: {"k": layer["k"], "v": layer["v"]} for name, layer in cache.items()}

    def _join_rows(
        self,
        weights: Any,
        state: State,
        prefix: Cache,
        tokens: jax.Array,
        lengths: jax.Array,
        rows: jax.Array,
        limits: jax.Array,
        seeds: jax.Array,
    ) -> State:
        """Run prompts [R, P] of `lengths` and put them into `rows`; a row past the last is a filler and dropped."""
        start = prefix["layer_0"]["k"].shape[1] if prefix else 0
        hidden, made = self._hidden(weights, tokens, prefix, start)
        slots = state.cache["layer_0"]["k"].shape[1]
        age = (state.end - 1 - jnp.arange(slots)) % slots
        source = jnp.clip((start + lengths - 1)[:, None] - age, 0, start + tokens.shape[1] - 1)[:, :, None, None]
        cache = {
            name: {
                part: state.cache[name][part].at[rows].set(jnp.take_along_axis(value, source, 1), mode="drop")
                for part, value in layer.items()
            }
            for name, layer in made.items()
        }
        model = nnx.merge(self._graph, weights)
        zero = jnp.zeros_like(lengths)
        new = Rows(
            start + lengths,
            zero,
            zero,
            limits,
            jnp.zeros((len(tokens), state.rows.out.shape[1]), jnp.int32),
            zero == 0,
            zero != 0,
            seeds,
        )
        new = self._accept(new, families.project(model, hidden[jnp.arange(len(tokens)), lengths - 1]))
        joined = jax.tree.map(lambda old, fresh: old.at[rows].set(fresh, mode="drop"), state.rows, new)
        return State(cache, state.end, joined)

    def _accept(self, rows: Rows, logits: jax.Array) -> Rows:
        """Take the next token of every active row."""
        token = pick(logits, self._sampling, rows.seeds, rows.made)
        stop = jnp.isin(token, self._stops)
        counted = rows.active & ~stop
        at = jnp.where(counted, rows.made, rows.out.shape[1])
        made = rows.made + counted
        return rows._replace(
            last=token,
            made=made,
            out=rows.out.at[jnp.arange(len(token)), at].set(token, mode="drop"),
            active=counted & (made < rows.limit),
            stopped=rows.stopped | (rows.active & stop),
        )

    def _decode(self, weights: Any, state: State, floor: jax.Array, steps: jax.Array) -> State:
        """Decode until `floor` rows or fewer are active, or that many steps are done."""

        def go_on(carry: tuple[jax.Array, State]) -> jax.Array:
            return jnp.logical_and(jnp.sum(carry[1].rows.active) > floor, carry[0] < steps)

        def step(carry: tuple[jax.Array, State]) -> tuple[jax.Array, State]:
            count, (cache, end, rows) = carry
            model: Any = nnx.merge(self._graph, weights)
            size, slots = cache["layer_0"]["k"].shape[:2]
            age = jnp.broadcast_to((end - jnp.arange(slots)) % slots, (size, slots))
            index = jnp.broadcast_to(end, (size,))
            given = {name: {**layer, "end_index": index} for name, layer in cache.items()}
            with families.ages(age):
                logits, given = model(
                    rows.last[:, None], rows.length[:, None], given, (age <= rows.length[:, None])[:, None, :]
                )
            cache = {name: {"k": layer["k"], "v": layer["v"]} for name, layer in given.items()}
            rows = rows._replace(length=rows.length + rows.active)
            return count + 1, State(cache, end + 1, self._accept(rows, logits[:, -1].astype(jnp.float32)))

        return jax.lax.while_loop(go_on, step, (jnp.zeros((), jnp.int32), state))[1]

    def _collect(self, state: State, who: list[int | None], done: Callable[[int, Answer], None]) -> State:
        """Hand over the answers that have ended and free their rows."""
        active, stopped, made, out = (np.asarray(getattr(state.rows, name)) for name in ("active", "stopped", "made", "out"))
        over = []
        for row, k in enumerate(who):
            if k is None:
                continue
            tokens = out[row, : made[row]].tolist()
            said = bool(self._ended and self._ended(tokens))
            if said or not active[row]:
                done(k, Answer(tokens, said or bool(stopped[row])))
                who[row] = None
                over += [row] if active[row] else []
        if not over:
            return state
        return state._replace(rows=state.rows._replace(active=state.rows.active.at[jnp.array(over)].set(False)))

    def _smaller(self, state: State, who: list[int | None]) -> tuple[State, list[int | None]]:
        """The rows still at work in a smaller batch, once they fit one."""
        kept = [row for row, k in enumerate(who) if k is not None]
        size = self._next_size(len(who))
        if not kept or size == 0 or len(kept) > size:
            return state, who
        spare = [row for row in range(len(who)) if who[row] is None]
        rows = (kept + spare)[:size]
        return self._shrink(state, jnp.array(rows)), [who[row] for row in rows]

    def _next_size(self, size: int) -> int:
        """A third of the batch; a small one is left as it is, for it costs more to compile than it saves."""
        return 0 if self._one_shape or size < 3 * JOIN else size // 3


def _take(tree: Any, rows: jax.Array) -> Any:
    return jax.tree.map(lambda value: value[rows], tree)


def _arrays(joining: list[Request], rows: list[int], start: int, group: int, beyond: int, widest: int) -> Iterable[np.ndarray]:
    """tokens, lengths, rows, limits and seeds of `group` rows; fillers repeat the first request in a row that is dropped.

    Tokens are padded to `widest`, or to the longest of them if that is more.
    """
    given = joining + joining[:1] * (group - len(joining))
    lengths = np.array([len(request.prompt) - start for request in given], np.int32)
    tokens = np.zeros((group, -(-max(int(lengths.max()), widest) // MULTIPLE) * MULTIPLE), np.int32)
    for row, request in enumerate(given):
        tokens[row, : lengths[row]] = request.prompt[start:]
    places = np.array(rows + [beyond] * (group - len(rows)), np.int32)
    limits = np.array([request.limit for request in given], np.int32)
    return tokens, lengths, places, limits, np.array([request.seed for request in given], np.uint32)
