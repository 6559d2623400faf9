"""Writing a trace down, and mending one: a mended trace is a new one that names its parent, the old one stays as it is.

A browser sends line breaks as CR LF. A text that is otherwise what it was keeps its bytes and its claims; claims of a changed
step are left out, for they were about other words.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors
from tunix_rt.api.service import Here
from tunix_rt.api.traces import TraceId
from tunix_rt.traces import Step, Trace, stored
from tunix_rt.values import explain
from tunix_rt.web import items, queries, rendering, verdicts
from tunix_rt.web.verdicts import Judged

router = APIRouter(include_in_schema=False)
BLANK = 3  # empty rows for further steps, for browsers without JavaScript


class Filled(BaseModel):
    """The form as it was sent: `type` and `content` of each step at the same place; rows that are blank are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = ""
    answer: str = ""
    type: list[str] = Field(default=[], max_length=1_100)
    content: list[str] = Field(default=[], max_length=1_100)
    note: str = Field(default="", max_length=2_000)
    parent: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    action: Literal["keep", "check"] = "keep"


class Start(queries.Query):
    """What a new trace begins from: an item of a dataset, or nothing."""

    dataset: Annotated[str, Field(pattern=items.PATTERN)] | None = None
    place: Annotated[int, Field(ge=0, le=10**15)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """`judged` is what the checker says of the form as it stands, None before it was asked."""

    action: str
    parent: str | None
    prompt: str
    answer: str
    note: str
    steps: tuple[tuple[str, str], ...]
    problem: str
    judged: Judged | None


@router.get("/traces/new")
def new(request: Request, here: Here, query: Annotated[Start, Query()]) -> Response:
    trace = items.trace(here.settings, query.dataset, query.place) if query.dataset else None
    return _shown(request, form_view("/traces", trace, trace.id if trace else None))


@router.post("/traces")
def create(request: Request, here: Here, form: Annotated[Filled, Form()]) -> Response:
    return _kept(request, here, form, None)


@router.get("/traces/{trace_id}/edit")
def edit(request: Request, here: Here, trace_id: TraceId) -> Response:
    with here.store.reading() as connection:
        row = stored.get(connection, trace_id)
    return _shown(request, form_view(f"/traces/{row.id[:16]}", row.trace, row.id))


@router.post("/traces/{trace_id}")
def mend(request: Request, here: Here, trace_id: TraceId, form: Annotated[Filled, Form()]) -> Response:
    with here.store.reading() as connection:
        row = stored.get(connection, trace_id)
    return _kept(request, here, form.model_copy(update={"parent": row.id}), row.trace)


def _kept(request: Request, here: Here, form: Filled, before: Trace | None) -> Response:
    action = f"/traces/{form.parent[:16]}" if before and form.parent else "/traces"
    try:
        trace = filled(form, before)
    except errors.Invalid as mistake:
        return _shown(request, refilled(action, form, mistake.message, None), 422)
    if form.action == "check":
        return _shown(request, refilled(action, form, "", verdicts.judged(trace)))
    with here.store.unit_of_work() as connection:
        row, fresh = stored.add(connection, trace, "web")
    here.measures.traces.labels("added" if fresh else "duplicate").inc()
    return RedirectResponse(f"/traces/{row.id[:16]}", 303)


def _shown(request: Request, view: FormView, status: int = 200) -> Response:
    title = "Mend a trace" if view.parent else "New trace"
    up = view.action if view.parent else "/traces"
    return rendering.page(
        request, "trace_form.html", view, title=title, command="tunix-rt traces add FILE.jsonl", up=up, status=status
    )


def form_view(action: str, trace: Trace | None, parent: str | None) -> FormView:
    steps = tuple((step.type, step.content) for step in trace.steps) if trace else ()
    return FormView(
        action=action,
        parent=parent,
        prompt=trace.prompt if trace else "",
        answer=trace.final_answer if trace else "",
        note="",
        steps=(*steps, *([("", "")] * BLANK)),
        problem="",
        judged=None,
    )


def refilled(action: str, form: Filled, problem: str, judged: Judged | None) -> FormView:
    """The form with what was typed into it."""
    return FormView(
        action=action,
        parent=form.parent,
        prompt=form.prompt,
        answer=form.answer,
        note=form.note,
        steps=(*zip(form.type, form.content, strict=False), *([("", "")] * BLANK)),
        problem=problem,
        judged=judged,
    )


def filled(form: Filled, before: Trace | None) -> Trace:
    """The trace that the form holds; `errors.Invalid` names the field that does not fit."""
    if len(form.type) != len(form.content):
        raise errors.Invalid("each step needs a type and a text.", field="content")
    given = [(kind.strip(), _lines(text)) for kind, text in zip(form.type, form.content, strict=True) if text.strip()]
    old = list(before.steps) if before else []
    meta: dict[str, Any] = dict(before.meta) if before else {}
    meta |= {"parent": form.parent} if form.parent else {}
    meta |= {"note": _lines(form.note)} if form.note.strip() else {}
    data = {
        "prompt": _same(form.prompt, before.prompt if before else ""),
        "steps": [_step(i, kind, text, old) for i, (kind, text) in enumerate(given, start=1)],
        "final_answer": _same(form.answer, before.final_answer if before else ""),
        "meta": meta,
    }
    try:
        return Trace.model_validate(data)
    except ValidationError as error:
        raise errors.Invalid(explain(error, Trace, "this trace")) from error


def _step(i: int, kind: str, text: str, old: list[Step]) -> dict[str, Any]:
    """A step whose words are those of the old step at its place, or of any other, keeps that step's claims."""
    at_place = old[i - 1 : i]
    for step in (*at_place, *old):
        if _lines(step.content) == text:
            claims = [claim.model_dump(mode="json", exclude_defaults=True) for claim in step.claims]
            return {"i": i, "type": kind or step.type, "content": step.content, "claims": claims}
    return {"i": i, "type": kind or "compute", "content": text}


def _same(text: str, before: str) -> str:
    return before if before and _lines(before) == _lines(text) else _lines(text)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
