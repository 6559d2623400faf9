"""`/healthz`: the process answers. `/readyz`: it can do its work. `/metrics`: figures for Prometheus. And the login."""

import os
import shutil
from collections.abc import Callable
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query
from sqlalchemy import text
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, runs
from tunix_rt.api.replies import Denied, Shown, reply
from tunix_rt.api.service import Here, Service, Who
from tunix_rt.api.sessions import CODE_SECONDS, COOKIE, COOKIE_SECONDS
from tunix_rt.store import migrating

router = APIRouter(tags=["service"])
LIVE_SECONDS = 60.0  # a worker whose last word is older is gone


class Health(Shown):
    status: Literal["ok"]


class Readiness(Shown):
    """`checks` says of each whether it holds."""

    ready: bool
    checks: dict[str, bool]


class Code(Shown):
    """A one-time code, and the path that swaps it for a cookie."""

    code: str
    path: str
    seconds: float


class Whoami(Shown):
    name: str
    role: str


@router.get("/healthz", response_model=Health, summary="Does the process answer?")
async def healthz() -> Response:
    """Touches neither disk nor database."""
    return reply({"status": "ok"})


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="Can it do its work?")
def readyz(here: Here) -> Response:
    """503 unless the database answers with the newest schema, the workspace can be written, its disk has room, and, where this
    server needs one, a worker lives."""
    checks = {name: _holds(check, here) for name, check in CHECKS.items()}
    ready = all(checks.values())
    return reply({"ready": ready, "checks": checks}, 200 if ready else 503)


@router.get(
    "/metrics", summary="Figures for Prometheus", responses={200: {"content": {"text/plain": {}}}}, response_class=Response
)
def metrics(here: Here) -> Response:
    """Requests by route, runs by state and reason, queue, durations, intake. No label holds an id."""
    return Response(here.measures.text(), media_type="text/plain; version=0.0.4")


@router.get("/api/whoami", response_model=Whoami, summary="Whose token is this?")
async def whoami(who: Who) -> Response:
    """The name and role of the token that was sent."""
    return reply({"name": who.name, "role": who.role})


@router.post("/api/login-codes", response_model=Code, status_code=201, summary="A one-time code for a browser")
async def login_code(here: Here, who: Who) -> Response:
    """Good once, for a minute: `tunix-rt open` gives it to the browser, which gets a cookie with the same rights."""
    code = await to_thread.run_sync(here.sessions.code, who)
    return reply({"code": code, "path": f"/login?code={code}", "seconds": CODE_SECONDS}, 201)


@router.get("/login", include_in_schema=False)
async def login(here: Here, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    cookie = await to_thread.run_sync(here.sessions.swapped, code)
    if cookie is None:
        raise Denied(403, "bad_code", "this code was used, or is older than a minute; run `tunix-rt open` again.")
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, cookie, COOKIE_SECONDS, path="/", httponly=True, samesite="strict", secure=here.bound.secure)
    return response


def _holds(check: Callable[[Service], bool], service: Service) -> bool:
    try:
        return check(service)
    except (errors.Mistake, OSError):
        return False


def _database(service: Service) -> bool:
    """A pooled connection outlives its SQLite file, so the file is asked for too."""
    database = service.store.reader.url.database
    if service.store.dialect == "sqlite" and not os.path.exists(database or ""):  # noqa: PTH110  # a str of the driver
        return False
    with service.store.reading() as connection:
        return connection.execute(text("SELECT 1")).scalar() == 1


def _schema(service: Service) -> bool:
    with service.store.reading() as connection:
        return migrating.current(connection) == migrating.head()


def _writable(service: Service) -> bool:
    probe = service.settings.home / ".writable"
    probe.write_bytes(b"")
    probe.unlink()
    return True


def _disk(service: Service) -> bool:
    return shutil.disk_usage(service.settings.home).free >= service.least_free


def _worker(service: Service) -> bool:
    if not service.needs_worker:
        return True
    with service.store.reading() as connection:
        return bool(runs.workers(connection, LIVE_SECONDS))


CHECKS: dict[str, Callable[[Service], bool]] = {
    "database": _database,
    "schema": _schema,
    "writable": _writable,
    "disk": _disk,
    "worker": _worker,
}
