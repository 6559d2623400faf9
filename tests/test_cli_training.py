"""`train` when the machine asks it to go, when its time runs out, and when it cannot write; `eval` with drawn answers."""

import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import engines
from test_cli import COMMAND, document, losses, on_small_disk, run
from tunix_rt import jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints, weights
from tunix_rt.settings import Settings

STEPS = 12
CONFIG = f"""
name = "t"
model = "tiny"
format = "think"
epochs = 40
steps = {STEPS}
[tuning]
method = "lora"
rank = 4
[batch]
row_tokens = 2048
rows = 1
accumulation = 1
[optimizer]
learning_rate = 5e-3
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "t.toml"
    path.write_text(CONFIG)
    return path


def asked(config: Path, sums: Dataset, output: Path) -> tuple[object, ...]:
    return ("train", "--config", config, "--dataset", sums.manifest.name, "--device", "cpu", "--output", output)


def begun(arguments: tuple[object, ...], output: Path, home: Path) -> subprocess.Popen[str]:
    """The command, at work, once it has done a step."""
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNIX_RT_HOME": str(home)},
    )
    deadline = time.monotonic() + 300
    while not (output / "metrics.jsonl").exists():
        assert time.monotonic() < deadline, "the run never started"
        time.sleep(0.02)
    return process


def uninterrupted(output: Path, folder: Path) -> Path:
    """What the run of `output` was asked, done in one go."""
    folder.mkdir()
    jobs.write(folder, *jobs.read(output))
    assert engines.end(folder) == 0, (folder / "log.txt").read_text()
    return folder


def test_a_run_that_is_told_to_go_is_preempted_and_goes_on_as_if_it_never_was(
    workspace: Settings, sums: Dataset, config: Path, tmp_path: Path
) -> None:
    output = tmp_path / "o"
    process = begun(asked(config, sums, output), output, workspace.home)
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert values.read_json(output / "exit.json")["reason"] == "sigterm"
    job, _ = jobs.read(output)
    shown = document("runs", "show", job.run_id, home=workspace.home)
    assert (shown["state"], shown["reason"]) == ("preempted", "sigterm")
    before = losses(output)
    assert 0 < len(before) < STEPS, "the signal came too late; the test needs a longer run"
    checkpoints.verify(output / "checkpoints" / str(len(before)))
    assert f"checkpoint at step {len(before)}" in shown["message"]
    made = document("train", "--resume", "latest", "--output", output, home=workspace.home)
    assert (made["run_id"], made["state"], made["steps"]) == (job.run_id, "completed", STEPS)
    whole = uninterrupted(output, tmp_path / "whole")
    assert losses(output)[: len(before)] == before
    assert losses(output) == losses(whole)
    assert made["adapter_digest"] == values.read_json(whole / "result.json")["adapter_digest"]


def limited(arguments: tuple[object, ...], output: Path, home: Path, seconds: float) -> tuple[dict[str, Any], float]:
    """The ledger's view of a run with this limit, and how long its process lived."""
    run(*arguments, "--max-hours", seconds / 3600, home=home, code=1)
    ended = values.read_json(output / "exit.json")
    spent = (datetime.fromisoformat(ended["ended"]) - datetime.fromisoformat(ended["started"])).total_seconds()
    return document("runs", "show", jobs.read(output)[0].run_id, home=home), spent  # type: ignore[union-attr]


def test_a_time_limit_ends_a_run_in_time_with_its_adapter(
    workspace: Settings, sums: Dataset, config: Path, tmp_path: Path
) -> None:
    """The limit lies well behind the first step; where other work slows the machine down, it is doubled and tried again."""
    config.write_text(CONFIG.replace(f"steps = {STEPS}\n", ""))
    for seconds in (12.0, 24.0, 48.0, 96.0, 192.0):
        output = tmp_path / f"o{seconds:g}"
        shown, spent = limited(asked(config, sums, output), output, workspace.home, seconds)
        assert (shown["state"], shown["reason"]) == ("timed_out", "timeout")
        if (output / "adapter" / weights.CONFIG).is_file():
            break
    done = len(losses(output))
    assert done >= 1
    assert spent <= seconds + 1
    checkpoints.verify(output / "checkpoints" / str(done))
    tensors = values.sha256_file(output / "adapter" / weights.TENSORS)
    assert tensors == values.read_json(output / "adapter" / weights.CONFIG)["sha256"]
    assert f"checkpoint at step {done}" in shown["message"]
    assert "adapter" in shown["message"]
    assert not (output / "result.json").exists()


@pytest.mark.parametrize("where", ["beneath a file", "on a read-only disk"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_begins(
    workspace: Settings, sums: Dataset, config: Path, tmp_path: Path, where: str
) -> None:
    """A disk of its own, for nothing is read-only to root."""
    before = document("runs", "list", home=workspace.home)["data"]
    if where == "beneath a file":
        (tmp_path / "file").write_text("x")
        output = tmp_path / "file" / "o"
        said = run(*asked(config, sums, output), home=workspace.home, code=1).stderr
    else:
        output = tmp_path / "disk" / "o"
        refused = on_small_disk(tmp_path / "disk", "64k,ro", COMMAND, *asked(config, sums, output), home=workspace.home)
        assert refused.returncode == 1
        said = refused.stderr
    assert f"cannot write to {output}" in said
    assert "name another folder" in said
    assert not output.exists()
    assert document("runs", "list", home=workspace.home)["data"] == before


@pytest.mark.usefixtures("unseen_sums")
def test_answers_are_drawn_with_a_seed_in_the_format_that_is_asked_for(workspace: Settings) -> None:
    home = workspace.home
    arguments = (
        "eval",
        "tiny",
        "--on",
        "tiny-sums-eval",
        "--limit",
        2,
        "--max-new-tokens",
        6,
        "--device",
        "cpu",
        "--format",
        "tags",
    )
    drawn = (*arguments, "--samples", 2, "--temperature", 1.5, "--top-k", 50, "--top-p", 0.9, "--seed", 3)
    summary = document(*drawn, home=home)
    assert (summary["n"], summary["samples"], summary["format"]) == (2, 2, "tags")
    found = document("evals", "attempts", summary["evaluation_id"], home=home)
    assert (found["items"], found["attempts"]) == (2, 2)
    job = values.read_json(Path(summary["dir"]) / "config.json")
    assert (job["temperature"], job["top_k"], job["top_p"], job["seed"]) == (1.5, 50, 0.9, 3)
    assert "<reasoning>" in job["instruction"]
    assert "several 'samples' need a 'temperature'" in run(*arguments, "--samples", 2, home=home, code=1).stderr
    assert "the run says in which format" in run(*arguments, "--like", "x", home=home, code=2).stderr
