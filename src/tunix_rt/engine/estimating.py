"""What a training would cost, without training: the real plan over the real tokens, memory from the shapes, time from how
fast this device multiplies matrices of the model's size."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from tunix_rt import estimates
from tunix_rt.engine import corpus, devices, placement, training
from tunix_rt.estimates import Shape
from tunix_rt.jobs import Compute, EstimateJob, Events, Inputs

EFFICIENCY = 0.5  # of the speed of bare matrix products, what whole steps have reached
PRODUCTS = 3


def estimate(job: EstimateJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """The facts of `result.json`. Raises what training would: a trace too long, an empty dataset, a leak, a wrong tokenizer."""
    material = corpus.read(job, inputs, Events(attempt))
    plan = training.planned(job.config, job.max_steps, material)
    placement.check(job.mesh, plan.batch)
    shape = estimates.shape(material.base.folder)
    cost = estimates.cost(shape, job.config, plan.batch, material.trained_share)
    tokens, useful = len(plan.steps) * plan.batch.step_rows * plan.batch.row_tokens, sum(step.useful for step in plan.steps)
    speed = measured_flops(shape, plan.batch.rows * plan.batch.row_tokens, job.config.compute)
    step_seconds = plan.batch.accumulation * cost.flops / (speed * EFFICIENCY * job.mesh.devices)
    return {
        "steps": len(plan.steps),
        "examples": sum(len(step.ids) for step in plan.steps),
        "tokens": useful,
        "trained_tokens": sum(step.trained for step in plan.steps),
        "padding_share": round(1 - useful / tokens, 4),
        "rows": plan.batch.rows,
        "accumulation": plan.batch.accumulation,
        "row_tokens": plan.batch.row_tokens,
        "truncated": len(material.truncated),
        "dropped": len(material.dropped),
        "parameters": shape.parameters,
        "trained_parameters": cost.trained_parameters,
        "memory_bytes": round(cost.memory / job.mesh.devices),
        "step_seconds": round(step_seconds, 3),
        "seconds": round(step_seconds * len(plan.steps), 1),
        "matmul_flops_per_second": round(speed),
        "device": devices.name(),
        "devices": job.mesh.devices,
    }


def measured_flops(shape: Shape, tokens: int, compute: Compute) -> float:
    """Floating-point operations a second in products [tokens, embed] x [embed, hidden], the best of a few."""
    dtype = placement.DTYPES[compute.dtype] or jnp.float32
    left, right = jnp.ones((tokens, shape.embed), dtype), jnp.ones((shape.embed, shape.hidden), dtype)

    @jax.jit
    def products(left: jax.Array, right: jax.Array) -> jax.Array:
        for _ in range(PRODUCTS):
            left = jnp.tanh((left @ right) @ right.T)
        return left

    products(left, right).block_until_ready()
    quickest = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        products(left, right).block_until_ready()
        quickest = min(quickest, time.perf_counter() - began)
    return 2 * PRODUCTS * 2 * tokens * shape.embed * shape.hidden / quickest
