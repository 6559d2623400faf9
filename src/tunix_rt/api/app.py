"""The app: every route, one door in front of them, one form for every mistake."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from tunix_rt import errors, store
from tunix_rt.api import (
    datasets,
    decisions,
    evaluations,
    evidence,
    health,
    models,
    reference,
    replies,
    rescores,
    runs,
    sweeps,
    traces,
)
from tunix_rt.api.guard import Guard
from tunix_rt.api.policy import POLICY, Rule
from tunix_rt.api.service import Bound, Service
from tunix_rt.settings import Settings

THREADS = 24  # endpoints at work at a time; fewer than the database has connections
LEAST_FREE = 1 << 30


class Pages(NamedTuple):
    """What a surface for people adds: routes with their rules, and the page that tells of a mistake (None: as JSON)."""

    routes: tuple[BaseRoute, ...]
    policy: Mapping[tuple[str, str], Rule]
    mistake: Callable[[Scope, errors.Mistake], Response | None]


def make(
    settings: Settings,
    *,
    bound: Bound | None = None,
    least_free: int = LEAST_FREE,
    needs_worker: bool = False,
    guard: type[Guard] = Guard,
    policy: Mapping[tuple[str, str], Rule] = POLICY,
    pages: Pages | None = None,
) -> FastAPI:
    """The service over one workspace, with pages for people if any are given. Closes what it opened when its lifespan ends.

    `guard` and `policy` are what a test breaks on purpose, to see that it would notice.
    """
    opened = store.open_store(settings)
    service = Service(
        settings,
        opened,
        bound or Bound(),
        least_free=least_free,
        needs_worker=needs_worker,
        page=pages.mistake if pages else None,
    )

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        service.audit.close()
        opened.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=living)
    app.state.service = service
    app.router.routes[:] = [*routes(), *(pages.routes if pages else ())]
    app.openapi = document  # type: ignore[method-assign]
    answer = replies.handler(service.told)
    for kind in (errors.Mistake, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)
    app.add_middleware(guard, service=service, routes=app.router.routes, policy={**policy, **(pages.policy if pages else {})})
    return app


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the service."""
    return reference.document(routes(), POLICY)


def routes() -> list[BaseRoute]:
    """Those asked for most come first."""
    routers = (
        traces.router, runs.router, datasets.router, evaluations.router, rescores.router, evaluations.pairs, decisions.router,
        decisions.gates, sweeps.router, models.router, evidence.router, health.router, reference.router,
    )  # fmt: skip
    return [route for router in routers for route in router.routes]
