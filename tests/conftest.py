"""A workspace for the whole test session, with the tiny model and the tiny datasets in it."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import asking
import postgres
import s3
from tunix_rt import datasets, models, settings, store
from tunix_rt.datasets import Dataset
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings
from tunix_rt.store import Store

DATABASES = ("sqlite", "postgresql")
STORES = ("folder", "bucket")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if importlib.util.find_spec("torch") is None:
        skipped = sum("make parity" in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
        text = f"PyTorch is not installed: {skipped} tests that compare with it were skipped; `make parity` installs it."
        terminalreporter.write_line(text, red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def _ended_loop() -> Iterator[None]:
    yield
    asking.close()


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """A server whose database `migrated` has the newest schema."""
    with postgres.running() as server:
        server.command("CREATE DATABASE migrated")
        store.open_store(Settings(home=Path("unused"), database=server.address("migrated"))).close()
        yield server


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Settings]:
    """A new workspace on the named database."""

    def made(database: str) -> Settings:
        address = request.getfixturevalue("postgresql").create("migrated") if database == "postgresql" else None
        return Settings(home=tmp_path / "home", database=address)

    return made


@pytest.fixture(params=DATABASES)
def either(request: pytest.FixtureRequest, home: Callable[[str], Settings]) -> Settings:
    """A new workspace on each database in turn."""
    return home(request.param)


@pytest.fixture
def opened(either: Settings) -> Iterator[Store]:
    """The open database of that workspace."""
    found = store.open_store(either)
    yield found
    found.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.Server]:
    with s3.running() as server:
        yield server


@pytest.fixture
def bucket(s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket, with the environment that lets programs in."""
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    return s3_server.create()


@pytest.fixture(params=STORES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A new workspace whose artifacts lie in each kind of store in turn."""
    address = f"s3://{request.getfixturevalue('bucket')}/tunix-rt" if request.param == "bucket" else None
    return Settings(home=tmp_path / "home", artifacts=address)
