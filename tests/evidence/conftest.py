"""The made-up workspace of `made_up`, and a bundle packed from it."""

from pathlib import Path

import pytest

from made_up import Folders, folders_in
from tunix_rt.evidence import standalone


@pytest.fixture
def own_folders(tmp_path: Path) -> Folders:
    """A workspace of the test's own, to change."""
    return folders_in(tmp_path / "own" / "home")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A workspace nobody changes."""
    return folders_in(tmp_path_factory.mktemp("workspace") / "home")


@pytest.fixture(scope="session")
def bundle(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed bundle nobody changes."""
    out = tmp_path_factory.mktemp("packed") / "bundle.zip"
    folders.pack(out)
    return out


@pytest.fixture(scope="session")
def members(bundle: Path) -> dict[str, bytes]:
    return standalone.parse(bundle.read_bytes())
