"""3d What a training step costs, before it is run: bytes and floating-point operations from the shapes alone, without JAX.

The formulas count what a decoder keeps for its backward pass (Korthikanti et al. 2022, section 4) in the layout of Tunix's
models; `OVERHEAD` and `ACTIVATION_FACTOR` were fitted to what XLA's own memory analysis says, see docs/training.md. An
estimate is for choosing a batch and planning a day, not a measurement.
"""

import math
from typing import NamedTuple

from tunix_rt import errors
from tunix_rt.jobs import Batch, Compute, Full, Lora, Mesh, TrainConfig
from tunix_rt.models.shapes import Shape

OVERHEAD = 1.1e9  # bytes of the process itself: interpreter, JAX, Tunix, compiled code
ACTIVATION_FACTOR = 1.15
SCORE_COPIES = 3.0  # [heads, row, row] arrays alive for each layer: scores, softmax, its gradient
LOGIT_COPIES = 3.0  # [trained positions, vocabulary]: logits, exponentials, gradient
BYTES = {"float32": 4, "bfloat16": 2}
ROUNDED_BYTES = 1 + 4 / 64  # JAX keeps 4 bits in a byte where the device does not pack them; a scale for each block of 64
ONE_DEVICE = Mesh()
EFFICIENCY = 0.6  # of the speed of bare matrix products, what whole steps reach


class Cost(NamedTuple):
    """Of one micro-batch: `memory` of each device in bytes at the peak, `flops` forward and backward of them all."""

    memory: float
    flops: float
    trained_parameters: int


def cost(shape: Shape, config: TrainConfig, batch: Batch, trained_share: float, mesh: Mesh = ONE_DEVICE) -> Cost:
    """`trained_share` of the tokens carry a loss. The model is loaded whole before it is split over the mesh."""
    tokens = batch.rows * batch.row_tokens
    trained = trained_tensors(shape, config)
    lora = isinstance(config.tuning, Lora)
    frozen = shape.parameters if lora else 0
    slots = tokens * min(1.0, 1.15 * trained_share)
    state = 4.0 * trained * (4 if batch.accumulation == 1 else 5)  # values, gradient, two moments, accumulated gradient
    rounded = _rounded(shape, config.tuning)
    held = BYTES[config.compute.dtype] * (frozen - rounded) + ROUNDED_BYTES * rounded
    step = held + state + _activations(shape, config.compute, batch, lora) + _logits(shape, config.compute, slots)
    memory = OVERHEAD + max(step / mesh.devices, 4 * shape.parameters + ROUNDED_BYTES * rounded)
    return Cost(memory, _flops(shape, config.compute, batch, slots, lora), trained)


def _rounded(shape: Shape, tuning: Lora | Full) -> int:
    """How many frozen weights are kept in fewer bits; they are rounded once the model is loaded as it is."""
    if not isinstance(tuning, Lora) or tuning.quantize == "none":
        return 0
    return shape.layers * sum(math.prod(shape.projections[target]) for target in tuning.targets)


def seconds(cost: Cost, matmul_flops: float) -> float:
    """Of one micro-batch, on a device that does so many operations a second in bare matrix products."""
    return cost.flops / (EFFICIENCY * matmul_flops)


def trained_tensors(shape: Shape, config: TrainConfig) -> int:
    """How many numbers training changes."""
    if not isinstance(config.tuning, Lora):
        return shape.parameters
    chosen = [shape.projections[target] for target in config.tuning.targets]
    return shape.layers * sum(config.tuning.rank * (inputs + outputs) for inputs, outputs in chosen)


def _activations(shape: Shape, compute: Compute, batch: Batch, lora: bool) -> float:
    """Bytes kept for the backward pass, a layer at a time where they are computed again."""
    tokens, size = batch.rows * batch.row_tokens, BYTES[compute.dtype]
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = tokens * size * (3 * queries + 4 * keys) + SCORE_COPIES * 4 * shape.heads * tokens * batch.row_tokens
    feed_forward = tokens * size * (4 if lora else 5) * shape.hidden
    stream = tokens * size * 8 * shape.embed
    inner = attention + feed_forward
    if compute.remat == "layer":
        return shape.layers * tokens * size * shape.embed + inner + stream
    if compute.remat == "block":
        return shape.layers * stream / 2 + inner
    return ACTIVATION_FACTOR * shape.layers * (inner + stream)


def _logits(shape: Shape, compute: Compute, slots: float) -> float:
    rows = min(slots, compute.loss_chunk or slots)
    return LOGIT_COPIES * 4 * rows * shape.vocab + 4 * slots * shape.embed


def _flops(shape: Shape, compute: Compute, batch: Batch, slots: float, lora: bool) -> float:
    """Two for each multiply-add: forward once, backward once for inputs and, in full tuning, once for weights."""
    tokens = batch.rows * batch.row_tokens
    passes = (2 if lora else 3) + (1 if compute.remat != "none" else 0)
    matrices = 2 * shape.layer_parameters * tokens
    scores = 4 * shape.layers * shape.heads * shape.head_dim * tokens * batch.row_tokens
    vocabulary = 2 * shape.vocab * shape.embed * slots
    return passes * (matrices + scores) + (2 if lora else 3) * vocabulary + (vocabulary if compute.loss_chunk else 0)


def fitting(shape: Shape, config: TrainConfig, trained_share: float, mesh: Mesh = ONE_DEVICE) -> Batch:
    """The batch with the most rows in a micro-batch that fits `memory_gb` on each device; rows times accumulation stay what
    they are.

    Raises `errors.Invalid` when a step's rows cannot be dealt out evenly, or, naming what else can be changed, when one row a
    device does not fit.
    """
    budget, of_a_step = float(config.memory_gb or 0), config.batch.step_rows
    if of_a_step % mesh.fsdp:
        raise errors.Invalid(
            f"'batch.rows' times 'batch.accumulation' is {of_a_step}, which cannot be dealt out evenly over fsdp={mesh.fsdp} "
            "devices; make it a multiple of that.",
            field="batch.rows",
        )
    for rows in range(of_a_step, 0, -mesh.fsdp):
        if of_a_step % rows:
            continue
        batch = config.batch.model_copy(update={"rows": rows, "accumulation": of_a_step // rows})
        needed = cost(shape, config, batch, trained_share, mesh).memory
        if needed <= budget * 1e9:
            return batch
    each = " on each device" if mesh.devices > 1 else ""
    raise errors.Invalid(
        f"'memory_gb' is {budget:g}, one row of {config.batch.row_tokens} tokens{each} needs about {needed / 1e9:.1f} GB; "
        "raise it, lower 'batch.row_tokens', or set 'compute.remat', 'compute.loss_chunk' or 'compute.dtype'.",
        field="memory_gb",
        needed_gb=round(needed / 1e9, 2),
    )
