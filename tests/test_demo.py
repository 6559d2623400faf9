"""The main job on the real model, its short form: the numbers hang together and the evidence verifies elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import values

COMMAND = Path(sys.executable).parent / "tunix-rt"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def outcome(home: Path) -> Any:
    done = subprocess.run(
        [COMMAND, "demo", "--quick", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TUNIX_RT_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_tuned_model_is_better_and_the_comparison_adds_up(outcome: Any) -> None:
    base, tuned, comparison = outcome["base"], outcome["tuned"], outcome["comparison"]
    assert base["n"] == tuned["n"] == comparison["n"] == 60
    assert comparison["difference"] == pytest.approx(tuned["accuracy"] - base["accuracy"])
    assert comparison["fixed"] - comparison["broken"] == tuned["correct"] - base["correct"]
    assert comparison["verdict"] == "better"
    assert comparison["ci95"][0] > 0
    assert comparison["lenient"]["difference"] > 0
    assert outcome["run"]["model"] == "smollm2-135m-instruct"
    assert outcome["run"]["peak_memory_bytes"] < 6e9
    assert outcome["run"]["padding_share"] < 0.1
    assert outcome["seed"] == 42
    assert set(outcome["versions"]) >= {"tunix-rt", "google-tunix", "jax"}


def test_the_loss_fell_and_every_step_is_written(outcome: Any) -> None:
    rows = [row for _, row in values.read_jsonl(Path(outcome["run"]["dir"]) / "metrics.jsonl")]
    assert [row["step"] for row in rows] == list(range(1, outcome["run"]["steps"] + 1))
    assert rows[-1]["loss"] < rows[0]["loss"] / 2


def test_the_outputs_are_numbered_steps_that_end_in_an_answer(outcome: Any, home: Path) -> None:
    folder = home / "evals" / outcome["tuned"]["evaluation_id"]
    rows = [row for _, row in values.read_jsonl(folder / "predictions.jsonl")]
    shaped = [row for row in rows if row["output"].startswith("1. ") and row["steps"] and row["answer"]]
    assert len(shaped) >= 0.8 * len(rows)


def test_the_bundle_verifies_in_another_workspace(outcome: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "evidence", "verify", outcome["bundle"], "--depth", "1", "--json", "--home", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"]


def test_the_report_stands_alone(outcome: Any) -> None:
    page = Path(outcome["report"]).read_text()
    assert page.count("<svg") == 3
    assert outcome["run_id"] in page
    assert "src=" not in page
    assert "<script" not in page
