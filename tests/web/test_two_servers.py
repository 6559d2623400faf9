"""Two servers over one workspace behind one address, every request in turn to the other one."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from browsing import Served, Watched
from filled import Lab
from playwright.sync_api import Browser, expect

PASSED_ON = {"content-length", "transfer-encoding", "connection", "content-encoding"}  # by the relay itself


@contextmanager
def relay() -> Iterator[tuple[int, list[str], list[tuple[str, int]]]]:
    """(port, the servers to be asked in turn, what each answered). The names in headers stay those that the browser sent."""
    servers: list[str] = []
    answered: list[tuple[str, int]] = []
    turns = itertools.count()
    client = httpx.Client(timeout=30)

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = servers[next(turns) % len(servers)]
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() not in PASSED_ON]
            answer = client.request(self.command, base + self.path, headers=headers, content=body)
            answered.append((base, answer.status_code))
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name not in PASSED_ON:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815  # the library's name

        def log_message(self, *_: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield made.server_port, servers, answered
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
        client.close()


class Behind(Served):
    """The address that a browser uses for whichever server is asked."""

    def __init__(self, first: Served, port: int) -> None:
        self.settings, self.base = first.settings, f"http://localhost:{port}"


@pytest.fixture
def both(lab: Lab, chromium: Browser) -> Iterator[tuple[Watched, list[tuple[str, int]]]]:
    with relay() as (port, servers, answered):
        pair = [Served(lab.settings, options=("--proxy-host", f"localhost:{port}")) for _ in range(2)]
        servers += [server.base.replace("localhost", "127.0.0.1") for server in pair]
        made = Watched(chromium, Behind(pair[0], port))
        yield made, answered
        made.context.close()
        for server in pair:
            server.stop()
        assert made.troubles == []


def test_pages_forms_and_deep_links_hold_across_two_servers(both: tuple[Watched, list[tuple[str, int]]]) -> None:
    watched, answered = both
    page = watched.page
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="Traces", exact=True).first.click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.keyboard.press("]")
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    further = page.url
    shown = page.locator("tbody tr").first.inner_text()
    watched.goto("/traces/new")
    page.get_by_label("Prompt").fill("What is 2 + 2 on two servers?")
    page.get_by_label("Text of step 1").fill("2 + 2 = 4")
    page.get_by_label("Answer").fill("4")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("main")).to_contain_text("on two servers?")
    page.reload()
    expect(page.locator("main")).to_contain_text("on two servers?")
    page.goto(further)
    assert page.locator("tbody tr").first.inner_text() == shown
    asked = {base for base, _ in answered}
    assert len(asked) == 2
    assert {status for _, status in answered} <= {200, 201, 303, 304}
