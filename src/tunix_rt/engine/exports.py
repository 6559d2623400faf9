"""What a run made, as others load it: merged weights in Hub layout for `transformers` or as GGUF, or an adapter for PEFT.

Merged weights are the very tensors an evaluation of the run computes with, float32, under the base model's own Hub names.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from tunix_rt import errors, models, values
from tunix_rt.engine import tensors, weights
from tunix_rt.jobs import ExportJob, Inputs
from tunix_rt.models import BaseModel, gguf_files, shapes

OUT = "export"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
GGUF = "model.gguf"
PEFT_TENSORS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def export(job: ExportJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Write the folder `export` of the attempt; returns the facts of `result.json`."""
    base = models.open_folder(inputs.model)
    if base.digest != job.model_digest or inputs.adapter is None:
        raise errors.Tampered(f"the job names model {job.model_digest[:12]}, the folder given holds {base.digest[:12]}.")
    folder = attempt / OUT
    folder.mkdir(parents=True, exist_ok=True)
    match job.form:
        case "merged":
            count = merged(base, inputs.adapter, job.adapter_digest, folder)
        case "adapter":
            count = adapter(base, inputs.adapter, job.adapter_digest, folder)
        case "gguf":
            tensors_of = merged_tensors(base, inputs.adapter, job.adapter_digest)
            gguf_files.write(base.folder, tensors_of, job.dtype, folder / GGUF, base.manifest.name)
            count = len(tensors_of)
    files = {path.name: values.sha256_file(path) for path in sorted(folder.iterdir())}
    return {"form": job.form, "tensors": count, "files": files}


def merged_tensors(base: BaseModel, trained: Path, digest: str) -> dict[str, np.ndarray]:
    """Every weight after training, float32, under its Hub name."""
    model = weights.load(base.folder)
    weights.merge_adapter(model, trained, base=base.digest, digest=digest)
    parameters = {".".join(map(str, path)): value for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    names = tensors.hub_names(base.folder, shapes.of_folder(base.folder))
    return {name: np.ascontiguousarray(spot.outwards(np.asarray(parameters[spot.path][...]))) for name, spot in names.items()}


def merged(base: BaseModel, trained: Path, digest: str, folder: Path) -> int:
    """Every weight after training, with the base's config and tokenizer; returns the number of tensors."""
    written = merged_tensors(base, trained, digest)
    save_file(written, folder / WEIGHTS, metadata={"format": "pt"})
    for name in base.manifest.files:
        if not name.endswith(".safetensors") and name not in (INDEX, "config.json"):
            shutil.copyfile(base.folder / name, folder / name)
    config = values.read_json(base.folder / "config.json")
    config.pop("torch_dtype", None)
    values.write_bytes(folder / "config.json", json.dumps({**config, "dtype": "float32"}, indent=2).encode() + b"\n")
    return len(written)


def adapter(base: BaseModel, trained: Path, digest: str, folder: Path) -> int:
    """The LoRA matrices under PEFT's names; returns their number. Full fine-tuning has none: `errors.Invalid`."""
    config = values.read_json(trained / weights.CONFIG)
    if config["method"] != "lora":
        raise errors.Invalid("the run tuned every weight, so there is no adapter; export it with --to merged.", form="adapter")
    if values.sha256_file(trained / weights.TENSORS) != digest:
        raise errors.Tampered(f"{trained / weights.TENSORS} is not the adapter {digest[:12]} this job names.")
    learned = load_file(trained / weights.TENSORS)
    names = tensors.hub_names(base.folder, shapes.of_folder(base.folder))
    written: dict[str, np.ndarray] = {}
    for name, spot in names.items():
        if f"{spot.path}_lora_a" in learned:
            a, b = learned[f"{spot.path}_lora_a"], learned[f"{spot.path}_lora_b"]
            b = b if spot.piece is None else b[:, spot.piece]
            module = f"base_model.model.{name.removesuffix('.weight')}"
            written[f"{module}.lora_A.weight"] = np.ascontiguousarray(a.reshape(-1, a.shape[-1]).T)
            written[f"{module}.lora_B.weight"] = np.ascontiguousarray(b.reshape(b.shape[0], -1).T)
    save_file(written, folder / PEFT_TENSORS, metadata={"format": "pt"})
    modules = sorted({name.split(".")[-3] for name in written})
    values.write_json(folder / PEFT_CONFIG, _peft(config, _origin(base), modules))
    return len(written)


def _peft(config: dict[str, Any], base: str, modules: list[str]) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config["rank"],
        "lora_alpha": config["alpha"],
        "lora_dropout": 0.0,
        "target_modules": modules,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }


def _origin(base: BaseModel) -> str:
    """The Hub id, where the base came from the Hub, else its name here."""
    kind, _, rest = base.manifest.source.partition(" ")
    return rest.partition("@")[0] if kind == "hub" else base.manifest.name
