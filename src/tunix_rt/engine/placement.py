"""Where a model's arrays lie, and how its arithmetic is done: device mesh, bfloat16, rematerialisation.

The mesh has the axes that Tunix's models name their parameters' dimensions with: "fsdp" and "tp".
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tunix_rt import errors
from tunix_rt.engine import hosts
from tunix_rt.jobs import Batch, Compute, Full, Lora, Mesh

REMAT = {"none": "NONE", "block": "BLOCK", "layer": "DECODER"}
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def check(mesh: Mesh, batch: Batch, tuning: Lora | Full) -> None:
    """Raise `errors.Missing` when there are fewer devices, `errors.Invalid` when the rows cannot be dealt out evenly."""
    if mesh.devices > jax.device_count():
        raise errors.Missing(
            f"a mesh of fsdp={mesh.fsdp}, tp={mesh.tp} needs {mesh.devices} devices, there are {jax.device_count()}.",
            field="mesh",
        )
    if mesh.hosts != jax.process_count() or (mesh.hosts > 1 and mesh.devices != jax.device_count()):
        raise errors.Invalid(
            f"a mesh of fsdp={mesh.fsdp}, tp={mesh.tp} on {mesh.hosts} hosts uses {mesh.devices} devices, and "
            f"{jax.process_count()} hosts with {jax.device_count()} are here; it has to use all devices of its hosts.",
            field="mesh",
        )
    if mesh.devices > 1 and isinstance(tuning, Lora) and tuning.quantize != "none":
        raise errors.Invalid(
            f"'tuning.quantize' is {tuning.quantize!r}: quantized weights are not split over devices; leave one out.",
            field="tuning.quantize",
        )
    if batch.rows % mesh.fsdp:
        raise errors.Invalid(
            f"'batch.rows' is {batch.rows}, which cannot be dealt out evenly over fsdp={mesh.fsdp} devices.", field="batch.rows"
        )


@contextlib.contextmanager
def on(mesh: Mesh) -> Iterator[jax.sharding.Mesh | None]:
    """The mesh of these sizes over the first devices, in force inside; None for a single device."""
    if mesh.devices == 1:
        yield None
        return
    devices = np.array(jax.devices()[: mesh.devices]).reshape(mesh.fsdp, mesh.tp)
    made = jax.sharding.Mesh(devices, ("fsdp", "tp"))
    with made:
        yield made


def commit(holder: nnx.Module | nnx.Optimizer, mesh: jax.sharding.Mesh | None) -> None:
    """Bind every array to its device or devices, as the outputs of a step are: else JAX compiles the step a second time."""
    state = nnx.state(holder)
    if mesh is None:
        nnx.update(holder, jax.device_put(state, jax.devices()[0]))
        return
    specs = nnx.get_partition_spec(state)
    nnx.update(holder, jax.tree.map(lambda leaf, spec: hosts.placed(leaf, _sharding(leaf, spec, mesh)), state, specs))


def _sharding(leaf: jax.Array, spec: Any, mesh: jax.sharding.Mesh) -> NamedSharding:
    """A dimension that the devices of its axis do not divide is kept whole on each of them."""
    axes = tuple(spec.get_raw_value() if hasattr(spec, "get_raw_value") else spec or ())[: leaf.ndim]
    fits = [axis if axis and leaf.shape[place] % mesh.shape[axis] == 0 else None for place, axis in enumerate(axes)]
    return NamedSharding(mesh, PartitionSpec(*fits))


def arrange(model: nnx.Module, compute: Compute, *, frozen_base: bool) -> None:
    """Set rematerialisation, and keep the weights that are not trained in the dtype of the arithmetic."""
    if compute.remat != "none":
        _rematerialise(model, REMAT[compute.remat])
    dtype = DTYPES[compute.dtype]
    if dtype is not None and frozen_base:
        for _, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
            if not isinstance(variable, nnx.LoRAParam) and variable.dtype == jnp.float32:
                variable.set_value(variable[...].astype(dtype))


def _rematerialise(model: nnx.Module, name: str) -> None:
    """Every module reads the choice from its config, the Gemmas' attention from an attribute of its own."""
    found = False
    for _, module in nnx.iter_modules(model):
        config: Any = getattr(module, "config", None)
        if hasattr(config, "remat_config") and name in type(config.remat_config).__members__:
            module.config = dataclasses.replace(config, remat_config=type(config.remat_config)[name])
            found = True
        own: Any = getattr(module, "remat_config", None)
        if own is not None:
            module.remat_config = type(own)[name]
    if not found:
        raise errors.Invalid(
            f"'compute.remat' cannot be had: Tunix's {type(model).__name__} has no {name}; leave it out.", field="compute.remat"
        )
