"""`/runs/ID/log` and `/config`: what a run printed, and what was asked of it, with what differs from another."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import runs, values
from tunix_rt.api.runs import RunId
from tunix_rt.api.service import Here
from tunix_rt.web import queries, rendering
from tunix_rt.web import runs as run_pages

router = APIRouter(include_in_schema=False)
LOG = 400_000  # bytes of one page of a log


class LogQuery(queries.Query):
    after: Annotated[int, Field(ge=0, le=10**15)] = 0


class ConfigQuery(queries.Query):
    against: Annotated[str, Field(pattern="^[0-9]{8}-[0-9]{6}-[0-9a-f]{6,12}$")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    run_id: str
    name: str
    kind: str
    text: str
    first: str | None
    further: str | None


@router.get("/runs/{run_id}/log")
def show_log(request: Request, here: Here, run_id: RunId, query: Annotated[LogQuery, Query()]) -> Response:
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
    data, more = _read(run.dir(here.settings) / "log.txt", query.after)
    path = f"/runs/{run_id}/log"
    view = LogView(
        run_id=run_id,
        name=run_pages.name(run),
        kind=run.kind,
        text=here.redact(data.decode(errors="replace")),
        first=path if query.after else None,
        further=query.link(path, after=query.after + len(data)) if more else None,
    )
    title, up = f"{view.name}: log", f"/runs/{run_id}"
    return rendering.page(request, "run_log.html", view, title=title, command=f"tunix-rt runs logs {run_id}", up=up)


def _read(path: Path, after: int) -> tuple[bytes, bool]:
    if not path.is_file():
        return b"", False
    with path.open("rb") as file:
        file.seek(after)
        data = file.read(LOG)
        more = bool(file.read(1))
    return (data[: data.rfind(b"\n") + 1] or data) if more else data, more


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigView:
    """`changes` are (key, there, here) of what differs from `against`."""

    run_id: str
    name: str
    kind: str
    text: str
    against: str | None
    others: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, str, str], ...]


@router.get("/runs/{run_id}/config")
def show_config(request: Request, here: Here, run_id: RunId, query: Annotated[ConfigQuery, Query()]) -> Response:
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
        against = query.against or run.parent
        other = runs.get(connection, against) if against else None
        others = runs.listed(connection, kind=run.kind, limit=50).data
    view = ConfigView(
        run_id=run_id,
        name=run_pages.name(run),
        kind=run.kind,
        text=values.pretty(run.spec),
        against=against,
        others=tuple((each.run_id, run_pages.name(each)) for each in others if each.run_id != run_id),
        changes=differences(other.spec, run.spec) if other else (),
    )
    title, up = f"{view.name}: configuration", f"/runs/{run_id}"
    command = f"tunix-rt runs show {run_id} --json"
    return rendering.page(request, "run_config.html", view, title=title, command=command, up=up)


def differences(one: Any, other: Any) -> tuple[tuple[str, str, str], ...]:
    """(key, in one, in the other) for every leaf that differs; a key that is not there is shown as a dash."""
    before, after = flat(one), flat(other)
    keys = [*before, *(key for key in after if key not in before)]
    return tuple((key, before.get(key, "-"), after.get(key, "-")) for key in keys if before.get(key) != after.get(key))


def flat(data: Any, prefix: str = "") -> dict[str, str]:
    """Leaves by their dotted keys, as JSON text."""
    if isinstance(data, dict):
        return {key: text for name, inner in data.items() for key, text in flat(inner, f"{prefix}{name}.").items()}
    return {prefix.removesuffix("."): data if isinstance(data, str) else json.dumps(data)}
