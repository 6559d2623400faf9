"""`/api/datasets`: build from a recipe, take in an upload, look, page through, compare for leakage, download."""

import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Body, Depends, Query
from fastapi import Path as FromPath
from pydantic import Field
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from tunix_rt import datasets, errors, formats, traces
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Problem, Shown, page, reply
from tunix_rt.api.replies import encoded as json_text
from tunix_rt.api.service import Here, Service
from tunix_rt.datasets import Composition, Figures, Leakage, Manifest, Recipe
from tunix_rt.formats import exports
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.values import read_lines

router = APIRouter(prefix="/api/datasets", tags=["datasets"], route_class=Route)
PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"
LARGEST_BUILD = 20_000  # traces made while a request waits; the command line makes more
Name = Annotated[str, FromPath(pattern=PATTERN, description="A dataset of this workspace.")]
AName = Annotated[str, Query(pattern=PATTERN, description="A dataset of this workspace.")]
Offset = Annotated[str | None, Query(pattern="^[0-9]{1,15}$", description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="How many on a page.")]
ExportFormat = Annotated[
    str, Query(description=f"One of: {', '.join(exports.NAMES)}.", json_schema_extra={"enum": [*exports.NAMES]})
]
ImportFormat = Annotated[
    str,
    Query(description=f"One of: auto, {', '.join(formats.IMPORTS)}.", json_schema_extra={"enum": ["auto", *formats.IMPORTS]}),
]
DATA = "dataset.jsonl"


class Listed(Shown):
    name: str
    version: int
    digest: str
    count: int
    splits: dict[str, int]
    description: str
    licence: str


class DatasetPage(Shown):
    data: tuple[Listed, ...]
    next: str | None


class Found(Listed):
    manifest: Manifest


class Item(Shown):
    id: str
    trace: Trace


class ItemPage(Shown):
    data: tuple[Item, ...]
    next: str | None


class Stats(Shown):
    name: str
    count: int
    composition: Composition
    statistics: Figures


class ToBuild(Shown):
    """The name of a built-in recipe, or a recipe."""

    recipe: Annotated[str, Field(pattern=PATTERN)] | Recipe


class Rejected(Shown):
    line: int
    code: str
    field: str | None
    message: str


class Ingested(Shown):
    """`rejected` lists up to 10,000 bad lines; `rejected_count` counts all of them."""

    name: str
    digest: str
    count: int
    added: int
    duplicates: int
    rejected: tuple[Rejected, ...]
    rejected_count: int
    by_code: dict[str, int]
    format: str | None
    without_reasoning: int


class Refusal(Problem):
    """A file with bad lines, of which nothing was stored."""

    added: int
    duplicates: int
    rejected: tuple[Rejected, ...]
    rejected_count: int
    by_code: dict[str, int]


@router.get("", response_model=DatasetPage, summary="Datasets, by name")
def list_datasets(
    here: Here,
    after: Annotated[str | None, Query(pattern=PATTERN, description="The `next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """What has a complete folder in the workspace."""
    names = sorted(path.parent.name for path in here.settings.datasets.glob("*/manifest.json"))
    wanted = [name for name in names if after is None or name > after]
    rows = [json_text(_listed(datasets.manifest(here.settings, name))) for name in wanted[:limit]]
    return page(rows, wanted[limit - 1] if len(wanted) > limit else None)


@router.post(
    "",
    response_model=Found,
    status_code=201,
    responses={200: {"model": Found, "description": "The same dataset is here already."}},
    summary="Build a dataset",
)
def build(here: Here, asked: Annotated[ToBuild, Body()]) -> Response:
    """The same recipe gives the same bytes. Another recipe under a name that is taken is a conflict."""
    recipe = _sent(asked.recipe) if isinstance(asked.recipe, Recipe) else _builtin(asked.recipe)
    planned = datasets.plan(recipe)
    if planned.size > LARGEST_BUILD:
        raise errors.Invalid(
            f"recipe {recipe.name!r} makes {planned.size} traces; over HTTP at most {LARGEST_BUILD} are made, "
            "`tunix-rt data build` makes more.",
            field="recipe",
            count=planned.size,
        )
    folder = here.settings.datasets / recipe.name
    there = (folder / "manifest.json").exists()
    with here.heavy():
        manifest = datasets.build(recipe, folder)
    return reply(_found(manifest), 200 if there else 201, {"Location": f"/api/datasets/{manifest.name}"})


def _sent(recipe: Recipe) -> Recipe:
    """Items that people wrote lie in a file beside their recipe, and no request names a file of the server."""
    if recipe.written is not None:
        raise errors.Invalid(
            "written items cannot be named over HTTP; send them to /api/datasets/ingest.", field="recipe.written"
        )
    return recipe


def _builtin(name: str) -> Recipe:
    known = datasets.builtin_recipes()
    if name not in known:
        raise errors.NotFound(f"no built-in recipe {name!r}.{errors.nearest(name, known)}", recipe=name)
    return datasets.recipe(name)


class Upload:
    """A request's body as a file of a given name, on the workspace's disk for as long as the request lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def named(self, name: str) -> Path:
        path = self.folder / name
        (self.folder / "body").replace(path)
        return path


async def _uploaded(request: Request, here: Here) -> AsyncIterator[Upload]:
    """Written as it arrives, a megabyte at a time, so that its size is no matter."""
    folder = await to_thread.run_sync(_staging, here.settings)
    try:
        with (folder / "body").open("wb") as file:
            await _pour(request, file)
        yield Upload(folder)
    finally:
        await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _pour(request: Request, file: IO[bytes]) -> None:
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= 1 << 20:
            await to_thread.run_sync(file.write, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(file.write, bytes(waiting))


def _staging(settings: Settings) -> Path:
    parent = settings.home / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="upload-", dir=parent))


@router.post(
    "/ingest",
    response_model=Ingested,
    status_code=201,
    responses={422: {"model": Refusal | Problem, "description": "Bad lines, each of which is listed, or a bad parameter."}},
    summary="Take in a file",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
def ingest(
    here: Here,
    upload: Annotated[Upload, Depends(_uploaded)],
    file: Annotated[
        str, Query(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The file's own name; its ending matters for CSV.")
    ] = "upload.jsonl",
    name: Annotated[str | None, Query(pattern=PATTERN, description="Name of the dataset; default: from the file's.")] = None,
    format: ImportFormat = "auto",
    skip_bad: Annotated[bool, Query(description="Leave bad lines out instead of storing nothing.")] = False,
    licence: Annotated[str, Query(max_length=200, description="Licence of the data, kept in the manifest.")] = "unknown",
) -> Response:
    """The body is the file: JSON lines, a JSON array, CSV or Parquet. Strict: if any line is bad, every bad line is listed and
    nothing is stored. Answers what `tunix-rt data ingest` prints."""
    with here.heavy():
        try:
            made = datasets.ingest(
                upload.named(file), here.settings.datasets, name=name, format=format, skip_bad=skip_bad, licence=licence
            )
        except errors.Mistake as mistake:
            here.measures.rows.labels("rejected").inc(mistake.details.get("rejected_count", 0))
            _forget_path(mistake, upload)
            raise
    for outcome, count in (("added", made.added), ("duplicate", made.duplicates), ("rejected", made.rejected_count)):
        here.measures.rows.labels(outcome).inc(count)
    listed = _listed(made.manifest) | made.report()
    report = {key: value for key, value in listed.items() if key in Ingested.model_fields}
    return reply(report, 201, {"Location": f"/api/datasets/{made.manifest.name}"})


def _forget_path(mistake: errors.Mistake, upload: Upload) -> None:
    """Told of the file that was sent, and not of where it lay."""
    mistake.message = mistake.message.replace(f"{upload.folder}/", "")
    mistake.details.pop("path", None)


@router.get("/{name}", response_model=Found, summary="One dataset")
def get(here: Here, name: Name) -> Response:
    """Its manifest: recipe or source, counts, hashes."""
    return reply(_found(datasets.manifest(here.settings, name)))


@router.get("/{name}/stats", response_model=Stats, summary="Composition and statistics")
def stats(here: Here, name: Name) -> Response:
    """Counts by task, level and step type, and the spread of lengths."""
    found = datasets.manifest(here.settings, name).model_dump(mode="json")
    return reply({key: found[key] for key in Stats.model_fields})


@router.get("/{name}/items", response_model=ItemPage, summary="The traces of a dataset, in order")
def items(here: Here, name: Name, after: Offset = None, limit: Limit = 50) -> Response:
    """The cursor is a place in the file, so every page costs the same."""
    datasets.manifest(here.settings, name)
    found = read_lines(here.settings.datasets / name / DATA, int(after or 0), limit)
    rows = [json_text({"id": Trace.model_validate_json(line).id})[:-1] + b',"trace":' + line + b"}" for line in found.lines]
    return page(rows, found.next if found.more else None)


@router.get("/{name}/leak", response_model=Leakage, summary="What a training set gives away")
def leak(here: Here, name: Name, held_out: AName) -> Response:
    """How many prompts of `held_out` are in this dataset, exactly or nearly."""
    with here.heavy():
        return reply(datasets.leakage(_traces(here, name), _traces(here, held_out)).model_dump(mode="json"))


@router.get(
    "/{name}/export",
    summary="Download a dataset in a trainer's form",
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
    response_class=Response,
)
def export(here: Here, name: Name, format: ExportFormat) -> Response:
    """A zip archive of the folder that `tunix-rt data export` writes; every row was read back and compared."""
    dataset = datasets.find(here.settings, name)
    with here.heavy():
        folder = _staging(here.settings)
        try:
            datasets.export(dataset, format, folder / "export")
            path = _zipped(folder / "export", folder / f"{name}-{format}.zip")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, media_type="application/zip", filename=path.name, background=gone)


def _zipped(folder: Path, path: Path) -> Path:
    """The same folder gives the same bytes: sorted names and one date."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    return path


def _traces(here: Service, name: str) -> list[Trace]:
    return list(traces.read(datasets.find(here.settings, name).path))


def _listed(manifest: Manifest) -> dict[str, Any]:
    kept = manifest.model_dump(mode="json", include=set(Listed.model_fields) - {"digest"})
    return {**kept, "digest": manifest.digest}


def _found(manifest: Manifest) -> dict[str, Any]:
    return {**_listed(manifest), "manifest": manifest.model_dump(mode="json")}
