"""S15 over real sockets: slow heads, slow bodies, too much, garbage, and a connection too many."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunix_rt import access, api
from tunix_rt.api import bodies, connections, serving
from tunix_rt.api.connections import Impatient
from tunix_rt.api.serving import Wanted


@contextmanager
def listening(app: FastAPI, protocol: type[H11Protocol] = Impatient) -> Iterator[int]:
    """The app behind a real socket of this process; gives its port, which the app takes for its own."""
    bound = serving.listen(Wanted("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, h11_max_incomplete_event_size=16_384
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


class Raw:
    """One connection on which bytes are sent as they are."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self._token = access.read_owner_token(app.state.service.settings)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, text: bytes) -> None:
        self.socket.sendall(text)

    def head(self, method: str, path: str, *lines: str) -> bytes:
        said = (f"Host: 127.0.0.1:{api.PORT}", f"Authorization: Bearer {self._token}", *lines)
        return "\r\n".join([f"{method} {path} HTTP/1.1", *said, "", ""]).encode()

    def answer(self) -> bytes:
        """What comes next, whole if it is short."""
        found = b""
        while b"\r\n\r\n" not in found and (piece := self.socket.recv(65_536)):
            found += piece
        return found

    def closed_after(self) -> float:
        """Seconds until the other side closes."""
        began = time.monotonic()
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return float("inf")
        except ConnectionError:
            pass
        return time.monotonic() - began

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS", 0.4)
    monkeypatch.setattr(bodies, "SECONDS", 0.4)


def nothing(raw: Raw) -> None:
    pass


def part_of_a_head(raw: Raw) -> None:
    raw.send(b"GET /healthz HTTP/1.1\r\nHost: 127")


def a_head_in_pieces(raw: Raw) -> None:
    """A byte more does not set the clock back."""

    def trickle() -> None:
        for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 60:
            try:
                raw.send(bytes([byte]))
            except OSError:
                return
            time.sleep(0.05)

    threading.Thread(target=trickle, daemon=True).start()


def a_slow_second_head(raw: Raw) -> None:
    raw.send(raw.head("GET", "/healthz"))
    assert b"200 OK" in raw.answer()
    part_of_a_head(raw)


def a_second_head_behind_the_first(raw: Raw) -> None:
    raw.send(raw.head("GET", "/healthz") + b"GET /heal")
    assert b"200 OK" in raw.answer()


def a_body_behind_its_answer(raw: Raw) -> None:
    """Refused by its length, and the client goes on sending."""
    raw.send(raw.head("POST", "/api/runs", "Content-Length: 99999999") + b"x" * 100)
    assert b" 413 " in raw.answer()


def a_body_that_stops(raw: Raw) -> None:
    raw.send(raw.head("POST", "/api/traces", "Content-Length: 1000") + b"{")
    assert b" 408 " in raw.answer()


def a_chunked_body_that_stops(raw: Raw) -> None:
    raw.send(raw.head("POST", "/api/datasets/ingest", "Transfer-Encoding: chunked") + b"1\r\n{\r\n")
    assert b" 408 " in raw.answer()


SLOW: list[Callable[[Raw], None]] = [
    nothing, part_of_a_head, a_head_in_pieces, a_slow_second_head, a_second_head_behind_the_first, a_body_behind_its_answer,
    a_body_that_stops, a_chunked_body_that_stops,
]  # fmt: skip


@pytest.mark.usefixtures("hurried")
def test_a_client_that_owes_something_is_given_up(app: FastAPI) -> None:
    with listening(app) as port:
        for slow in SLOW:
            with Raw(app, port) as raw:
                slow(raw)
                assert raw.closed_after() < 5.0, slow.__name__


@pytest.mark.usefixtures("hurried")
def test_without_that_rule_such_clients_stay(app: FastAPI) -> None:
    """Negative control for the test above: uvicorn's own protocol waits for a head for ever."""
    with listening(app, H11Protocol) as port:
        for slow in (nothing, part_of_a_head, a_slow_second_head, a_second_head_behind_the_first):
            with Raw(app, port) as raw:
                slow(raw)
                raw.socket.settimeout(1.0)
                assert raw.closed_after() == float("inf"), slow.__name__


@pytest.mark.usefixtures("hurried")
def test_a_client_that_owes_nothing_is_left_alone(app: FastAPI) -> None:
    with listening(app) as port, Raw(app, port) as raw:
        for _ in range(2):
            raw.send(raw.head("GET", "/healthz"))
            assert b"200 OK" in raw.answer()
            time.sleep(0.6)
        raw.send(raw.head("GET", "/healthz") * 3)
        time.sleep(0.3)
        assert raw.socket.recv(65_536).count(b"200 OK") == 3


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / SPDY/1\r\n\r\n",
    b"\x00" * 200 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost : y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000,
]


def test_what_is_no_request_is_refused_in_the_usual_form(app: FastAPI) -> None:
    with listening(app) as port:
        for garbage in GARBAGE:
            with Raw(app, port) as raw:
                raw.send(garbage)
                head, _, body = raw.socket.recv(65_536).partition(b"\r\n\r\n")
                assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), garbage[:60]
                assert b"nosniff" in head
                assert json.loads(body)["error"]["code"] == "bad_request"
        with Raw(app, port) as raw:  # and the server is as it was
            raw.send(raw.head("GET", "/healthz"))
            assert b"200 OK" in raw.answer()


def test_a_bad_chunk_ends_the_connection(app: FastAPI) -> None:
    with listening(app) as port, Raw(app, port) as raw:
        raw.send(raw.head("POST", "/api/datasets/ingest", "Transfer-Encoding: chunked") + b"1\r\n{\r\nnonsense\r\n")
        assert b" 400 " in raw.answer()
        assert raw.closed_after() < 5.0


def test_too_much_is_refused_within_a_second_however_it_is_sent(app: FastAPI) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with listening(app) as port:
        for lines, body in (
            (("Content-Length: 999999999",), b""),
            (("Transfer-Encoding: chunked",), chunk * 6),
            (("Transfer-Encoding: chunked", "Content-Encoding: gzip"), chunk),
        ):
            with Raw(app, port) as raw:
                began = time.monotonic()
                raw.send(raw.head("POST", "/api/runs", "Content-Type: application/json", *lines) + body)
                status = raw.answer().split(b" ", 2)[1]
                assert status == (b"415" if "gzip" in str(lines) else b"413")
                assert time.monotonic() - began < 1.0


def test_a_connection_too_many_is_told_to_come_back(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)
    with listening(app) as port:
        first = [Raw(app, port) for _ in range(3)]
        for raw in first:
            raw.send(raw.head("GET", "/healthz"))
            assert b"200 OK" in raw.answer()
        with Raw(app, port) as late:
            late.send(late.head("GET", "/healthz"))
            answer = late.answer()
            assert b" 503 " in answer
            assert b"retry-after" in answer.lower()
        first.pop().socket.close()
        time.sleep(0.1)
        with Raw(app, port) as later:
            later.send(later.head("GET", "/healthz"))
            assert b"200 OK" in later.answer()
        for raw in first:
            raw.socket.close()
