"""One connection: how long a client may take over it, and what it is told when what it sends is no request.

A connection is closed when it has sent nothing, a part of a request's head, or, behind an answer, a part of a body for some
seconds; that holds for its first request and for every other one.
"""

import asyncio

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunix_rt.api import replies
from tunix_rt.api.guard import HEADERS
from tunix_rt.api.replies import Denied

MOST = 200
SECONDS = 10.0
_CLOSE = {"Connection": "close"}


async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """What answers a connection too many."""
    text = f"{MOST} connections are open; ask again in a few seconds."
    await replies.problem(Denied(503, "busy", text, {**_CLOSE, "Retry-After": "5"}), "")(scope, receive, send)


class Impatient(H11Protocol):
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST:
            self.app = crowded
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Start the clock when the client owes something, and stop it when it does not; a byte more does not set it back."""
        if not self._owes() or self.transport.is_closing():
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self.transport.close)

    def _owes(self) -> bool:
        if self.conn.their_state is h11.IDLE:
            return self.cycle is None or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's own words, as plain text
        """In the form of every mistake; nothing when an answer is on its way already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = replies.encoded(Denied(400, "bad_request", "this is no HTTP/1.1 request that can be read.").as_dict())
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            answer = h11.Response(status_code=400, headers=[*headers, *HEADERS], reason=b"Bad Request")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
