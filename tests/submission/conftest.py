"""Workspaces to submit from."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest
from submitted import Made, Smoked, made_in, subject

from tunix_rt import settings, submission
from tunix_rt.settings import Settings


@pytest.fixture
def own(tmp_path: Path) -> Made:
    """A workspace of the test's own, to change."""
    return made_in(tmp_path / "own" / "home")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A workspace nobody changes."""
    return made_in(tmp_path_factory.mktemp("workspace") / "home")


@pytest.fixture(scope="session")
def smoked(tmp_path_factory: pytest.TempPathFactory, workspace: Settings) -> Smoked:
    """The notebook, executed by a Jupyter kernel as Kaggle does it."""
    place = tmp_path_factory.mktemp("kaggle")
    for name in ("input", "working"):
        (place / name).mkdir()
    document = nbformat.reads(submission.notebook(subject(workspace)).decode(), as_version=4)
    told = {"TUNIX_RT_MODE": "smoke", "TUNIX_RT_INPUT": str(place / "input"), "TUNIX_RT_OUTPUT": str(place / "working")}
    nbclient.NotebookClient(document, timeout=None, kernel_name="python3").execute(env={**os.environ, **told})
    outputs = [output for cell in document.cells for output in cell.get("outputs", [])]
    return Smoked(
        settings.load(place / "working" / "tunix-rt", {}),
        place / "working",
        "".join(output.get("text", "") for output in outputs),
    )
