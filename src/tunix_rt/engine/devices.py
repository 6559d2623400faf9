"""Which device a job runs on, and what else its result depends on. Nothing falls back to another kind of device.

`python -m tunix_rt.engine.devices` prints the environment as JSON: the way to ask without importing JAX.
"""

import json
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from tunix_rt import errors, values
from tunix_rt.jobs import Device

PLATFORMS: dict[Device, str | None] = {"auto": None, "cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def use(device: Device, compile_cache: Path | None) -> None:
    """Bind JAX to the asked kind of device, or raise `errors.Missing`; nothing falls back to another."""
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
        "tunix_rt": metadata.version("tunix-rt"),
        "lock_digest": values.sha256(values.canonical(packages)),
        "packages": dict(sorted(packages.items())),
    }


def name() -> str:
    device = jax.devices()[0]
    return f"{device.platform}:{device.device_kind}"


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    sys.stdout.write(json.dumps(environment()))
