"""`tunix-rt serve` as it runs: a real process on a free port, and the binds it refuses."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from served import command, started
from tunix_rt import access, errors, store
from tunix_rt.api import serving
from tunix_rt.api.serving import Wanted
from tunix_rt.settings import Settings

Running = tuple[Settings, subprocess.Popen[bytes], Path]
MOST_MEMORY = 150_000_000  # bytes, resident


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(home=tmp_path_factory.mktemp("served"))
    with started(settings) as process:
        yield settings, process, settings.home / "stderr"


def test_a_served_workspace_answers_its_owner_within_little_memory(
    running: Running,
) -> None:
    settings, process, _ = running
    base = serving.announced(settings).url
    headers = {"authorization": f"Bearer {access.read_owner_token(settings)}"}
    assert httpx.get(f"{base}/api/traces", headers=headers).json() == {"data": [], "next": None}
    assert httpx.get(f"{base}/api/traces").status_code == 401
    assert "server" not in httpx.get(f"{base}/healthz").headers
    assert psutil.Process(process.pid).memory_info().rss < MOST_MEMORY


def test_open_gives_an_address_that_works_once(running: Running) -> None:
    settings, _, _ = running
    made = subprocess.run(command(settings.home, "open", "--json"), capture_output=True, check=True, text=True)
    address = json.loads(made.stdout)["url"]
    with httpx.Client() as client:
        assert client.get(address).status_code == 303
        assert client.get(f"{serving.announced(settings).url}/api/whoami").json() == {"name": "owner", "role": "admin"}
    assert httpx.get(address).status_code == 403


def test_large_headers_are_refused(running: Running) -> None:
    base = serving.announced(running[0]).url
    assert httpx.get(f"{base}/healthz", headers={"x-long": "x" * 15_000}).status_code == 200
    assert httpx.get(f"{base}/healthz", headers={"x-long": "x" * 17_000}).status_code == 431


def test_too_large_a_body_is_answered_before_it_is_sent(running: Running) -> None:
    settings, _, _ = running
    port = int(serving.announced(settings).url.rsplit(":", 1)[1])
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        token = access.read_owner_token(settings)
        head = f"POST /api/traces HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n".encode())
        assert b" 413 " in connection.recv(1_000)
    assert time.monotonic() - began < 1.0


def test_it_stops_when_it_is_told_and_logs_json(running: Running) -> None:
    settings, process, log = running
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with pytest.raises(errors.NotFound, match="no service runs"):
        serving.announced(settings)
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    assert {"request", "route", "status"} <= json.loads(lines[-1]).keys()
    assert access.read_owner_token(settings) not in log.read_text()


def add_token(settings: Settings) -> None:
    opened = store.open_store(settings)
    with opened.unit_of_work() as connection:
        access.add(connection, "ada", "viewer", 1)
    opened.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "box.example"])
def test_a_wide_bind_needs_a_token_and_tls_or_a_proxy(tmp_path: Path, host: str) -> None:
    settings = Settings(home=tmp_path)
    proxied = Wanted(host, 0, ("box.example",))
    with pytest.raises(errors.Unsafe, match="nobody there has a token"):
        serving.check_bind(settings, proxied)
    add_token(settings)
    with pytest.raises(errors.Unsafe, match="can be reached from other machines"):
        serving.check_bind(settings, Wanted(host, 0))
    serving.check_bind(settings, proxied)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_a_bind_of_this_machine_needs_nothing(tmp_path: Path, host: str) -> None:
    serving.check_bind(Settings(home=tmp_path), Wanted(host, 0))


def test_the_command_ends_with_78(tmp_path: Path) -> None:
    made = subprocess.run(
        command(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0"), capture_output=True, text=True, env=os.environ
    )
    assert made.returncode == 78
    assert "can be reached from other machines" in made.stderr


def test_a_taken_port_is_explained() -> None:
    taken = serving.listen(Wanted("127.0.0.1", 0))
    taken.listen()
    with pytest.raises(errors.Conflict, match="name another --port"):
        serving.listen(Wanted("127.0.0.1", taken.getsockname()[1]))
    taken.close()
