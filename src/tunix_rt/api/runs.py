"""`/api/runs`: the queue, and what each run leaves while it works and afterwards."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from fastapi import Path as FromPath
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from tunix_rt import errors, runs, values
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.service import Here, Service
from tunix_rt.runs import EvalSpec, ProbeSpec, Reason, Run, State, TrainSpec

router = APIRouter(prefix="/api/runs", tags=["runs"], route_class=Route)
RUN_ID = "^[0-9]{8}-[0-9]{6}-[0-9a-f]{6,12}$"
PUBLIC = (  # what of a run's folder may be seen; the others name places on this machine
    "config.json", "log.txt", "metrics.jsonl", "events.jsonl", "exit.json", "result.json", "masks.json",
    "adapter/adapter.safetensors", "adapter/adapter_config.json",
)  # fmt: skip
RunId = Annotated[str, FromPath(pattern=RUN_ID, description="A run's id.")]
Place = Annotated[int, Query(ge=0, le=10**15, description="The `next` of the answer before.")]
Lines = Annotated[int, Query(ge=1, le=10_000, description="How many lines.")]
LARGEST_LOG = 256_000  # bytes in one answer


class RunDocument(Shown):
    """A run of the ledger. `result` holds the facts of a completed one."""

    run_id: str
    kind: str
    state: State
    reason: Reason | None
    message: str | None
    priority: int
    spec: Any
    dedup_key: str | None
    parent: str | None
    timeout: float | None
    max_attempts: int
    dry_run: bool
    attempt: int
    launcher: str | None
    host: str | None
    cancel_requested: datetime | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    result: dict[str, Any] | None


class RunPage(Shown):
    data: tuple[RunDocument, ...]
    next: str | None


class Submission(Shown):
    """`priority`: higher is sooner. `timeout`: seconds for each attempt. `dedup_key`: the same key is the same run."""

    spec: Annotated[TrainSpec | EvalSpec | ProbeSpec, Field(discriminator="kind", json_schema_extra={"required": ["kind"]})]
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    dedup_key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")] | None = None
    timeout: float | None = Field(default=None, gt=0, le=30 * 86_400)
    max_attempts: int = Field(default=3, ge=1, le=100)
    dry_run: bool = False


class LogPart(Shown):
    """`next` is where to go on, now or when there is more."""

    data: str
    next: int


class LinePart(Shown):
    data: tuple[dict[str, Any], ...]
    next: int


class Tail(Shown):
    """Everything new of a run in one answer; give each `next` back as `log`, `metrics` and `events`."""

    run: RunDocument
    log: LogPart
    metrics: LinePart
    events: LinePart


class Artifact(Shown):
    file: str
    bytes: int


class ArtifactList(Shown):
    data: tuple[Artifact, ...]
    next: Literal[None] = None


@router.post("", response_model=RunDocument, status_code=202, summary="Submit a run")
def submit(here: Here, asked: Annotated[Submission, Body()]) -> Response:
    """What is asked for is named, never given as a path or command; digests are added if left out. With `dry_run` everything
    is validated by a worker and nothing is launched."""
    options = asked.model_dump(exclude={"spec"})
    with here.store.unit_of_work() as connection:
        run = runs.submit(connection, runs.resolve(here.settings, asked.spec), **options)
    return queued(here, run)


@router.get("", response_model=RunPage, summary="Runs, newest first")
def list_runs(
    here: Here,
    after: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="How many on a page.")] = 50,
    state: State | None = None,
    kind: Literal["train", "eval", "probe"] | None = None,
) -> Response:
    """All of them, or those of one state or kind."""
    with here.store.reading() as connection:
        found = runs.listed(connection, after=after, limit=limit, state=state, kind=kind)
    return page([encoded(document(here, run)) for run in found.data], found.next)


@router.get("/{run_id}", response_model=RunDocument, summary="One run")
def get(here: Here, run_id: RunId) -> Response:
    """Its state, what was asked, and how it ended."""
    return reply(document(here, _run(here, run_id)))


@router.post("/{run_id}/cancel", response_model=RunDocument, summary="Cancel a run")
def cancel(here: Here, run_id: RunId) -> Response:
    """A queued run is cancelled at once, a running one when its process is gone; asking again changes nothing."""
    with here.store.unit_of_work() as connection:
        return reply(document(here, runs.cancel(connection, run_id)))


@router.post("/{run_id}/resume", response_model=RunDocument, status_code=202, summary="Resume a run")
def resume(here: Here, run_id: RunId) -> Response:
    """Queue a run again that ended without completing; it goes on from its last verified checkpoint."""
    with here.store.unit_of_work() as connection:
        return queued(here, runs.resume(connection, run_id))


@router.get("/{run_id}/log", response_model=LogPart, summary="What a run prints")
def log(
    here: Here, run_id: RunId, after: Place = 0, most: Annotated[int, Query(ge=1_000, le=LARGEST_LOG)] = 64_000
) -> Response:
    """From a byte of the log on, in whole lines where possible."""
    return reply(_log(here, _run(here, run_id).dir(here.settings), after, most))


@router.get("/{run_id}/metrics", response_model=LinePart, summary="A run's curve")
def metrics(here: Here, run_id: RunId, after: Place = 0, limit: Lines = 1_000) -> Response:
    """One line an optimizer step: loss, learning rate, gradient norm, tokens, seconds."""
    return reply(_lines(_run(here, run_id).dir(here.settings) / "metrics.jsonl", after, limit))


@router.get("/{run_id}/events", response_model=LinePart, summary="What happened in a run")
def events(here: Here, run_id: RunId, after: Place = 0) -> Response:
    """As the ledger has taken it in; `seq` is the cursor."""
    with here.store.reading() as connection:
        runs.get(connection, run_id)
        return reply(_events(here, connection, run_id, after))


@router.get("/{run_id}/tail", response_model=Tail, summary="Everything new of a run")
def tail(here: Here, run_id: RunId, log: Place = 0, metrics: Place = 0, events: Place = 0) -> Response:
    """For following a run: its state, new log, new points and new events in one request."""
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
        happened = _events(here, connection, run_id, events)
    folder = run.dir(here.settings)
    curve = _lines(folder / "metrics.jsonl", metrics, 1_000)
    return reply({"run": document(here, run), "log": _log(here, folder, log, 64_000), "metrics": curve, "events": happened})


@router.get("/{run_id}/artifacts", response_model=ArtifactList, summary="A run's files")
def artifacts(here: Here, run_id: RunId) -> Response:
    """The public files of its folder, by name."""
    files = _files(_run(here, run_id).dir(here.settings))
    return reply({"data": [{"file": name, "bytes": path.stat().st_size} for name, path in files.items()], "next": None})


@router.get(
    "/{run_id}/artifacts/{file}",
    summary="Download a run's file",
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
    response_class=Response,
)
def artifact(
    here: Here, run_id: RunId, file: Annotated[str, FromPath(max_length=100, description="A name of the list.")]
) -> Response:
    """The name is looked up in the list, never made into a path."""
    files = _files(_run(here, run_id).dir(here.settings))
    if file not in files:
        raise errors.NotFound(f"run {run_id} has no file {file!r}.{errors.nearest(file, files)}", file=file)
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return StreamingResponse(_redacted(here, files[file]), media_type="application/octet-stream", headers=headers)


def _redacted(here: Service, path: Path) -> Iterator[bytes]:
    """A file of text in parts of many whole lines; a line that is longer than memory should hold comes in pieces."""
    with path.open("rb") as file:
        while part := file.read(LARGEST_LOG):
            part += file.readline(LARGEST_LOG)
            yield here.redact(part.decode(errors="replace")).encode()


def queued(here: Service, run: Run) -> Response:
    return reply(document(here, run), 202, {"Location": f"/api/runs/{run.run_id}"})


def document(here: Service, run: Run) -> dict[str, Any]:
    """The run without what only this machine needs: folder, owner, lease, and what its message says of places and secrets."""
    found = run.model_dump(mode="json", include=set(RunDocument.model_fields))
    if found["result"]:
        found["result"] = {key: value for key, value in found["result"].items() if key != "dir"}
    return found | {"message": found["message"] and here.redact(found["message"])}


def _run(here: Service, run_id: str) -> Run:
    with here.store.reading() as connection:
        return runs.get(connection, run_id)


def _events(here: Service, connection: Connection, run_id: str, after: int) -> dict[str, Any]:
    found = runs.events(connection, run_id, after)
    return {
        "data": [here.redact.data(event.model_dump(mode="json")) for event in found],
        "next": found[-1].seq if found else after,
    }


def _lines(path: Path, after: int, limit: int) -> dict[str, Any]:
    found = values.read_lines(path, after, limit)
    return {"data": [json.loads(line) for line in found.lines], "next": found.next if found.lines else after}


def _log(here: Service, folder: Path, after: int, most: int) -> dict[str, Any]:
    path = folder / "log.txt"
    if not path.is_file():
        return {"data": "", "next": after}
    with path.open("rb") as file:
        file.seek(min(after, path.stat().st_size))  # a file system refuses a place that no file can have
        data = file.read(most)
    whole = data[: data.rfind(b"\n") + 1] or data
    return {"data": here.redact(whole.decode(errors="replace")), "next": after + len(whole)}


def _files(folder: Path) -> dict[str, Path]:
    return {Path(name).name: folder / name for name in PUBLIC if (folder / name).is_file()}
