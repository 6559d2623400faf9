"""Examples to full rows: several traces share a row, none sees another, and padding is a few per cent of the work.

What all examples begin with, the instruction in its chat format, stands once at the head of a row, for all of them to see.
A causal model computes the same there for each of them, so every example has the loss and the gradient it has alone.

The order of examples is a pure function of (seed, epoch, example id); batches follow from the order alone, so an
interrupted run meets the same batches again and a finished one can be explained.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunix_rt import errors
from tunix_rt.engine.prompts import Example
from tunix_rt.jobs import Batch

SHARED = -1  # the segment that every other of its row sees


class MicroBatch(NamedTuple):
    """Arrays of one forward and backward pass: R rows of L tokens, K slots for trained positions.

    tokens, segments, positions: int32 [R, L]; segment 0 is padding, `SHARED` what the examples of the row begin with. slots,
    targets: int32 [K], flat positions whose next token is trained and that token. weights: float32 [K], so that the mean over
    the micro-batches of a step of sum(weights * nll) is the mean nll over all trained tokens of the step; 0 in unused slots.
    """

    tokens: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    slots: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class StepBatch(NamedTuple):
    """What one optimizer step sees: its rows, the slots that every micro-batch of the run has, and how many tokens the examples
    of a row share. Arrays are made when asked for, so that a plan of a million traces holds their tokens once."""

    rows: "Rows"
    batch: Batch
    slots: int
    stage: int
    shared: int = 0

    @property
    def micro(self) -> tuple[MicroBatch, ...]:
        size, weight = self.batch.rows, self.batch.accumulation / self.trained
        return tuple(
            _micro(self.rows[start : start + size], self.batch, self.slots, weight, self.shared)
            for start in range(0, len(self.rows), size)
        )

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(example.id for row in self.rows for example in row)

    @property
    def useful(self) -> int:
        """Tokens of examples, what they share counted for each."""
        return sum(len(example.tokens) for row in self.rows for example in row)

    @property
    def trained(self) -> int:
        """Tokens with a loss."""
        return _trained(self.rows)

    @property
    def spared(self) -> int:
        """Tokens of examples that are not computed again, because another of the row begins with them too."""
        return self.shared * sum(len(row) - 1 for row in self.rows if row)

    @property
    def padding(self) -> int:
        return self.batch.step_rows * self.batch.row_tokens - (self.useful - self.spared)


class Part(NamedTuple):
    """The examples of one stage and the passes over them."""

    examples: Sequence[Example]
    epochs: int


def order(examples: Sequence[Example], seed: int, epoch: int) -> list[Example]:
    """The examples in the order of the epoch: by a keyed hash of their ids, whatever order they come in."""
    return sorted(examples, key=lambda example: _key(example, seed, epoch))


def _key(example: Example, seed: int, epoch: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{epoch}/{example.id}".encode(), digest_size=16).digest()


def plan(examples: Sequence[Example], batch: Batch, seed: int, epochs: int) -> list[StepBatch]:
    """Every optimizer step of a run, in order. Raises what `curriculum` raises."""
    return curriculum([Part(examples, epochs)], batch, seed)


def curriculum(parts: Sequence[Part], batch: Batch, seed: int) -> list[StepBatch]:
    """Every optimizer step of all stages, in order; no step holds examples of two passes.

    Raises `errors.Invalid` when there is nothing to train on, or an example is longer than a row (naming it): nothing is
    cut or dropped here.
    """
    planned: list[tuple[Rows, int]] = []
    for part in parts:
        _check(part.examples, batch)
    shared = common([example for part in parts for example in part.examples], batch)
    epoch = 0
    for stage, part in enumerate(parts):
        for _ in range(part.epochs):
            planned += [(rows, stage) for rows in _steps(part.examples, batch, seed, epoch, shared)]
            epoch += 1
    slots = _rounded(max(_slots(rows, batch) for rows, _ in planned))
    return [StepBatch(rows, batch, slots, stage, shared) for rows, stage in planned]


def held_out(examples: Sequence[Example], batch: Batch) -> list[MicroBatch]:
    """The micro-batches of an evaluation: the sum of their losses is the mean nll over all trained tokens."""
    _check(examples, batch)
    shared = common(examples, batch)
    rows = fill(order(examples, 0, 0), batch.row_tokens, shared)
    rows += [[] for _ in range(-len(rows) % batch.rows)]
    starts, weight = range(0, len(rows), batch.rows), 1 / _trained(rows)
    slots = _rounded(max(_trained(rows[start : start + batch.rows]) for start in starts))
    return [_micro(rows[start : start + batch.rows], batch, slots, weight, shared) for start in starts]


def common(examples: Sequence[Example], batch: Batch) -> int:
    """With how many equal given tokens all examples begin; 0 where the batch does not share them."""
    if not batch.share_prefix:
        return 0
    given = [example.tokens[: example.prefix] for example in examples]
    first, last = min(given), max(given)  # in the order of a dictionary all others lie between them
    return next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), min(map(len, given))
    )


def _check(examples: Sequence[Example], batch: Batch) -> None:
    if not examples:
        raise errors.Invalid("the dataset is empty: there is nothing to train on.", field="dataset")
    for example in examples:
        if len(example.tokens) > batch.row_tokens:
            raise errors.Invalid(
                f"trace {example.id[:12]} has {len(example.tokens)} tokens, a row has {batch.row_tokens}; "
                "raise 'batch.row_tokens' in the training config, remove the trace, or choose what becomes of it "
                "with 'too_long'.",
                trace=example.id,
                field="batch.row_tokens",
            )


def _rounded(slots: int) -> int:
    return -(-slots // 64) * 64


Rows = list[list[Example]]


def _steps(examples: Sequence[Example], batch: Batch, seed: int, epoch: int, shared: int) -> list[Rows]:
    """The epoch's rows in seeded order, dealt out into steps; the last step is filled up with empty rows."""
    rows = fill(order(examples, seed, epoch), batch.row_tokens, shared)
    rows.sort(key=lambda row: _key(row[0], seed, epoch))
    rows += [[] for _ in range(-len(rows) % batch.step_rows)]
    return [rows[start : start + batch.step_rows] for start in range(0, len(rows), batch.step_rows)]


def fill(examples: Sequence[Example], row_tokens: int, shared: int = 0) -> Rows:
    """Best-fit decreasing (Johnson 1973): the longest example first, each into the fullest row that has room for it. The first
    `shared` tokens of all are in a row once."""
    rows: Rows = []
    capacity = row_tokens - shared
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    for example in sorted(examples, key=lambda example: -len(example.tokens)):
        size = len(example.tokens) - shared
        room = next((room for room in range(size, capacity + 1) if with_room[room]), None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, capacity
        else:
            row = with_room[room].pop()
        rows[row].append(example)
        with_room[room - size].append(row)
    return rows


def _trained(rows: Rows) -> int:
    return sum(len(example.tokens) - example.prefix for row in rows for example in row)


def _slots(rows: Rows, batch: Batch) -> int:
    return max(_trained(rows[start : start + batch.rows]) for start in range(0, len(rows), batch.rows))


def _micro(rows: Rows, batch: Batch, slots: int, weight: float, shared: int = 0) -> MicroBatch:
    shape = (batch.rows, batch.row_tokens)
    tokens, segments, positions = (np.zeros(shape, np.int32) for _ in range(3))
    where: list[int] = []
    targets: list[int] = []
    for r, row in enumerate(rows):
        if row:
            tokens[r, :shared] = row[0].tokens[:shared]
            segments[r, :shared] = SHARED
            positions[r, :shared] = np.arange(shared)
        start = shared
        for number, example in enumerate(row, start=1):
            size = len(example.tokens)
            own = slice(start, start + size - shared)
            tokens[r, own] = example.tokens[shared:]
            segments[r, own] = number
            positions[r, own] = np.arange(shared, size)
            before = (p - 1 if p - 1 < shared else p - 1 - shared + start for p in range(example.prefix, size))
            where.extend(r * batch.row_tokens + place for place in before)
            targets.extend(example.tokens[example.prefix :])
            start = own.stop
    unused = slots - len(where)
    return MicroBatch(
        tokens,
        segments,
        positions,
        np.array(where + [0] * unused, np.int32),
        np.array(targets + [0] * unused, np.int32),
        np.array([weight] * len(where) + [0.0] * unused, np.float32),
    )
