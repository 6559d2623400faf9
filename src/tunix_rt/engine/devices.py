"""Which device a job runs on, and what else its result depends on. Nothing falls back to another kind of device.

`python -m tunix_rt.engine.devices` prints the environment as JSON, the way to ask without importing JAX; with three sizes,
also how fast matrix products of these sizes are.
"""

import json
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from tunix_rt import errors, values
from tunix_rt.jobs import Device

PRODUCTS = 3
PLATFORMS: dict[Device, str | None] = {"auto": None, "cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def use(device: Device, compile_cache: Path | None) -> None:
    """Bind JAX to the asked kind of device, or raise `errors.Missing`; nothing falls back to another.

    On accelerators float32 products are float32: JAX would else round their inputs to TF32 (GPU) or bfloat16 (TPU).
    `JAX_DEFAULT_MATMUL_PRECISION` set to another precision is kept, and recorded by `environment`.
    """
    if PLATFORMS[device]:
        jax.config.update("jax_platforms", PLATFORMS[device])
    if compile_cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(compile_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts when a platform's plug-in is not installed
        raise errors.Missing(
            f"device {device!r} was asked for and JAX has none here; use --device cpu, or install jax for it.",
            device=device,
        ) from error
    if jax.default_backend() != "cpu" and matmul_precision() is None:
        jax.config.update("jax_default_matmul_precision", "float32")


def environment() -> dict[str, Any]:
    """What a result depends on besides the job. No path, user or host name.

    `lock_digest` is the sha256 of the canonical JSON of `packages`, every installed distribution with its version.
    """
    packages = {str(item.name).lower(): item.version for item in metadata.distributions()}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": name(),
        "devices": jax.device_count(),
        "matmul_precision": matmul_precision(),
        "tunix_rt": metadata.version("tunix-rt"),
        "lock_digest": values.sha256(values.canonical(packages)),
        "packages": dict(sorted(packages.items())),
    }


def matmul_precision() -> str | None:
    """What JAX's products of float32 are computed in, where that was chosen; None is the device's own way."""
    chosen: str | None = jax.config.values["jax_default_matmul_precision"]
    return chosen


def name() -> str:
    device = jax.devices()[0]
    return f"{device.platform}:{device.device_kind}"


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_device_memory() -> int | None:
    """Peak bytes that arrays and scratch held on the fullest device; None where a device is this process's own memory."""
    told = [device.memory_stats() for device in jax.local_devices()]
    return max((stats["peak_bytes_in_use"] for stats in told if stats), default=None)


def matmul_flops(tokens: int, embed: int, hidden: int, dtype: jnp.dtype) -> float:
    """Floating-point operations a second in products [tokens, embed] x [embed, hidden] and back, the best of a few."""
    left, right = jnp.ones((tokens, embed), dtype), jnp.ones((embed, hidden), dtype)

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
    return 2 * PRODUCTS * 2 * tokens * embed * hidden / quickest


if __name__ == "__main__":
    found = environment()
    if len(sys.argv) == 4:
        tokens, embed, hidden = map(int, sys.argv[1:])
        found["matmul_flops_per_second"] = matmul_flops(tokens, embed, hidden, jnp.dtype("float32"))
    sys.stdout.write(json.dumps(found))
