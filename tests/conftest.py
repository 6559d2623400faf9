"""A workspace for the whole test session, with the tiny model and the tiny datasets in it."""

from pathlib import Path

import pytest

from tunix_rt import datasets, models, settings
from tunix_rt.datasets import Dataset
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings.load(tmp_path_factory.mktemp("home"), {})


@pytest.fixture(scope="session")
def tiny(workspace: Settings) -> BaseModel:
    return models.prepare(workspace, "tiny")


def _built(workspace: Settings, name: str) -> Dataset:
    datasets.build(datasets.recipe(name), workspace.datasets / name)
    return datasets.find(workspace, name)


@pytest.fixture(scope="session")
def sums(workspace: Settings) -> Dataset:
    return _built(workspace, "tiny-sums")


@pytest.fixture(scope="session")
def unseen_sums(workspace: Settings) -> Dataset:
    return _built(workspace, "tiny-sums-eval")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[1]
