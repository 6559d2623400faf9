"""`/api/sweeps`: many trainings over a search space, the best of them confirmed once."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi import Path as FromPath
from pydantic import ConfigDict
from starlette.responses import Response

from tunix_rt import errors, sweeps
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.service import Here, Service
from tunix_rt.comparisons import Direction
from tunix_rt.jobs import FolderName
from tunix_rt.sweeps import Axis, Confirmed, State, Sweep, Trial

router = APIRouter(prefix="/api/sweeps", tags=["sweeps"], route_class=Route)
ID = "^[a-z0-9][a-z0-9._-]{0,49}-[0-9a-f]{8}$"
SweepId = Annotated[str, FromPath(pattern=ID, description="A sweep's id.")]


class Chosen(Confirmed):
    """The `trial` that was chosen, and what it came to on the test set."""

    trial: int


class SweepSummary(Shown):
    """`best` is the best completed trial so far, `default` that of the config as it is; `importance` are shares of what the
    parameters explain; `counts` are trials by state, of `trials_asked` so far and `trials_most` at most."""

    sweep_id: str
    name: str
    state: State
    message: str | None
    metric: str
    direction: Direction
    trials_most: int
    trials_asked: int
    counts: dict[str, int]
    best: Trial | None
    default: Trial | None
    confirmed: Chosen | None
    importance: dict[str, float] | None
    created: datetime
    ended: datetime | None


class SweepDocument(SweepSummary):
    """With what was asked, every trial, and the axes of parallel coordinates."""

    spec: Any
    trials: tuple[Trial, ...]
    axes: tuple[Axis, ...]


class SweepPage(Shown):
    data: tuple[SweepSummary, ...]
    next: str | None


class ToSweep(Shown):
    """A `sweep`, or the name of a `recipe` that ships: give either."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [given], "properties": {given: {"type": kind}, other: {"type": "null"}}}
                for given, kind, other in (("sweep", "object", "recipe"), ("recipe", "string", "sweep"))
            ]
        }
    )
    sweep: Sweep | None = None
    recipe: FolderName | None = None


@router.post("", response_model=SweepDocument, status_code=202, summary="Start a sweep")
def start(here: Here, asked: Annotated[ToSweep, Body()]) -> Response:
    """Workers carry it out. The same sweep again is the same one: it goes on if it was stopped or failed. The datasets and the
    model must be there; the test set may share no prompt with the training data or with what trials are chosen on."""
    if (asked.sweep is None) == (asked.recipe is None):
        raise errors.Invalid("give either 'sweep' or 'recipe'.", field="sweep")
    sweep = asked.sweep or sweeps.shipped(str(asked.recipe))
    with here.heavy():
        resolved = sweeps.resolve(here.settings, sweep)
    with here.store.unit_of_work() as connection:
        found = sweeps.start(connection, resolved)
    return reply(_told(here, sweeps.document(found)), 202, {"Location": f"/api/sweeps/{found.sweep_id}"})


@router.get("", response_model=SweepPage, summary="Sweeps, newest first")
def list_sweeps(
    here: Here,
    after: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 20,
    state: State | None = None,
) -> Response:
    """All of them, or those in one state."""
    with here.store.reading() as connection:
        found = sweeps.listed(connection, after=after, limit=limit, state=state)
    return page([encoded(_told(here, sweeps.summary(one))) for one in found.data], found.next)


@router.get("/{sweep_id}", response_model=SweepDocument, summary="One sweep")
def get(here: Here, sweep_id: SweepId) -> Response:
    """With every trial, what matters, and the confirmation once there is one."""
    with here.store.reading() as connection:
        return reply(_told(here, sweeps.document(sweeps.get(connection, sweep_id))))


@router.post("/{sweep_id}/stop", response_model=SweepDocument, summary="Stop a sweep")
def stop(here: Here, sweep_id: SweepId) -> Response:
    """No further trial is begun and those under way are cancelled; the test set is not asked. Starting it again goes on."""
    with here.store.unit_of_work() as connection:
        return reply(_told(here, sweeps.document(sweeps.stop(connection, sweep_id))))


def _told(here: Service, document: dict[str, Any]) -> dict[str, Any]:
    """Without places of this machine in what went wrong."""
    found: dict[str, Any] = here.redact.data(document)
    return found
