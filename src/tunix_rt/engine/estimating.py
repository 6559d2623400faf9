"""What a training would cost, without training: the real plan over the real tokens, memory from the shapes, time from how
fast this device multiplies matrices of the model's size."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp

from tunix_rt import estimates
from tunix_rt.engine import corpus, devices, placement, training
from tunix_rt.jobs import EstimateJob, Events, Inputs
from tunix_rt.models import shapes


def estimate(job: EstimateJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """The facts of `result.json`. Raises what training would: a trace too long, an empty dataset, a leak, a wrong tokenizer."""
    material = corpus.read(job, inputs, Events(attempt))
    plan = training.planned(job.config, job.max_steps, material, job.mesh)
    placement.check(job.mesh, plan.batch, job.config.tuning)
    shape = shapes.of_folder(material.base.folder)
    cost = estimates.cost(shape, job.config, plan.batch, material.trained_share(plan.batch), job.mesh)
    dtype = placement.DTYPES[job.config.compute.dtype] or jnp.float32
    speed = devices.matmul_flops(plan.batch.rows * plan.batch.row_tokens, shape.embed, shape.hidden, dtype)
    step_seconds = plan.batch.accumulation * estimates.seconds(cost, speed) / job.mesh.devices
    return {
        "steps": len(plan.steps),
        "examples": sum(len(step.ids) for step in plan.steps),
        "tokens": sum(step.useful for step in plan.steps),
        "trained_tokens": sum(step.trained for step in plan.steps),
        "shared_tokens": sum(step.spared for step in plan.steps),
        "padding_share": training.padding_share(plan.steps),
        "rows": plan.batch.rows,
        "accumulation": plan.batch.accumulation,
        "row_tokens": plan.batch.row_tokens,
        **{what: len(names) for what, names in material.too_long.items()},
        "parameters": shape.parameters,
        "trained_parameters": cost.trained_parameters,
        "memory_bytes": round(cost.memory),
        "step_seconds": round(step_seconds, 3),
        "seconds": round(step_seconds * len(plan.steps), 1),
        "matmul_flops_per_second": round(speed),
        "device": devices.name(),
        "devices": job.mesh.devices,
    }
