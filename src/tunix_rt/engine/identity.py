"""What a run that is resumed must have in common with its beginning, field by field.

`identity.json` is written before the first step. A checkpoint continued with other data, another schedule or other library
versions would give a result that no configuration describes, so it is refused and the field that differs is named.
"""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from tunix_rt import errors, values
from tunix_rt.engine import devices
from tunix_rt.jobs import TrainJob
from tunix_rt.models import BaseModel

FILE = "identity.json"
PACKAGES = ("tunix-rt", "google-tunix", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "qwix", "numpy", "transformers")


def of(job: TrainJob, base: BaseModel) -> dict[str, Any]:
    """What decides every bit of the run, as nested JSON. `max_steps` is not in it: it only cuts a run short."""
    files = base.manifest.files
    config = job.config.model_dump(mode="json", exclude={"name", "model", "checkpoints", "validation"})
    return {
        "dataset": list(job.stage_digests) or job.dataset_digest,
        "tokenizer": {name: files[name] for name in files if name.startswith("tokenizer")},
        "model": {name: files[name] for name in files if not name.startswith("tokenizer")},
        **config,
        "validation": job.config.validation.model_dump(mode="json") if job.config.validation else None,
        "validation_digest": job.validation_digest,
        "mesh": job.mesh.model_dump(mode="json"),
        "matmul_precision": devices.matmul_precision(),
        "version": {name: metadata.version(name) for name in PACKAGES},
    }


def hold(attempt: Path, job: TrainJob, base: BaseModel, *, begun: bool) -> None:
    """Write the identity of a run that starts; raise `errors.Conflict` naming the first field in which one that was `begun`
    differs from it."""
    path, now = attempt / FILE, of(job, base)
    if not begun:
        values.write_json(path, now)
        return
    if not path.is_file():
        raise errors.Tampered(f"{path} is missing: what the checkpoints beside it belong to cannot be known.", path=str(path))
    field, was, wanted = next(values.differences(values.read_json(path), json.loads(json.dumps(now))), ("", None, None))
    if field:
        raise errors.Conflict(
            f"this run was begun with {field} {_short(was)}, now it is {_short(wanted)}; resume it as it was asked, or start "
            "a new run.",
            field=field,
            was=was,
            now=wanted,
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
