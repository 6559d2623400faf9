"""Pages as a test sees them: asked for as a browser asks, read with a real HTML parser."""

from typing import Any

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode

from asking import Client

HTML = {"accept": "text/html,application/xhtml+xml"}


class Page:
    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.status = answer.status_code
        self.tree = LexborHTMLParser(answer.text)

    def all(self, selector: str) -> list[LexborNode]:
        return self.tree.css(selector)

    def one(self, selector: str) -> LexborNode:
        found = self.tree.css(selector)
        assert len(found) == 1, (selector, len(found))
        return found[0]

    def text(self, selector: str = "main") -> str:
        return " ".join(" ".join(node.text(separator=" ") for node in self.tree.css(selector)).split())

    def links(self) -> set[str]:
        return {str(node.attributes["href"]) for node in self.tree.css("a[href]")}


class Pages:
    """The pages of an app for one client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str, **params: Any) -> Page:
        return Page(self.client.get(path, headers=HTML, params=params or None))

    def post(self, path: str, data: Any = None, **options: Any) -> Page:
        return Page(self.client.post(path, headers=HTML, data=data, **options))
