"""`/traces`: what the workspace keeps, with the checker's verdict beside each; one trace; two side by side."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import checking, values
from tunix_rt.api.service import Here
from tunix_rt.api.traces import TraceId
from tunix_rt.traces import browsing, comparing, stored
from tunix_rt.traces.comparing import Divergence
from tunix_rt.traces.stored import Stored
from tunix_rt.web import queries, rendering, verdicts, wording
from tunix_rt.web.marks import Strip
from tunix_rt.web.verdicts import Judged, StepView, Told

router = APIRouter(include_in_schema=False)
PAGE = 50
LOOKED_AT = 800  # traces that are checked for one page of those with a given verdict


class TraceQuery(queries.Query):
    q: Annotated[str, Field(max_length=1_000)] | None = None
    source: Annotated[str, Field(max_length=64, pattern="^[^\\x00]+$")] | None = None
    verdict: Literal["wrong", "unsure", "ok", "unchecked"] | None = None
    parent: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    after: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None


class WithReference(queries.Query):
    reference: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None = None


class ToCompare(queries.Query):
    other: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    href: str
    id: str
    prompt: str
    answer: str
    source: str
    when: str
    strip: Strip
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """`looked_at` is how many were checked to find those with the verdict that is asked for; None when all are shown."""

    query: TraceQuery
    rows: tuple[Row, ...]
    total: int
    sources: tuple[str, ...]
    looked_at: int | None
    newest: str | None
    older: str | None


class _Found(NamedTuple):
    rows: list[tuple[Stored, Told, Strip]]
    next: str | None
    looked_at: int | None


@router.get("/traces")
def list_traces(request: Request, here: Here, query: Annotated[TraceQuery, Query()]) -> Response:
    with here.store.reading() as connection:
        found = _find(connection, query)
        view = list_view(query, found, stored.count(connection), browsing.sources(connection))
    return rendering.page(request, "traces.html", view, title="Traces", command=_command(query))


def _command(query: TraceQuery) -> str:
    if query.q:
        return wording.command("traces", "search", query.q, limit=PAGE, after=query.after)
    return wording.command("traces", "list", limit=PAGE, source=query.source, after=query.after)


def _page(connection: Connection, query: TraceQuery, after: str | None) -> stored.Page:
    if query.q:
        return stored.search(connection, query.q, after=after, limit=PAGE)
    return stored.listed(connection, after=after, limit=PAGE, source=query.source, parent=query.parent)


def _find(connection: Connection, query: TraceQuery) -> _Found:
    """A page; with a verdict asked for, as many pages as it takes to fill one, up to a bound, so no click costs more."""
    page = _page(connection, query, query.after)
    rows = [_judged(row) for row in page.data]
    if query.verdict is None:
        return _Found(rows, page.next, None)
    looked_at, kept = len(rows), [row for row in rows if row[1].kind == query.verdict]
    while page.next and len(kept) < PAGE and looked_at < LOOKED_AT:
        page = _page(connection, query, page.next)
        looked_at += len(page.data)
        kept += [row for row in map(_judged, page.data) if row[1].kind == query.verdict]
    return _Found(kept, page.next, looked_at)


def _judged(row: Stored) -> tuple[Stored, Told, Strip]:
    check = checking.check(row.trace)
    return row, verdicts.told(check), verdicts.strip(check)


def list_view(query: TraceQuery, found: _Found, total: int, sources: tuple[str, ...]) -> ListView:
    return ListView(
        query=query,
        rows=tuple(list_row(*row) for row in found.rows),
        total=total,
        sources=sources,
        looked_at=found.looked_at,
        newest=query.link("/traces", after=None) if query.after else None,
        older=query.link("/traces", after=found.next) if found.next else None,
    )


def list_row(row: Stored, told: Told, strip: Strip) -> Row:
    trace = row.trace
    return Row(
        href=f"/traces/{row.id[:16]}",
        id=row.id[:8],
        prompt=wording.short(trace.prompt),
        answer=wording.short(trace.final_answer, 24),
        source=row.source,
        when=wording.when(row.created),
        strip=strip,
        told=told,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailView:
    """`facts` are of where it came from, `meta` what it carries; `mended` are traces that name this one as their parent."""

    id: str
    prompt: str
    judged: Judged
    facts: tuple[tuple[str, str], ...]
    meta: str
    parent: str | None
    mended: tuple[Row, ...]
    newer: str | None
    older: str | None
    reference: str | None


@router.get("/traces/{trace_id}")
def show(request: Request, here: Here, trace_id: TraceId, query: Annotated[WithReference, Query()]) -> Response:
    with here.store.reading() as connection:
        row = stored.get(connection, trace_id)
        mended = stored.listed(connection, parent=row.id, limit=10).data
        beside = browsing.neighbours(connection, row.seq)
        anchor = stored.get(connection, query.reference) if query.reference else None
    view = detail_view(row, mended, beside, anchor)
    title = f"Trace {row.id[:8]}"
    return rendering.page(request, "trace.html", view, title=title, command=f"tunix-rt traces show {row.id[:16]}", up="/traces")


def detail_view(
    row: Stored, mended: tuple[Stored, ...], beside: browsing.Neighbours, anchor: Stored | None = None
) -> DetailView:
    trace = row.trace
    parent = stored.parent(trace.meta)
    return DetailView(
        id=row.id,
        prompt=trace.prompt,
        judged=verdicts.judged(trace, anchor.trace if anchor else None),
        facts=(("Source", row.source), ("Added (UTC)", wording.when(row.created)), ("Steps", str(len(trace.steps)))),
        meta=values.pretty(trace.meta) if trace.meta else "",
        parent=parent,
        mended=tuple(list_row(*_judged(one)) for one in mended),
        newer=f"/traces/{beside.newer[:16]}" if beside.newer else None,
        older=f"/traces/{beside.older[:16]}" if beside.older else None,
        reference=anchor.id if anchor else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    i: int
    same: bool
    first: bool
    a: StepView | None
    b: StepView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersusView:
    a: str
    b: str
    prompts: tuple[str, ...]
    same_prompt: bool
    same_answer: bool
    first_difference: int | None
    sides: tuple[Judged, Judged]
    pairs: tuple[PairView, ...]


@router.get("/traces/{trace_id}/vs")
def choose_other(trace_id: TraceId, query: Annotated[ToCompare, Query()]) -> Response:
    """Where the form on a trace's page leads."""
    return RedirectResponse(f"/traces/{trace_id}/vs/{query.other}", 303)


@router.get("/traces/{trace_id}/vs/{other_id}")
def versus(request: Request, here: Here, trace_id: TraceId, other_id: TraceId) -> Response:
    with here.store.reading() as connection:
        one, other = stored.get(connection, trace_id), stored.get(connection, other_id)
    view = versus_view(one, other)
    command = f"curl -H \"Authorization: Bearer $(cat TOKEN)\" '{request.base_url}api/traces/compare?a={view.a}&b={view.b}'"
    up = f"/traces/{one.id[:16]}"
    return rendering.page(request, "versus.html", view, title="Two traces", command=command, up=up)


def versus_view(one: Stored, other: Stored) -> VersusView:
    a, b = one.trace, other.trace
    found = comparing.compare(a, b)
    sides = (verdicts.judged(a), verdicts.judged(b))
    return VersusView(
        a=one.id[:16],
        b=other.id[:16],
        prompts=(a.prompt,) if found.same_prompt else (a.prompt, b.prompt),
        same_prompt=found.same_prompt,
        same_answer=found.same_answer,
        first_difference=found.first_difference,
        sides=sides,
        pairs=tuple(_pairs(found, *sides)),
    )


def _pairs(found: Divergence, one: Judged, other: Judged) -> list[PairView]:
    return [
        PairView(
            i=pair.i,
            same=pair.same,
            first=pair.i == found.first_difference,
            a=one.steps[pair.i - 1] if pair.a else None,
            b=other.steps[pair.i - 1] if pair.b else None,
        )
        for pair in found.steps
    ]
