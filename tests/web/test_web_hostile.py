"""Whatever a person or a model writes is text: it changes no page's structure, executes nothing and asks no other host."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import hostile
import pytest
from browsing import Served, Watched
from hostile import PAYLOADS
from markupsafe import Markup
from playwright.sync_api import Browser
from seen import Page, Pages
from selectolax.lexbor import LexborHTMLParser

from tunix_rt.settings import Settings


class Hostile(NamedTuple):
    settings: Settings
    ids: dict[str, str]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    settings = Settings(home=tmp_path_factory.mktemp("hostile"))
    return Hostile(settings, hostile.fill(settings))


def addresses(ids: dict[str, str]) -> list[str]:
    run, base, tuned = ids["run"], ids["base"], ids["tuned"]
    shown = ["/", "/traces", "/traces?verdict=wrong", "/datasets", "/runs", "/leaderboard", "/models", "/compare"]
    return [
        *shown, f"/traces/{ids['trace']}/vs/{ids['second']}", "/datasets/tiny-sums", "/datasets/build?recipe=tiny-sums",
        f"/runs/{run}", f"/runs/{ids['failed']}", f"/runs/{run}/log", f"/runs/{run}/config", f"/runs/new?like={run}",
        f"/evaluations/{tuned}", f"/evaluations/{tuned}?outcome=wrong", f"/compare?run={base}&run={tuned}",
        f"/compare/items?run={base}&run={tuned}&show=both+wrong", "/models/bad/1", f"/runs/{run}/promote?baseline={base}",
    ]  # fmt: skip


def test_nothing_is_executed_and_nothing_leaves(chromium: Browser, bad: Hostile) -> None:
    assert len(set(PAYLOADS)) >= 60
    served = Served(bad.settings)
    watched = Watched(chromium, served)
    for address in addresses(bad.ids):
        page = watched.goto(address)
        assert page.locator("h1").count() >= 1, address
        assert page.evaluate("window.ran") is None, address
    page = watched.goto("/traces")
    for link in [link.get_attribute("href") for link in page.locator("tbody a").all()]:
        page = watched.goto(str(link))
        assert page.evaluate("window.ran") is None, link
        page = watched.goto(f"{link}/edit")
        assert page.evaluate("window.ran") is None, link
    watched.context.close()
    served.stop()
    assert watched.troubles == []


def shape(page: Page) -> list[str]:
    return [f"{node.tag} {' '.join(sorted(node.attributes))}" for node in page.all("*")]


def answers(pages: Pages, text: str) -> Iterator[tuple[str, Page]]:
    """Pages that repeat what was sent."""
    yield "search", pages.get("/traces", q=text)
    sent = {"prompt": text, "type": text[:64], "content": text, "answer": text, "note": text}
    yield "trace", pages.post("/traces", sent | {"action": "check"})
    yield "recipe", pages.post("/datasets/build", {"text": text})
    file = {"file": (text, json.dumps({text: text}).encode() + b"\n")}
    yield "ingest", pages.post("/datasets/ingest", {"name": "a", "format": "auto", "licence": text}, files=file)
    yield "run", pages.get("/runs/new", config="sft_tiny", dataset=text, **{"optimizer.learning_rate": text})
    yield "evaluation", pages.post("/evaluations", {"what": text, "evalset": "absent"})
    yield "unknown", pages.get("/traces", **{text: "1"})


def test_what_is_repeated_keeps_the_structure_of_the_page(fresh: Pages) -> None:
    usual = {name: shape(page) for name, page in answers(fresh, "harmless words")}
    for text in PAYLOADS:
        for name, page in answers(fresh, text):
            found = shape(page)
            new = set(found) - set(usual[name])
            assert not any(" on" in each or each.startswith(("script ", "img", "iframe", "object", "embed")) for each in new), (
                name,
                text,
                new,
            )
            assert found.count("img ") == 0


def test_unescaped_they_would_change_it() -> None:
    def tags(text: str) -> int:
        return len(LexborHTMLParser(f"<main><p>{text}</p></main>").css("main *"))

    assert sum(tags(text) != 1 for text in PAYLOADS) >= 35
    assert all(tags(str(Markup.escape(text))) == 1 for text in PAYLOADS)
