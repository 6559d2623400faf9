"""`/api/traces`: capture, page through, search, look at, compare and check traces."""

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Body, Path, Query
from pydantic import Field
from starlette.responses import Response

from tunix_rt import checking
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, page, reply, text
from tunix_rt.api.service import Here
from tunix_rt.checking import Mode, TraceCheck
from tunix_rt.traces import Trace, comparing, stored
from tunix_rt.traces.comparing import Divergence
from tunix_rt.traces.stored import Stored

router = APIRouter(prefix="/api/traces", tags=["traces"], route_class=Route)
LARGEST_BATCH = 5_000
TraceId = Annotated[str, Path(pattern="^[0-9a-f]{8,64}$", description="A trace's id, or enough of its beginning.")]
AnId = Annotated[str, Query(pattern="^[0-9a-f]{8,64}$", description="A trace's id, or enough of its beginning.")]
After = Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=stored.LARGEST_PAGE, description="How many on a page.")]
ASKED = 'Words; "quoted words" stand side by side.'


class StoredTrace(Shown):
    id: str
    source: str
    created: datetime
    trace: Trace


class TracePage(Shown):
    data: tuple[StoredTrace, ...]
    next: str | None


class TraceBatch(Shown):
    traces: tuple[Trace, ...] = Field(min_length=1, max_length=LARGEST_BATCH)


class Added(Shown):
    """How many are new here, and how many were here already or came twice."""

    added: int
    duplicates: int


class ToCheck(Shown):
    """`anchored` needs a reference; without one, `hybrid` is `free`."""

    trace: Trace
    reference: Trace | None = None
    mode: Mode = "hybrid"


@router.post(
    "",
    response_model=StoredTrace,
    status_code=201,
    responses={200: {"model": StoredTrace, "description": "The same trace is here already."}},
    summary="Keep a trace",
)
def create(here: Here, trace: Annotated[Trace, Body()]) -> Response:
    """Answers 201 when it is new, 200 when the same trace is here already. Its id is the hash of its content."""
    with here.store.unit_of_work() as connection:
        kept, fresh = stored.add(connection, trace, "api")
    here.measures.traces.labels("added" if fresh else "duplicate").inc()
    return text(_line(kept), 201 if fresh else 200, {"Location": f"/api/traces/{kept.id}"})


@router.post("/batch", response_model=Added, status_code=201, summary="Keep many traces")
def create_batch(here: Here, batch: Annotated[TraceBatch, Body()]) -> Response:
    """All or none: one trace that is not valid refuses the whole batch."""
    with here.store.unit_of_work() as connection:
        made = stored.add_many(connection, batch.traces, "api")
    here.measures.traces.labels("added").inc(made.added)
    here.measures.traces.labels("duplicate").inc(made.duplicates)
    return reply(made._asdict(), 201)


@router.get("", response_model=TracePage, summary="Traces, newest first")
def list_traces(
    here: Here,
    after: After = None,
    limit: Limit = 50,
    source: Annotated[str | None, Query(max_length=64, pattern="^[^\\x00]+$", description="Only from here.")] = None,
    parent: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="Only what mends this trace.")] = None,
) -> Response:
    """A keyset page: the page 5,000 deep costs what the first does."""
    with here.store.reading() as connection:
        found = stored.listed(connection, after=after, limit=limit, source=source, parent=parent)
    return page([_line(row) for row in found.data], found.next)


@router.get("/search", response_model=TracePage, summary="Traces that hold words")
def search(
    here: Here,
    text: Annotated[str, Query(max_length=1_000, description=ASKED)],
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """The newest traces whose prompt, steps or answer hold every word, in any case."""
    with here.store.reading() as connection:
        found = stored.search(connection, text, after=after, limit=limit)
    return page([_line(row) for row in found.data], found.next)


@router.get("/compare", response_model=Divergence, summary="Two traces side by side")
def compare(here: Here, a: AnId, b: AnId) -> Response:
    """Where the second leaves the first: the first step that differs."""
    with here.store.reading() as connection:
        one, other = stored.get(connection, a).trace, stored.get(connection, b).trace
    return reply(comparing.compare(one, other).model_dump(mode="json"))


@router.post("/check", response_model=TraceCheck, summary="Check a trace")
def check(asked: Annotated[ToCheck, Body()]) -> Response:
    """A verdict for every step of a trace that need not be kept."""
    return reply(checking.check(asked.trace, 1, asked.mode, asked.reference).model_dump(mode="json"))


@router.get("/{trace_id}", response_model=StoredTrace, summary="One trace")
def get(here: Here, trace_id: TraceId) -> Response:
    """By its id, or the beginning of it that only one trace has."""
    with here.store.reading() as connection:
        return text(_line(stored.get(connection, trace_id)))


@router.get("/{trace_id}/check", response_model=TraceCheck, summary="Check a kept trace")
def check_kept(
    here: Here,
    trace_id: TraceId,
    reference: Annotated[str | None, Query(pattern="^[0-9a-f]{8,64}$", description="The trace to anchor at.")] = None,
) -> Response:
    """A verdict for every step; with a reference, also whether it arrives where that one does."""
    with here.store.reading() as connection:
        trace = stored.get(connection, trace_id).trace
        anchor = stored.get(connection, reference).trace if reference else None
    return reply(checking.check(trace, 1, "hybrid", anchor).model_dump(mode="json"))


def _line(row: Stored) -> bytes:
    """The trace's own text goes out as it was stored."""
    head = orjson.dumps({"id": row.id, "source": row.source, "created": row.created})
    return head[:-1] + b',"trace":' + row.body.encode() + b"}"
