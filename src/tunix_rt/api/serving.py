"""Running the app: where it may be bound, within which limits, and what it leaves in the workspace while it runs.

A bind that other machines can reach needs named tokens, and TLS or a named proxy that has it; without, it is refused.
"""

import asyncio
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunix_rt import access, errors, store, values
from tunix_rt.api.app import make
from tunix_rt.api.logs import JsonLines
from tunix_rt.api.service import Bound
from tunix_rt.settings import Settings
from tunix_rt.store import clock

CONNECTIONS = 200
HEADER_SECONDS = 10.0
HEADER_BYTES = 16_384
KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 10


class Wanted(NamedTuple):
    """Where to serve. `proxy_hosts` are names, with a port if need be, under which a proxy with TLS passes requests on."""

    host: str
    port: int
    proxy_hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    needs_worker: bool = False

    @property
    def tls(self) -> bool:
        return self.certificate is not None


class Impatient(H11Protocol):
    """A connection whose first request has not come whole within a few seconds is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._late)

    def _late(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(settings: Settings, wanted: Wanted) -> None:
    """`errors.Unsafe` for a bind that would let strangers in, or send tokens over a network in the clear."""
    if (wanted.certificate is None) != (wanted.key is None):
        raise errors.Invalid("--tls-certificate and --tls-key come together.", field="tls_key")
    if loopback(wanted.host):
        return
    if not (wanted.tls or wanted.proxy_hosts):
        raise errors.Unsafe(
            f"{wanted.host!r} can be reached from other machines: give --tls-certificate and --tls-key, or put a proxy "
            "with TLS in front and name its host with --proxy-host. Without --host, only this machine can reach the service.",
            host=wanted.host,
        )
    opened = store.open_store(settings)
    with opened.reading() as connection:
        live = connection.execute(
            select(access.TABLE.c.name).where(access.TABLE.c.revoked.is_(None), access.TABLE.c.expires > clock()).limit(1)
        ).first()
    opened.close()
    if live is None:
        raise errors.Unsafe(
            f"{wanted.host!r} can be reached from other machines, and nobody there has a token: make one with "
            "`tunix-rt tokens add NAME --role viewer` first.",
            host=wanted.host,
        )


def listen(wanted: Wanted) -> socket.socket:
    """The bound socket, on which requests may wait from now on; port 0 takes any free one."""
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    # Named TCP, or asyncio does not switch Nagle's algorithm off, and every answer waits 40 ms for an acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((wanted.host, wanted.port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        text = f"cannot serve at {wanted.host}:{wanted.port}: {error.strerror}; name another --port."
        raise errors.Conflict(text, host=wanted.host, port=wanted.port) from error
    return bound


def serve(settings: Settings, wanted: Wanted, listening: socket.socket, make: Callable[..., FastAPI] = make) -> None:
    """Serve until a signal says stop; then requests under way have some seconds to end. `make` makes the app."""
    port = listening.getsockname()[1]
    bound = Bound(wanted.host, port, wanted.proxy_hosts, wanted.tls)
    log_as_json()
    config = uvicorn.Config(
        make(settings, bound=bound, needs_worker=wanted.needs_worker),
        http=Impatient,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ssl_certfile=wanted.certificate,
        ssl_keyfile=wanted.key,
    )
    with _announced(settings, wanted, port):
        uvicorn.Server(config).run(sockets=[listening])


def log_as_json() -> None:
    """All that is logged goes to stderr, an object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)


@contextmanager
def _announced(settings: Settings, wanted: Wanted, port: int) -> Iterator[None]:
    """`serve.json` tells `tunix-rt open` where the service is, for as long as it is there."""
    path = settings.home / "serve.json"
    values.write_json(path, {"url": url(wanted, port), "pid": os.getpid()})
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def url(wanted: Wanted, port: int) -> str:
    """Where a browser on this machine finds the service."""
    host = "127.0.0.1" if wanted.host in ("0.0.0.0", "") else "::1" if wanted.host == "::" else wanted.host
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if wanted.tls else 'http'}://{host}:{port}"


def announced(settings: Settings) -> str:
    """The address of the workspace's running service; `errors.NotFound` when none runs."""
    path = settings.home / "serve.json"
    if not path.is_file():
        raise errors.NotFound("no service runs in this workspace; start one with `tunix-rt serve`.")
    found: dict[str, Any] = values.read_json(path)
    return str(found["url"])
