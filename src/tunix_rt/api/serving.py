"""Running the app: where it may be bound, within which limits, and what it leaves in the workspace while it runs.

A bind that other machines can reach needs named tokens, and TLS or a named proxy that has it; without, it is refused.
"""

import gc
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select

from tunix_rt import access, errors, logs, store, values
from tunix_rt.api.app import make
from tunix_rt.api.connections import Impatient
from tunix_rt.api.service import Bound
from tunix_rt.settings import Settings
from tunix_rt.store import clock

HEADER_BYTES = 16_384
KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 10
FOLDER = "servers"  # of the workspace: a file for each that runs


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
    if wanted.tls:
        _check_certificate(wanted)
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


def _check_certificate(wanted: Wanted) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(wanted.certificate), str(wanted.key))
    except OSError as error:
        raise errors.Invalid(
            f"--tls-certificate {str(wanted.certificate)!r} and --tls-key {str(wanted.key)!r} do not make a pair that can be "
            f"used ({error.strerror or error}); give PEM files that belong together, the key without a password.",
            field="tls_certificate",
        ) from error


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
    logs.to_stderr()
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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ssl_certfile=wanted.certificate,
        ssl_keyfile=wanted.key,
    )
    _settle()
    with _announced(settings, wanted, port):
        uvicorn.Server(config).run(sockets=[listening])


def _settle() -> None:
    """What was imported stays for good, and a batch of traces is many objects at once: without this, two thirds of the time
    that reading a batch takes go into looking through both for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


@contextmanager
def _announced(settings: Settings, wanted: Wanted, port: int) -> Iterator[None]:
    """A file tells `tunix-rt open` where the service is and how to know it, for as long as it is there."""
    path = settings.home / FOLDER / f"{port}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    certificate = str(wanted.certificate.absolute()) if wanted.certificate else None
    values.write_json(path, {"url": url(wanted, port), "pid": os.getpid(), "certificate": certificate})
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


class Announced(NamedTuple):
    """Where a service of the workspace is; with TLS, the chain that it shows, whatever name it was made out to."""

    url: str
    certificate: Path | None


def announced(settings: Settings) -> Announced:
    """The workspace's service, of several the one begun last that answers; `errors.NotFound` when none does."""
    files = sorted((settings.home / FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        told: dict[str, Any] = values.read_json(path)
        if _answers(told["url"]):
            return Announced(told["url"], Path(told["certificate"]) if told["certificate"] else None)
    raise errors.NotFound("no service runs in this workspace; start one with `tunix-rt serve`.")


def _answers(address: str) -> bool:
    """One that was killed leaves its file."""
    place = urlsplit(address)
    try:
        socket.create_connection((str(place.hostname), place.port or 0), timeout=2).close()
    except OSError:
        return False
    return True
