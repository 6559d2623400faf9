"""Workers to be killed, the workspaces they work in, and a Ray cluster for the tests of a module."""

from collections.abc import Callable, Iterator
from typing import Any

import chaos
import pytest
from ray_cluster import Cluster

from tunix_rt import store
from tunix_rt.settings import Settings
from tunix_rt.store import Store


@pytest.fixture
def started() -> Iterator[Callable[..., Any]]:
    """Starts workers, and ends those that are left."""
    alive: list[Any] = []

    def start(where: Settings, **options: Any) -> Any:
        alive.append(chaos.start(where, **options))
        return alive[-1]

    yield start
    for process in alive:
        chaos.end(process)


@pytest.fixture
def at(home: Callable[[str], Settings]) -> Iterator[Callable[..., tuple[Settings, Store]]]:
    """A new workspace on the named database, with its open store."""
    made: list[Store] = []

    def there(database: str, lease: float = chaos.LEASE) -> tuple[Settings, Store]:
        given = home(database)
        where = chaos.settings(given.home, given.database, lease)
        made.append(store.open_store(where))
        return where, made[-1]

    yield there
    for opened in made:
        opened.close()


@pytest.fixture
def workplace(home: Callable[[str], Settings]) -> Iterator[tuple[Settings, Store]]:
    settings = home("sqlite")
    opened = store.open_store(settings)
    yield settings, opened
    opened.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.end()
