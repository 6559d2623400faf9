"""An OpenAI-shaped endpoint on a thread of this process: it replies as a test tells it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """`body` is sent as it is when it is bytes, else as JSON; in `drip` pieces a tenth of a second apart."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drip: int = 1


class Endpoint(NamedTuple):
    url: str
    asked: list[dict[str, Any]]
    keys: list[str | None]


Reply = Callable[[str], Answer]


def said(text: str, finish: str = "stop", **more: Any) -> Answer:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return Answer({"id": "c", "object": "chat.completion", "model": "judge-2026", "choices": [choice], "usage": usage, **more})


@contextmanager
def serving(reply: Reply) -> Iterator[Endpoint]:
    """`reply` is given the question, and may be called by several threads."""
    asked: list[dict[str, Any]] = []
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(data)
            keys.append(self.headers.get("authorization"))
            assert self.path == "/v1/chat/completions"
            self._send(reply(data["messages"][-1]["content"]))

        def _send(self, answer: Answer) -> None:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            size = -(-len(body) // answer.drip) or 1
            try:
                for at in range(0, len(body), size):
                    self.wfile.write(body[at : at + size])
                    self.wfile.flush()
                    if answer.drip > 1:
                        stop.wait(0.1)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    stop = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}/v1", asked, keys)
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
