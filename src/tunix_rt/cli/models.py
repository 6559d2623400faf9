"""`tunix-rt models`: base models."""

from typing import Annotated

import typer

from tunix_rt import errors, models
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, table
from tunix_rt.models import BaseModel

group = noun("models", "Base models.")


@command(group, "list")
def list_models(surface: Surface) -> None:
    """The base models this version can get."""
    ready = {name for name in models.SOURCES if (surface.settings.models / name / "manifest.json").exists()}
    rows = [(name, "ready" if name in ready else "not yet", source.about) for name, source in models.SOURCES.items()]
    data = [{**source.model_dump(mode="json"), "ready": name in ready} for name, source in models.SOURCES.items()]
    surface.emit({"data": data, "next": None}, table(rows, ("model", "here", "about")))


@command(group)
def pull(surface: Surface, name: str) -> None:
    """Convert a base model into the workspace, once, and verify it."""
    _emit(surface, models.prepare(surface.settings, name, surface.say))


@command(group)
def show(surface: Surface, name: Annotated[str, typer.Argument(help="A model that was pulled.")]) -> None:
    """The facts and checksums of a model in the workspace, after verifying every file."""
    models.source(name)
    if not (surface.settings.models / name / "manifest.json").exists():
        raise errors.NotFound(f"model {name!r} is not here yet; `tunix-rt models pull {name}` gets it.", model=name)
    _emit(surface, models.open_folder(surface.settings.models / name))


def _emit(surface: Surface, model: BaseModel) -> None:
    data = {**model.manifest.model_dump(mode="json"), "digest": model.digest, "dir": str(model.folder)}
    text = (
        f"{model.manifest.name} {model.digest[:12]}: {model.manifest.parameters:,} parameters, {model.manifest.licence}\n"
        f"  from {model.manifest.source}\n  folder {model.folder}"
    )
    surface.emit(data, text)
