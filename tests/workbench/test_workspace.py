"""The verbs of a notebook: what the commands do, on the same workspace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

import tunix_rt as rt
from test_cli import document
from tunix_rt import errors, runs
from tunix_rt.jobs import TrainConfig
from tunix_rt.workbench import Workspace


@pytest.fixture
def bench(tmp_path: Path) -> Workspace:
    return rt.open(tmp_path / "home", say=lambda _: None)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, tunix_rt; print([m for m in ('jax', 'sqlalchemy', 'fastapi', 'pydantic', 'typer') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    opened = code.replace("print(", "tunix_rt.open; tunix_rt.Workspace; print(")
    found = subprocess.run([sys.executable, "-c", opened], capture_output=True, text=True, check=True).stdout
    assert "sqlalchemy" in found and not {"jax", "fastapi", "typer"} & set(eval(found))


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'workspaces'"):
        _ = rt.workspaces


def test_a_verb_gives_what_its_command_prints(bench: Workspace) -> None:
    built = bench.build("tiny-sums")
    printed = document("data", "build", "tiny-sums", home=bench.settings.home)
    assert (printed["digest"], printed["count"]) == (built.manifest.digest, built.manifest.count)
    checked = bench.check("tiny-sums")
    assert checked.summary.traces == len(checked.traces) == built.manifest.count


def test_a_file_becomes_a_dataset_and_bad_lines_are_refused(bench: Workspace, tmp_path: Path) -> None:
    rows = [{"instruction": f"What is {n} + 1?", "output": str(n + 1)} for n in range(3)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert bench.ingest(file, name="rows").added == 3
    file.write_text(file.read_text() + '{"instruction": "no output"}\n')
    with pytest.raises(errors.Invalid):
        bench.ingest(file, name="more")


def test_what_a_command_refuses_a_verb_refuses(bench: Workspace) -> None:
    with pytest.raises(errors.NotFound, match="nothing"):
        bench.evaluate("nothing", on="tiny-sums-eval")
    with pytest.raises(errors.NotFound):
        bench.train("tiny-sum", TrainConfig(name="x", model="tiny"))
    with pytest.raises(errors.Invalid, match="says in which format"):
        bench.evaluate("tiny", on="tiny-sums-eval", like="a", format="numbered")


def test_the_notebook_in_the_repository_runs(tmp_path: Path, root: Path) -> None:
    path = root / "notebooks" / "first_steps.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    home = tmp_path / "home"
    nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute(
        env={**os.environ, "TUNIX_RT_HOME": str(home)}
    )
    bench = rt.open(home)
    run = runs.find(bench.settings, next(bench.settings.runs.iterdir()).name)
    assert bench.verify(bench.settings.evidence / f"{run.run_id}.zip").ok
    boards = bench.leaderboard()
    assert sorted(entry.run_id or "" for board in boards for entry in board.entries) == ["", run.run_id]
    promoted = bench.promote(run, "first", force=True, reason="to see it registered")
    assert (promoted.reference, promoted.admission.standing) == ("first@1", "forced")
