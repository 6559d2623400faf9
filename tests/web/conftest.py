"""Two workspaces: one in which everything has happened once, and an empty one for whoever starts."""

from collections.abc import Callable, Iterator

import browsing
import filled
import pytest
from browsing import Served, Watched
from fastapi import FastAPI
from filled import Lab, closed
from playwright.sync_api import Browser
from seen import Pages

import asking
from tunix_rt import web
from tunix_rt.settings import Settings


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A filled workspace that tests only add to."""
    settings = Settings(home=tmp_path_factory.mktemp("lab"))
    return Lab(settings, filled.fill(settings))


@pytest.fixture(scope="session")
def app(lab: Lab) -> Iterator[FastAPI]:
    made = web.make(lab.settings)
    yield made
    closed(made)


@pytest.fixture(scope="session")
def pages(app: FastAPI) -> Pages:
    return Pages(asking.owner(app))


@pytest.fixture
def fresh_app(home: Callable[[str], Settings]) -> Iterator[FastAPI]:
    """Over an empty workspace."""
    made = web.make(home("sqlite"))
    yield made
    closed(made)


@pytest.fixture
def fresh(fresh_app: FastAPI) -> Pages:
    return Pages(asking.owner(fresh_app))


@pytest.fixture(scope="module")  # closed before the next module: Playwright's loop and the in-process client do not mix
def chromium() -> Iterator[Browser]:
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def served(lab: Lab) -> Iterator[Served]:
    made = Served(lab.settings)
    yield made
    made.stop()


@pytest.fixture
def watched(chromium: Browser, served: Served) -> Iterator[Watched]:
    """A browser that is let into the filled workspace; nothing may have left the server or landed in the console."""
    made = Watched(chromium, served)
    yield made
    made.context.close()
    assert made.troubles == []
