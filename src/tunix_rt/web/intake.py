"""`/datasets/ingest`: a file from the browser, and the report of what became of its rows."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import datasets, errors, formats
from tunix_rt.api.service import Here
from tunix_rt.datasets import Ingested
from tunix_rt.settings import Settings
from tunix_rt.web import rendering, wording

router = APIRouter(include_in_schema=False)
SHOWN = 200  # bad lines on the page
EXAMPLE = '{"prompt": "What is 3 * 4?", "steps": [{"i": 1, "type": "compute", "content": "3 * 4 = 12"}], "final_answer": "12"}'


class Filled(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    file: UploadFile
    name: str = ""
    format: str = "auto"
    licence: str = Field(default="unknown", max_length=200)
    skip_bad: bool = False
    check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """The form with what was chosen before; `report` tells of a file that was refused or of what was left out of it."""

    formats: tuple[str, ...]
    format: str
    name: str
    licence: str
    skip_bad: bool
    check: bool
    example: str
    report: "Report | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`href` leads to the dataset that was made, None when nothing was stored."""

    file: str
    href: str | None
    message: str
    added: int
    duplicates: int
    rejected_count: int
    by_code: tuple[tuple[str, int], ...]
    rejected: tuple[dict[str, Any], ...]
    more: int


@router.get("/datasets/ingest")
def form(request: Request) -> Response:
    return _shown(request, form_view(), "FILE")


def _shown(request: Request, view: FormView, file: str, status: int = 200) -> Response:
    command = wording.command("data", "ingest", file, name=view.name or None, skip_bad=view.skip_bad, check=view.check)
    return rendering.page(request, "ingest.html", view, title="Take in a file", command=command, up="/datasets", status=status)


@router.post("/datasets/ingest")
def ingest(request: Request, here: Here, filled: Annotated[Filled, Form()]) -> Response:
    """Strict, as everywhere: with a bad line nothing is stored, unless bad lines are to be left out."""
    file = safe_name(filled.file.filename or "")
    with here.heavy(), _staged(here.settings, file, filled.file) as path:
        try:
            made = datasets.ingest(
                path,
                here.settings.datasets,
                here.store,
                name=filled.name.strip() or None,
                format=filled.format or "auto",
                skip_bad=filled.skip_bad,
                check=filled.check,
                licence=filled.licence.strip() or "unknown",
            )
        except errors.Mistake as mistake:
            view = form_view(filled, refused(file, mistake, str(path.parent)))
            return _shown(request, view, file, mistake.status)
    for outcome, count in (("added", made.added), ("duplicate", made.duplicates), ("rejected", made.rejected_count)):
        here.measures.rows.labels(outcome).inc(count)
    if made.rejected_count:
        return _shown(request, form_view(filled, taken(file, made)), file, 201)
    return RedirectResponse(f"/datasets/{made.manifest.name}", 303)


def form_view(filled: Filled | None = None, report: Report | None = None) -> FormView:
    return FormView(
        formats=("auto", *formats.IMPORTS),
        format=filled.format if filled else "auto",
        name=filled.name if filled else "",
        licence=filled.licence if filled else "unknown",
        skip_bad=filled.skip_bad if filled else False,
        check=filled.check if filled else False,
        example=EXAMPLE,
        report=report,
    )


def refused(file: str, mistake: errors.Mistake, folder: str) -> Report:
    """The same refusal, told of the file that was sent and not of where it lay."""
    details = mistake.details
    rejected = tuple(details.get("rejected", ()))
    first = mistake.message.replace(f"{folder}/", "").splitlines()[0]
    return Report(
        file=file,
        href=None,
        message=first.replace("--skip-bad leaves them out, --rejects FILE writes them down", "mend them, or leave them out"),
        added=0,
        duplicates=details.get("duplicates", 0),
        rejected_count=details.get("rejected_count", 0),
        by_code=tuple(details.get("by_code", {}).items()),
        rejected=rejected[:SHOWN],
        more=max(0, details.get("rejected_count", 0) - SHOWN),
    )


def taken(file: str, made: Ingested) -> Report:
    return Report(
        file=file,
        href=f"/datasets/{made.manifest.name}",
        message=f"{wording.plural(made.rejected_count, 'bad line')} left out, the rest is stored.",
        added=made.added,
        duplicates=made.duplicates,
        rejected_count=made.rejected_count,
        by_code=tuple(made.by_code.items()),
        rejected=tuple(found.report() for found in made.rejected[:SHOWN]),
        more=max(0, made.rejected_count - SHOWN),
    )


def safe_name(name: str) -> str:
    """The file's own name as far as it is letters, digits, dots and dashes; its ending matters for CSV."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("\\", "/").rpartition("/")[2]).lstrip("-._")
    return kept[-100:].lstrip("-._") or "upload.jsonl"


@contextmanager
def _staged(settings: Settings, name: str, upload: UploadFile) -> Iterator[Path]:
    """The upload as a file of its name on the workspace's disk, for as long as it is read."""
    parent = settings.home / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=parent) as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        yield path
