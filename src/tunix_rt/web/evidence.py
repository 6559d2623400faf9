"""`/evidence`: bundles, what each claims, and what verifying it finds; pack and download."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from tunix_rt import comparisons, errors, evidence, runs
from tunix_rt.api.evidence import BundleName, found, read
from tunix_rt.api.runs import RUN_ID
from tunix_rt.api.service import Here
from tunix_rt.evidence import Report
from tunix_rt.web import marks, queries, rendering, wording
from tunix_rt.web.marks import Interval

router = APIRouter(include_in_schema=False)


class VerifyQuery(queries.Query):
    """Deeper is for the command line: it builds datasets and runs models, which a page that is only looked at must not."""

    depth: Annotated[int, Field(ge=0, le=1)] | None = None


class ToPack(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(pattern=RUN_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    size: str
    when: str
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the bundle says of itself: nothing here has been checked by the page."""

    sentence: str
    mark: Interval | None
    digests: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleView:
    name: str
    size: str
    claim: Claim
    files: tuple[tuple[str, str, str], ...]
    left_out: tuple[str, ...]
    report: Report | None
    run_id: str | None


@router.get("/evidence")
def list_bundles(request: Request, here: Here) -> Response:
    paths = sorted(here.settings.evidence.glob("*.zip"), key=lambda path: path.name, reverse=True)
    view = ListView(rows=tuple(_row(path) for path in paths))
    return rendering.page(request, "bundles.html", view, title="Evidence", command="tunix-rt evidence pack RUN")


def _row(path: Path) -> Row:
    return Row(
        name=path.stem,
        size=wording.size(path.stat().st_size),
        when=path.stem[:8] if path.stem[:8].isdigit() else "",
        claim=claim(read(path, "comparison.json"), {}).sentence,
    )


@router.post("/evidence")
def pack(here: Here, form: Annotated[ToPack, Form()]) -> Response:
    folder = here.settings.runs / form.run
    if not (folder / "run.json").is_file():
        raise errors.NotFound(f"no finished run {form.run!r}.", run=form.run)
    with here.heavy():
        evidence.pack_run(here.settings, runs.load(folder), here.settings.evidence / f"{form.run}.zip")
    return RedirectResponse(f"/evidence/{form.run}", 303)


@router.get("/evidence/{bundle}")
def show(request: Request, here: Here, bundle: BundleName, query: Annotated[VerifyQuery, Query()]) -> Response:
    path = found(here.settings, bundle)
    report = None
    if query.depth is not None:
        with here.heavy():
            report = evidence.verify(path, query.depth)
    command = wording.command("evidence", "verify", f"{bundle}.zip", depth=query.depth if query.depth is not None else 1)
    view = bundle_view(path, report)
    return rendering.page(request, "bundle.html", view, title=f"Evidence {bundle}", command=command, up="/evidence")


@router.get("/evidence/{bundle}/download")
def download(here: Here, bundle: BundleName) -> Response:
    path = found(here.settings, bundle)
    return FileResponse(path, media_type="application/zip", filename=path.name)


def bundle_view(path: Path, report: Report | None) -> BundleView:
    manifest = read(path, "manifest.json")
    run_id = manifest.get("run_id")
    return BundleView(
        name=path.stem,
        size=wording.size(path.stat().st_size),
        claim=claim(read(path, "comparison.json"), manifest),
        files=tuple(_files(manifest.get("files"))),
        left_out=tuple(name for name, _, _ in _files(manifest.get("left_out"))),
        report=report,
        run_id=run_id if isinstance(run_id, str) else None,
    )


def claim(compared: dict[str, Any], manifest: dict[str, Any]) -> Claim:
    """In the bundle's own figures, whatever they are: a hostile one shows nothing but text."""
    digests = tuple((key.replace("_", " "), str(value)) for key, value in manifest.items() if _is_name(value))
    try:
        made = comparisons.Comparison.model_validate(compared)
    except ValueError:
        return Claim(sentence="It holds no comparison that can be read.", mark=None, digests=digests)
    told = f"{wording.points(made.difference)} points on {made.evalset} ({wording.interval(made.ci95)}), {made.n:,} items"
    mark = marks.interval(made.difference, made.ci95, told, -1.0, 1.0)
    return Claim(sentence=f"{told}: {made.verdict}.", mark=mark, digests=digests)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _files(listed: Any) -> Iterable[tuple[str, str, str]]:
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("bytes"), int):
            yield str(entry.get("name")), wording.size(entry["bytes"]), str(entry.get("sha256"))[:16]
