"""`tunix-rt models`: base models, and what is made of them for others. What is registered is in `registry`."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunix_rt import errors, models, values
from tunix_rt.cli import registering
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, table
from tunix_rt.jobs import ExportForm
from tunix_rt.launchers import local
from tunix_rt.models import BaseModel
from tunix_rt.runs import Trained, exports
from tunix_rt.runs.exports import UNKNOWN, Quality
from tunix_rt.workbench import registered

Form = Literal["merged", "safetensors", "adapter", "gguf"]
Matrices = Literal["float32", "float16"]
group = noun("models", "Base models, and the registry of what runs made of them.")


@command(group, "list")
def list_models(surface: Surface) -> None:
    """The base models this version can get, and those fetched into the workspace."""
    data = [_listed(surface, name) for name in models.known(surface.settings)]
    rows = [(row["name"], "ready" if row["ready"] else "not yet", row["about"]) for row in data]
    surface.emit({"data": data, "next": None}, table(rows, ("model", "here", "about")))


def _listed(surface: Surface, name: str) -> dict[str, Any]:
    folder = surface.settings.models / name
    if name in models.SOURCES:
        return {**models.SOURCES[name].model_dump(mode="json"), "ready": (folder / "manifest.json").exists()}
    path = folder / "manifest.json"
    manifest = models.Manifest.parse(values.read_json(path), source=str(path))
    about = f"{manifest.parameters:,} parameters, from {manifest.source}"
    return {"name": name, "about": about, "licence": manifest.licence, "ready": True}


@command(group)
def pull(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="MODEL", help="A listed model, a Hub-layout folder, a GGUF file or a Hub id.")],
    name: Annotated[str | None, typer.Option("--as", help="Its name here (default: the last part of what is pulled).")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub id.")] = None,
) -> None:
    """Get a base model into the workspace, once, and verify it. Weights are read from safetensors or GGUF only."""
    if what in models.known(surface.settings):
        _emit(surface, models.prepare(surface.settings, what, surface.say))
    else:
        _emit(surface, models.fetch(surface.settings, what, name=name, revision=revision, say=surface.say))


@command(group)
def show(
    surface: Surface,
    name: Annotated[
        str, typer.Argument(metavar="NAME[@WHICH]", help="A base model, or a registered one (default: its champion).")
    ],
) -> None:
    """A base model's facts and checksums, after verifying every file; or a registered version and the way back to its data."""
    if name not in models.known(surface.settings) and registered.registered(surface, name):
        return registering.emit(surface, name)
    models.require(surface.settings, name)
    if not (surface.settings.models / name / "manifest.json").exists():
        raise errors.NotFound(f"model {name!r} is not here yet; `tunix-rt models pull {name}` gets it.", model=name)
    return _emit(surface, models.open_folder(surface.settings.models / name))


@command(group)
def export(
    surface: Surface,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run (id or folder), or a registered NAME[@WHICH].")],
    to: Annotated[
        Form,
        typer.Option(help="All weights for transformers (merged or safetensors) or as GGUF, or the LoRA matrices for PEFT."),
    ] = "merged",
    dtype: Annotated[Matrices, typer.Option(help="Of the matrices in GGUF.")] = "float32",
    out: Annotated[Path | None, typer.Option(help="Folder to write (default: exports/RUN-FORM in the workspace).")] = None,
) -> None:
    """Write what a run made as a folder that transformers, PEFT or llama.cpp loads, with a card of its facts."""
    found = registered.trained(surface, run)
    form: ExportForm = "merged" if to == "safetensors" else to
    target = out or surface.settings.home / "exports" / f"{found.run_id}-{form}"
    files = exported(surface, found, form, target, dtype=dtype)
    data = {"run_id": found.run_id, "form": form, "dir": str(target), "files": files}
    surface.emit(data, f"{form} weights of run {found.run_id} in {target}: {', '.join(files)}")


def exported(
    surface: Surface,
    run: Trained,
    to: ExportForm,
    target: Path,
    *,
    quality: Quality = UNKNOWN,
    dtype: Matrices = "float32",
) -> dict[str, str]:
    """Let the engine write the folder `target`, which must be empty or absent; returns file name -> sha256."""
    exports.vacant(target)
    base = models.prepare(surface.settings, run.model, surface.say)
    job = exports.job_of(run, to, dtype)
    surface.settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=surface.settings.home, prefix=".export-") as work:
        exports.prepare(surface.settings, run, job, Path(work))
        local.run(Path(work))
        return exports.publish(run, job, base, Path(work) / "export", target, quality)


def _emit(surface: Surface, model: BaseModel) -> None:
    data = {**model.manifest.model_dump(mode="json"), "digest": model.digest, "dir": str(model.folder)}
    text = (
        f"{model.manifest.name} {model.digest[:12]}: {model.manifest.parameters:,} parameters, {model.manifest.licence}\n"
        f"  from {model.manifest.source}\n  folder {model.folder}"
    )
    surface.emit(data, text)
