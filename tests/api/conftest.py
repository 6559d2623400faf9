"""The app over a new workspace."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from asking import Client, owner
from tunix_rt import api
from tunix_rt.settings import Settings


def closed(made: FastAPI) -> None:
    made.state.service.store.close()
    made.state.service.audit.close()


@pytest.fixture
def make(home: Callable[[str], Settings]) -> Iterator[Callable[..., FastAPI]]:
    """Apps on SQLite, with the options of `api.make`."""
    apps: list[FastAPI] = []

    def made(**options: object) -> FastAPI:
        apps.append(api.make(home("sqlite"), **options))  # type: ignore[arg-type]
        return apps[-1]

    yield made
    for each in apps:
        closed(each)


@pytest.fixture
def app(make: Callable[..., FastAPI]) -> FastAPI:
    return make()


@pytest.fixture
def client(either: Settings) -> Iterator[Client]:
    """The owner's, on each database in turn."""
    made = api.make(either)
    yield owner(made)
    closed(made)


_watched: dict[str, list[str]] = {}


def _opened(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(args[0], str):
        for name, found in _watched.items():
            if name in args[0]:
                found.append(args[0])


sys.addaudithook(_opened)  # one for the process: an audit hook cannot be taken away


@pytest.fixture
def watch() -> Iterator[Callable[[Path], list[str]]]:
    """The list of what is opened from now on under the name of a file."""

    def watched(path: Path) -> list[str]:
        return _watched.setdefault(path.name, [])

    yield watched
    _watched.clear()
