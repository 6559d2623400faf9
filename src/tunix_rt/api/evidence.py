"""`/api/evidence`: pack a run with all that its claims rest on, look at bundles, verify and download them."""

import zipfile
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Query
from fastapi import Path as FromPath
from pydantic import Field
from starlette.responses import FileResponse, Response

from tunix_rt import errors, evidence, runs
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.runs import RUN_ID
from tunix_rt.api.service import Here
from tunix_rt.evidence import Report
from tunix_rt.settings import Settings

router = APIRouter(prefix="/api/evidence", tags=["evidence"], route_class=Route)
PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
BundleName = Annotated[str, FromPath(pattern=PATTERN, description="A bundle's name.")]
LARGEST = 1_000_000  # bytes of one JSON file of a bundle that is read without verifying


class Bundle(Shown):
    """`manifest` is what the bundle says of itself, which only verifying checks; empty when it cannot be read."""

    name: str
    bytes: int
    manifest: dict[str, Any]


class BundlePage(Shown):
    data: tuple[Bundle, ...]
    next: str | None


class ToPack(Shown):
    run_id: Annotated[str, Field(pattern=RUN_ID)]


@router.get("", response_model=BundlePage, summary="Bundles, by name")
def list_bundles(
    here: Here,
    after: Annotated[str | None, Query(pattern=PATTERN, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 50,
) -> Response:
    """What the workspace's folder of evidence holds."""
    rest = [path for name, path in sorted(_bundles(here.settings).items()) if after is None or name > after]
    return page([encoded(_told(path)) for path in rest[:limit]], rest[limit - 1].stem if len(rest) > limit else None)


@router.post("", response_model=Bundle, status_code=201, summary="Pack a run")
def pack(here: Here, asked: Annotated[ToPack, Body()]) -> Response:
    """A finished and evaluated run with its data, both evaluations and their comparison, as one deterministic zip archive."""
    folder = here.settings.runs / asked.run_id
    if not (folder / "run.json").is_file():
        raise errors.NotFound(f"no finished run {asked.run_id!r}.", run=asked.run_id)
    path = here.settings.evidence / f"{asked.run_id}.zip"
    with here.heavy():
        evidence.pack_run(here.settings, runs.load(folder), path)
    return reply(_told(path), 201, {"Location": f"/api/evidence/{asked.run_id}"})


@router.get("/{bundle}", response_model=Bundle, summary="One bundle")
def get(here: Here, bundle: BundleName) -> Response:
    """Its manifest as it stands."""
    return reply(_told(found(here.settings, bundle)))


@router.get("/{bundle}/verify", response_model=Report, summary="Verify a bundle")
def verify(
    here: Here,
    bundle: BundleName,
    depth: Annotated[int, Query(ge=0, le=1, description="0: every byte; 1: also every number computed again.")] = 1,
) -> Response:
    """What holds, what does not, and what was not looked at. Deeper is for the command line: it builds datasets and runs
    models."""
    path = found(here.settings, bundle)
    with here.heavy():
        return reply(evidence.verify(path, depth).model_dump(mode="json"))


@router.get(
    "/{bundle}/download",
    summary="Download a bundle",
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
    response_class=Response,
)
def download(here: Here, bundle: BundleName) -> Response:
    """The zip archive."""
    path = found(here.settings, bundle)
    return FileResponse(path, media_type="application/zip", filename=path.name)


def found(settings: Settings, bundle: str) -> Path:
    """The name is looked up among those that are there, never made into a path."""
    known = _bundles(settings)
    if bundle not in known:
        raise errors.NotFound(f"no bundle {bundle!r}.{errors.nearest(bundle, known)}", bundle=bundle)
    return known[bundle]


def read(path: Path, member: str) -> dict[str, Any]:
    """One JSON file of the bundle as it stands; empty when it cannot be read, which verifying will tell."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            data = orjson.loads(file.read(LARGEST))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return {}
    return data if isinstance(data, dict) else {}


def _bundles(settings: Settings) -> dict[str, Path]:
    return {path.stem: path for path in settings.evidence.glob("*.zip")}


def _told(path: Path) -> dict[str, Any]:
    return {"name": path.stem, "bytes": path.stat().st_size, "manifest": read(path, "manifest.json")}
