"""The tiny study, and a workspace with what it names."""

import shutil
from pathlib import Path

import pytest

from tunix_rt import datasets, models, studies
from tunix_rt.settings import Settings
from tunix_rt.studies import Study

TINY = Path(__file__).parent / "tiny.toml"


@pytest.fixture(scope="session")
def study() -> Study:
    return studies.load(str(TINY))


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Settings:
    """A workspace with the study's model and datasets."""
    settings = Settings(home=tmp_path_factory.mktemp("stocked") / "home")
    models.prepare(settings, "tiny")
    for name in ("tiny-sums", "tiny-sums-eval", "detection-v1-eval"):
        datasets.build(datasets.recipe(name), settings.datasets / name)
    parent = datasets.find(settings, "tiny-sums")
    for selection in study.selections:
        datasets.derive(selection, [datasets.pool(parent, "tiny-sums")], settings.datasets / selection.name)
    return settings


@pytest.fixture
def prepared(stocked: Settings, tmp_path: Path) -> Settings:
    """The same, of the test's own, to change."""
    shutil.copytree(stocked.home, tmp_path / "home")
    return Settings(home=tmp_path / "home")
