"""What every endpoint may use: the workspace, its database, who is let in, and what is measured."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from tunix_rt import access, errors
from tunix_rt.access import Principal
from tunix_rt.api import replies
from tunix_rt.api.audit import Audit
from tunix_rt.api.measures import Measures
from tunix_rt.api.replies import Denied
from tunix_rt.api.sessions import Sessions
from tunix_rt.redaction import Redactor
from tunix_rt.settings import Settings
from tunix_rt.store import Store

PORT = 8321
HEAVY = 2  # requests that compute for seconds, at a time


class Bound(NamedTuple):
    """Where the server is reached: `hosts` are the names a proxy in front of it is reached by, `host:port` if need be."""

    host: str = "127.0.0.1"
    port: int = PORT
    hosts: tuple[str, ...] = ()
    tls: bool = False

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS only, at a proxy or here."""
        return bool(self.hosts) or self.tls

    @property
    def names(self) -> frozenset[bytes]:
        """Every value of the Host header that means this server."""
        local = {"127.0.0.1", "localhost", "[::1]"}
        if self.host not in ("0.0.0.0", "::", ""):
            local.add(f"[{self.host}]" if ":" in self.host else self.host)
        with_port = {f"{name}:{self.port}" for name in local}
        bare = local if self.port == 80 else set()
        return frozenset(name.lower().encode() for name in {*with_port, *bare, *self.hosts})


class Service:
    """One for each app. To be ready, `least_free` bytes of disk must be free and, if `needs_worker`, a worker live."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        bound: Bound,
        *,
        least_free: int,
        needs_worker: bool,
        page: Callable[[Scope, errors.Mistake], Response | None] | None = None,
    ) -> None:
        self.settings, self.store, self.bound = settings, store, bound
        self.least_free, self.needs_worker = least_free, needs_worker
        self.sessions = Sessions(store, access.owner_token(settings), settings.home)
        self.audit = Audit(settings.home / "audit.jsonl")
        self.measures = Measures(store)
        self.redact = Redactor(settings.home)
        self._page = page
        self._heavy = threading.BoundedSemaphore(HEAVY)

    def told(self, scope: Scope, mistake: errors.Mistake) -> Response:
        """The mistake as a page where one is asked for and there are pages, else as JSON."""
        page = self._page(scope, mistake) if self._page else None
        return page or replies.problem(mistake, str(self.settings.home))

    @contextmanager
    def heavy(self) -> Iterator[None]:
        """A seat for work of seconds; `Denied` (429) when all are taken, for a thread that waits serves nobody."""
        if not self._heavy.acquire(blocking=False):
            text = f"{HEAVY} large requests are being worked on; ask again in a few seconds."
            raise Denied(429, "busy", text, {"Retry-After": "5"})
        try:
            yield
        finally:
            self._heavy.release()


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def _principal(request: Request) -> Principal:
    found: Principal = request.scope["principal"]
    return found


Here = Annotated[Service, Depends(_service)]
Who = Annotated[Principal, Depends(_principal)]
