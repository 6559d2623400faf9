"""A client that asks an app in this process: httpx over ASGI, on one event loop thread."""

import asyncio
import functools
from contextlib import AbstractContextManager
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from tunix_rt import access, api

BASE = f"http://127.0.0.1:{api.PORT}"


@functools.cache
def _loop() -> AbstractContextManager[BlockingPortal]:
    return start_blocking_portal()


@functools.cache
def _portal() -> BlockingPortal:
    return _loop().__enter__()


def close() -> None:
    """End the event loop's thread, if there is one: a process that leaves it running may hang as it ends."""
    if _portal.cache_info().currsize:
        _loop().__exit__(None, None, None)
        _portal.cache_clear()
        _loop.cache_clear()


class Client:
    def __init__(self, app: FastAPI, headers: dict[str, str] | None = None) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.asked = httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers, timeout=60)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return _portal().call(functools.partial(self.asked.request, method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def asked(app: FastAPI, token: str, requests: list[tuple[str, str, bytes, bytes]]) -> list[tuple[int, bytes]]:
    """(status, body) of each (method, path, query, body), sent past every client, so that any path arrives as it is."""
    headers = [(b"host", BASE.removeprefix("http://").encode()), (b"authorization", f"Bearer {token}".encode())]

    async def one(method: str, path: str, query: bytes, sent: bytes) -> tuple[int, bytes]:
        told: list[Any] = []
        waiting = [{"type": "http.request", "body": sent, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()  # the client stays
            return waiting.pop()

        async def send(message: Any) -> None:
            told.append(message)

        length = [(b"content-length", b"%d" % len(sent)), (b"content-type", b"application/json")] if sent else []
        raw = path.encode("utf-8", "surrogateescape")
        scope = {"type": "http", "method": method, "path": path, "raw_path": raw, "query_string": query, "root_path": ""}
        more = {
            "headers": [*headers, *length],
            "client": ("127.0.0.1", 1),
            "server": None,
            "scheme": "http",
            "http_version": "1.1",
        }
        await app({**scope, **more}, receive, send)
        return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])

    async def each() -> list[tuple[int, bytes]]:
        return [await one(*request) for request in requests]

    return _portal().call(each)


def nobody(app: FastAPI) -> Client:
    return Client(app)


def bearing(app: FastAPI, token: str) -> Client:
    return Client(app, {"authorization": f"Bearer {token}"})


def owner(app: FastAPI) -> Client:
    return bearing(app, access.read_owner_token(app.state.service.settings))


def browser(app: FastAPI) -> Client:
    """With the owner's cookie, and none of the headers that browsers add."""
    code = owner(app).post("/api/login-codes").json()["code"]
    client = nobody(app)
    assert client.get("/login", params={"code": code}).status_code == 303
    return client
