"""`tunix-rt serve`, `open` and `tokens`: the service, a browser's way in, and who else may use it."""

import importlib.util
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tunix_rt import access, errors, store
from tunix_rt.access import Role
from tunix_rt.cli.app import app, command, noun
from tunix_rt.cli.console import Surface, table

PORT = 8321
group = noun("tokens", "Tokens that let others use the service.")


@command(app)
def serve(
    surface: Surface,
    host: Annotated[str, typer.Option(help="Address to bind; anything but this machine needs tokens and TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    proxy_host: Annotated[
        list[str] | None, typer.Option(help="Host name of a proxy with TLS in front of the service; may be repeated.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    worker: Annotated[bool, typer.Option(help="Also start a worker that carries out runs.")] = True,
) -> None:
    """The HTTP service, with one worker. Stops on Ctrl-C; runs that are under way go on and are adopted at the next start."""
    from tunix_rt import web  # noqa: PLC0415  # a web server that no other command needs
    from tunix_rt.api import serving  # noqa: PLC0415

    wanted = serving.Wanted(host, port, tuple(proxy_host or ()), tls_certificate, tls_key, worker and _worker_exists())
    serving.check_bind(surface.settings, wanted)
    listening = serving.listen(wanted)
    access.owner_token(surface.settings)
    address = serving.url(wanted, listening.getsockname()[1])
    surface.say(
        f"serving {surface.settings.home} at {address}  (a browser: tunix-rt open; the token: {surface.settings.home}/token)"
    )
    with _working(surface, wanted.needs_worker):
        try:
            serving.serve(surface.settings, wanted, listening, web.make)
        except KeyboardInterrupt:
            surface.say("stopped")


def _worker_exists() -> bool:
    return importlib.util.find_spec("tunix_rt.worker") is not None


@contextmanager
def _working(surface: Surface, wanted: bool) -> Iterator[None]:
    """A worker as a child for as long as the service runs. It lets its runs go when it is told to stop."""
    if not wanted:
        yield
        return
    child = subprocess.Popen([sys.executable, "-m", "tunix_rt.cli", "worker", "--home", str(surface.settings.home)])
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()


@command(app, "open")
def open_browser(
    surface: Surface,
    browser: Annotated[bool, typer.Option(help="Open a browser, if this machine has one.")] = True,
) -> None:
    """Let a browser in: an address that works once, for a minute."""
    from tunix_rt.api import serving  # noqa: PLC0415

    found = serving.announced(surface.settings)
    made = _post(f"{found.url}/api/login-codes", access.read_owner_token(surface.settings), _trusted(found.certificate))
    address = found.url + made["path"]
    surface.emit({"url": address, "seconds": made["seconds"]}, address)
    if browser and not surface.as_json:
        _show(address)


def _trusted(certificate: Path | None) -> ssl.SSLContext:
    """Exactly the certificate that the service was started with, whoever signed it and whatever name is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificate is not None:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(certificate)
    return context


def _post(address: str, token: str, trusted: ssl.SSLContext) -> dict[str, Any]:
    request = urllib.request.Request(address, method="POST", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise errors.Failed(f"{address} answered {error.code}; is it another workspace's service?") from error
    except OSError as error:
        raise errors.NotFound(f"nothing answers at {address}; start it with `tunix-rt serve`.") from error


def _show(address: str) -> None:
    """Only in a window: a browser of the terminal would take the terminal."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if type(found) is not webbrowser.GenericBrowser:
        found.open(address)


@command(group)
def add(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="Whose token it is.")],
    role: Annotated[
        Role, typer.Option(help="viewer reads; editor also adds data; runner also starts runs; admin does all.")
    ] = "viewer",
    days: Annotated[float, typer.Option(min=0.001, max=access.LONGEST_DAYS, help="How long it is good.")] = 30.0,
) -> None:
    """Make a token and show it, this once."""
    with store.open_store(surface.settings).unit_of_work() as connection:
        token = access.add(connection, name, role, days)
    surface.emit({"name": name, "role": role, "token": token}, token)


@command(group, "list")
def list_tokens(surface: Surface) -> None:
    """Who has or had a token."""
    with store.open_store(surface.settings).reading() as connection:
        found = access.listed(connection)
    rows = [(one.name, one.role, f"{one.expires:%Y-%m-%d}", "revoked" if one.revoked else "") for one in found]
    data = {"data": [one.document() for one in found], "next": None}
    surface.emit(data, table(rows, ("name", "role", "until", "")) if rows else "no tokens; the owner's is in the file `token`")


@command(group)
def revoke(surface: Surface, name: Annotated[str, typer.Argument(help="Whose token ends now.")]) -> None:
    """End a token; a running service believes it for at most five more seconds."""
    with store.open_store(surface.settings).unit_of_work() as connection:
        access.revoke(connection, name)
    surface.emit({"name": name, "revoked": True}, f"the token of {name} is revoked")
