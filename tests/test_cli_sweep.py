"""Sweeps on the command line: begun, looked at, stopped, and what is said about a file that is wrong."""

from collections.abc import Iterator
from pathlib import Path

import landscape
import pytest
from landscape import Landscape

from test_cli import document, run
from tunix_rt import settings as settings_of
from tunix_rt import sweeps
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker

FILE = """
name = "search"
dataset = "tiny-sums"
config = { name = "small", model = "tiny", optimizer = { learning_rate = 2e-4 } }
val = { evalset = "tiny-sums-val" }
test = { evalset = "tiny-sums-test" }
budget = { trials = 3 }
sampler = { kind = "random", seed = 1 }
[space]
optimizer.learning_rate = { kind = "loguniform", low = 1e-4, high = 1e-1 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "search.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Settings, Store]]:
    settings = settings_of.load(tmp_path / "home", {})
    opened = landscape.workspace(settings)
    yield settings, opened
    opened.close()


def test_a_sweep_is_begun_worked_off_by_whoever_comes_and_shown(here: tuple[Settings, Store], file: Path) -> None:
    settings, opened = here
    begun = document("sweep", "start", file, "--detach", home=settings.home)
    assert (begun["state"], begun["trials_most"], begun["trials"]) == ("running", 3, [])
    assert document("sweep", "best", begun["sweep_id"], home=settings.home, code=1)["error"]["code"] == "not_found"
    Worker(settings, opened, launcher=Landscape()).work(lambda: False, once=True)
    shown = document("sweep", "show", begun["sweep_id"], home=settings.home)
    assert (shown["state"], shown["counts"], shown["metric"]) == ("completed", {"completed": 3}, "strict")
    assert shown["confirmed"]["n"] == 64
    assert [axis["key"] for axis in shown["axes"]] == ["optimizer.learning_rate", "strict"]
    best = document("sweep", "best", begun["sweep_id"], home=settings.home)
    assert best["number"] == shown["best"]["number"] == shown["confirmed"]["trial"]
    assert best["config"]["optimizer"]["learning_rate"] == best["params"]["optimizer.learning_rate"]
    assert document("sweep", "list", "--state", "completed", home=settings.home)["data"][0]["sweep_id"] == begun["sweep_id"]
    assert document("sweep", "start", file, home=settings.home)["confirmed"] == shown["confirmed"], "the same file again"
    told = run("sweep", "show", begun["sweep_id"], home=settings.home).stdout
    assert "completed, 3 of 3 trials (3 completed)" in told
    assert "confirmed on tiny-sums-test: trial" in told
    assert "look 1 of a trained run" in told


def test_a_sweep_is_stopped(here: tuple[Settings, Store], file: Path) -> None:
    settings, opened = here
    begun = document("sweep", "start", file, "--detach", home=settings.home)
    sweeps.advance(settings, opened)
    assert document("sweep", "stop", begun["sweep_id"], home=settings.home)["state"] == "stopping"
    sweeps.advance(settings, opened)
    shown = document("sweep", "show", begun["sweep_id"], home=settings.home)
    assert (shown["state"], shown["counts"]) == ("stopped", {"cancelled": 1})
    assert document("sweep", "stop", "serch-00000000", home=settings.home, code=1)["error"]["code"] == "not_found"


def test_a_wrong_file_is_explained(file: Path, tmp_path: Path) -> None:
    file.write_text(FILE.replace("low = 1e-4", 'low = "little"'))
    told = document("sweep", "start", file, home=tmp_path, code=1)["error"]
    assert told["details"]["field"] == "space.optimizer.learning_rate.loguniform.low"
    assert "'little'" in told["message"]
    assert str(file) in told["message"]
    told = document("sweep", "start", "sweep_tyni", home=tmp_path, code=1)["error"]
    assert "Did you mean 'sweep_tiny'?" in told["message"]
