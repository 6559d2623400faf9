"""The made-up workspace of `made_up`, and its settings."""

from pathlib import Path

import pytest

from made_up import Folders, folders_in
from tunix_rt.settings import Settings


@pytest.fixture(scope="session")
def made_up_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("made-up") / "home")


@pytest.fixture(scope="session")
def made_up_folders(made_up_home: Settings) -> Folders:
    return folders_in(made_up_home.home)


@pytest.fixture
def own(tmp_path: Path) -> tuple[Settings, Folders]:
    """A workspace of the test's own, to change."""
    home = tmp_path / "home"
    return Settings(home=home), folders_in(home)
