"""The workspace of `promoted`, on each database in turn."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from promoted import Place, fill, opened

from tunix_rt.settings import Settings


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registry") / "home"
    fill(home)
    return home


@pytest.fixture
def place(either: Settings, filled_home: Path) -> Iterator[Place]:
    shutil.copytree(filled_home, either.home)
    made = opened(either)
    yield made
    made.store.close()
