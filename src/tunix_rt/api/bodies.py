"""What a request may send, and how long it may take: bounds that hold before anything is parsed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Receive

from tunix_rt.api.policy import Rule
from tunix_rt.api.replies import Denied

SECONDS = 10.0  # for a whole body that is read first, and between two pieces of a streamed one
STREAM_SECONDS = 3_600.0


async def admitted(rule: Rule, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
    """A `receive` that gives no more than the rule allows; `Denied` when the request already shows that it is more."""
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Denied(415, "unsupported_encoding", "a compressed body is not accepted; send it as it is.")
    length = headers.get(b"content-length")
    if b"transfer-encoding" not in headers and (length is None or length == b"0"):
        return receive
    if length is not None and (not length.isdigit() or int(length) > rule.body):
        raise _too_large(rule)
    if rule.streamed:
        return _counted(rule, receive)
    return _replayed(await _read(rule, receive), receive)


async def _read(rule: Rule, receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Denied(499, "interrupted", "the client went away.")
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                more = message.get("more_body", False)
                if size > rule.body:
                    raise _too_large(rule)
    except TimeoutError as error:
        raise _too_slow() from error
    return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _counted(rule: Rule, receive: Receive) -> Receive:
    size = 0
    end = asyncio.get_running_loop().time() + STREAM_SECONDS

    async def counted() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout_at(min(end, asyncio.get_running_loop().time() + SECONDS)):
                message: dict[str, Any] = dict(await receive())
        except TimeoutError as error:
            raise _too_slow() from error
        size += len(message.get("body", b""))
        if size > rule.body:
            raise _too_large(rule)
        return message

    return counted


def _too_large(rule: Rule) -> Denied:
    return Denied(413, "too_large", f"this route takes at most {rule.body:,} bytes.", limit=rule.body)


def _too_slow() -> Denied:
    return Denied(408, "too_slow", f"no whole body, or no piece of it, came within {SECONDS:g} seconds.")
