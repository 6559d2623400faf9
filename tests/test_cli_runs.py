"""The queue on the command line: submit, work off, cancel a real training run, go on with it, and the evaluation behind it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_up import folders_in
from test_cli import COMMAND, document, losses, run
from tunix_rt import datasets, errors, jobs, runs, values
from tunix_rt.cli.console import Surface
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints
from tunix_rt.models import BaseModel
from tunix_rt.runs import ProbeSpec
from tunix_rt.settings import Settings
from tunix_rt.workbench import foreground


def until(condition: Callable[[], Any], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_probes_are_submitted_worked_off_and_listed(tmp_path: Path) -> None:
    spec = tmp_path / "probe.json"
    spec.write_text('{"kind": "probe", "how": "exception"}')
    made = document("runs", "submit", spec, home=tmp_path)
    assert (made["state"], made["kind"], made["reason"]) == ("queued", "probe", None)
    document("worker", "--once", home=tmp_path)
    shown = document("runs", "show", made["run_id"], home=tmp_path)
    assert (shown["state"], shown["reason"]) == ("failed", "exception")
    assert document("runs", "list", "--state", "failed", home=tmp_path)["data"][0]["run_id"] == made["run_id"]
    assert document("runs", "resume", made["run_id"], home=tmp_path)["state"] == "queued"
    assert document("runs", "cancel", made["run_id"], home=tmp_path)["state"] == "cancelled"
    assert document("runs", "logs", made["run_id"], home=tmp_path)["log"] == ""
    spec.write_text('{"kind": "train", "config": null, "dataset": "x"}')
    assert document("runs", "submit", spec, home=tmp_path, code=1)["error"]["details"]["field"] == "config"
    assert document("runs", "show", "nothing", home=tmp_path, code=1)["error"]["code"] == "not_found"


def test_a_run_that_was_told_to_lie_elsewhere_is_found_by_its_id(tmp_path: Path) -> None:
    surface, there = Surface(tmp_path / "home", as_json=True), tmp_path / "there"
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        run_id = runs.submit(connection, ProbeSpec(), folder=there).run_id
    with pytest.raises(errors.NotFound, match=f"run {run_id} is queued, so there is nothing"):
        foreground.trained(surface, run_id)
    folders_in(tmp_path).run.rename(there)
    assert foreground.trained(surface, run_id).dir == foreground.trained(surface, str(there)).dir == str(there)
    with pytest.raises(errors.NotFound, match="no finished run 'nothing'"):
        foreground.trained(surface, "nothing")


@pytest.fixture
def spec(workspace: Settings, tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, root: Path, tmp_path: Path) -> Path:
    assert tiny.digest
    assert datasets.manifest(workspace, "tiny-sums") == sums.manifest
    config = jobs.read_config(root / "recipes/train/sft_tiny.toml").model_dump(mode="json")
    config |= {"epochs": 40, "steps": 12, "checkpoints": {"every_steps": 1000, "keep": 2}}
    asked = {
        "kind": "train",
        "config": config,
        "dataset": "tiny-sums",
        "device": "cpu",
        "evaluate": {"evalset": unseen_sums.manifest.name, "limit": 2, "max_new_tokens": 4},
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(asked))
    return path


def test_a_cancelled_training_run_is_resumed_from_its_checkpoint_and_evaluated(workspace: Settings, spec: Path) -> None:
    home = workspace.home
    made = document("runs", "submit", spec, home=home)
    folder = Path(made["dir"])
    environment = {**os.environ, "TUNIX_RT_HOME": str(home)}
    worker = subprocess.Popen([COMMAND, "worker"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size > 0)
        assert document("runs", "cancel", made["run_id"], home=home)["state"] == "cancelling"
        until(lambda: document("runs", "show", made["run_id"], home=home)["state"] == "cancelled")
        stopped = len(losses(folder))
        assert 0 < stopped < 12
        checkpoints.verify(folder / "checkpoints" / str(stopped))
        pruned = document("runs", "prune", made["run_id"], home=home, code=1)["error"]
        assert (pruned["code"], pruned["details"]["state"]) == ("conflict", "cancelled")
        assert made["run_id"] not in [one["run_id"] for one in document("runs", "prune", "--dry-run", home=home)["runs"]]
        before = losses(folder)
        document("runs", "resume", made["run_id"], home=home)
        until(lambda: document("runs", "show", made["run_id"], home=home)["state"] == "completed")
        shown = document("runs", "show", made["run_id"], home=home)
        assert (shown["attempt"], shown["steps"], shown["reason"]) == (2, 12, "done")
        assert losses(folder)[:stopped] == before
        assert [row[0] for row in losses(folder)] == list(range(1, 13))
        until(lambda: not document("runs", "list", "--state", "queued", home=home)["data"])
        evaluation = document("runs", "list", "--kind", "eval", home=home)["data"][0]
        assert evaluation["parent"] == made["run_id"]
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    would = document("runs", "prune", made["run_id"], "--dry-run", home=home)
    assert (folder / "checkpoints").is_dir()
    assert document("runs", "prune", made["run_id"], home=home) == {**would, "dry_run": False}
    assert would["bytes"] > 10_000
    assert not (folder / "checkpoints").exists()
    assert document("runs", "prune", made["run_id"], home=home)["runs"] == []
    document("worker", "--once", home=home)
    ended = document("runs", "show", evaluation["run_id"], home=home)
    assert (ended["state"], ended["n"]) == ("completed", 2)
    assert values.read_json(home / "evals" / ended["evaluation_id"] / "summary.json")["run_id"] == made["run_id"]


def test_a_training_run_in_the_foreground_is_in_the_ledger(
    workspace: Settings, sums: Dataset, root: Path, tmp_path: Path
) -> None:
    config = root / "recipes/train/sft_tiny.toml"
    done = document(
        "train", "--config", config, "--dataset", sums.manifest.name, "--smoke-steps", 1, "--output", tmp_path / "o",
        home=workspace.home,
    )  # fmt: skip
    shown = document("runs", "show", done["run_id"], home=workspace.home)
    assert {key: shown[key] for key in done} == done
    told = document("train", "--resume", "latest", "--output", tmp_path / "o", home=workspace.home, code=1)
    assert "no training run" in told["error"]["message"]
    run("train", home=workspace.home, code=2)
