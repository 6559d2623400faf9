"""`tunix-rt doctor`: what is here, what is missing, and the command that mends it."""

import json
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any, NamedTuple

import psutil

from tunix_rt import estimates, jobs, models, recipes
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.jobs import TrainConfig
from tunix_rt.models import shapes

NEEDED_DISK = 3e9
NEEDED_MEMORY = 6e9
TRAINING = ("google-tunix", "jax", "flax", "optax", "orbax-checkpoint", "qwix", "transformers")


class Finding(NamedTuple):
    """`mend` is the command or deed that helps when `ok` is false."""

    what: str
    ok: bool
    found: str
    mend: str = ""


@command(app)
def doctor(surface: Surface) -> None:
    """Versions, devices, memory, disk and model cache; names what is missing and how to mend it."""
    config = jobs.read_config(recipes.path("train", "sft_demo"))
    device, speed = _device(config)
    findings = [_python(), *_packages(), device, _memory(), _disk(surface), *_models(surface)]
    rows = [(f.what, "ok" if f.ok else "MISSING", f.found, "" if f.ok else f.mend) for f in findings]
    step = _step(surface, config, speed)
    cost = "cost: `tunix-rt demo` takes 8 to 15 minutes on 2 CPU cores and 4 GB of disk, `demo --quick` about a third"
    if step is not None:
        cost += f"; a step of it here takes about {step['seconds']:.2g} s and {size(step['memory_bytes'])}"
    cost += "; `tunix-rt train --dry-run` estimates any other run"
    data: dict[str, Any] = {
        "ok": all(finding.ok for finding in findings),
        "home": str(surface.settings.home),
        "findings": [finding._asdict() for finding in findings],
        "demo_step": step,
    }
    surface.emit(data, f"workspace {surface.settings.home}\n{table(rows, ('what', 'state', 'found', 'to mend it'))}\n{cost}")


def _python() -> Finding:
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("python", ok, platform.python_version(), "use Python 3.11, 3.12 or 3.13")


def _packages() -> list[Finding]:
    found = {name: _version(name) for name in TRAINING}
    command = "make setup, or: python -m pip install --no-deps -r requirements/train.txt"
    return [Finding(name, version is not None, version or "not installed", command) for name, version in found.items()]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device(config: TrainConfig) -> tuple[Finding, float]:
    """The device and its speed in matrix products; asked in another process, because this one must not load JAX."""
    sizes = [str(config.batch.rows * config.batch.row_tokens), "576", "1536"]
    asked = subprocess.run(
        [sys.executable, "-m", "tunix_rt.engine.devices", *sizes], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or ["no output"])[-1]
        return Finding("device", False, last, "install the training packages (make setup)"), 0.0
    found = json.loads(asked.stdout)
    speed = float(found["matmul_flops_per_second"])
    return Finding("device", True, f"{found['devices']} x {found['device']}, {speed / 1e9:.0f} GFLOP/s"), speed


def _step(surface: Surface, config: TrainConfig, speed: float) -> dict[str, float] | None:
    """What a step of the demo costs, once its model is there and the device has been asked."""
    folder = surface.settings.models / config.model
    if not speed or not (folder / "manifest.json").is_file():
        return None
    cost = estimates.cost(shapes.of_folder(folder), config, config.batch, trained_share=0.5)
    seconds = config.batch.accumulation * estimates.seconds(cost, speed)
    return {"seconds": round(seconds, 2), "memory_bytes": round(cost.memory), "matmul_flops_per_second": round(speed)}


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    return Finding("memory", free >= NEEDED_MEMORY, f"{size(free)} free", f"training SmolLM2-135M needs {size(NEEDED_MEMORY)}")


def _disk(surface: Surface) -> Finding:
    place = next(path for path in (surface.settings.home, *surface.settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        "disk",
        free >= NEEDED_DISK,
        f"{size(free)} free",
        f"free {size(NEEDED_DISK)}, or put the workspace elsewhere with --home",
    )


def _models(surface: Surface) -> list[Finding]:
    found = []
    for source in models.SOURCES.values():
        ready = (surface.settings.models / source.name / "manifest.json").exists()
        installed = source.package is None or _version(source.package) == source.version
        state = "converted" if ready else "installed, converted at first use" if installed else "not installed"
        found.append(
            Finding(f"model {source.name}", ready or installed, state, source.install_command if source.package else "")
        )
    return found
