"""C1: a run killed twice with SIGKILL ends with the losses and the adapter of one that never was, to the bit."""

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import counted
import engines
from tunix_rt import jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Optimizer, TrainConfig, TrainJob
from tunix_rt.models import BaseModel

STEPS = 14
"""Long enough for two kills while it trains and saves."""
TRIALS, GPU_TRIALS = 20, 4


@pytest.fixture(scope="module")
def job(tiny: BaseModel, sums: Dataset, compile_cache: Path) -> tuple[TrainJob, Inputs]:
    config = TrainConfig(
        name="t",
        model="tiny",
        epochs=4,
        steps=STEPS,
        tuning=Lora(rank=4, alpha=8),
        batch=Batch(row_tokens=320, rows=1, accumulation=2),
        optimizer=Optimizer(learning_rate=0.01),
        checkpoints=Checkpoints(every_steps=2, keep=2),
    )
    asked = TrainJob(
        run_id="r", config=config, model_digest=tiny.digest, dataset="tiny-sums", dataset_digest=sums.manifest.digest
    )
    return asked, Inputs(model=tiny.folder, dataset=sums.path.parent, compile_cache=compile_cache)


def prepared(job: tuple[TrainJob, Inputs], folder: Path) -> Path:
    folder.mkdir()
    jobs.write(folder, *job)
    return folder


@pytest.fixture(scope="module")
def whole(job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepared(job, tmp_path_factory.mktemp("killing") / "whole")
    assert engines.end(folder) == 0, (folder / "log.txt").read_text()
    return folder


def outcome(folder: Path) -> tuple[Any, ...]:
    rows = [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]
    made = values.read_json(folder / "result.json")
    return [(row["step"], row["loss"], row["lr"], row["grad_norm"]) for row in rows], made["adapter_digest"], made["loss"]


def steps_done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_after_step(folder: Path, step: int, delay: float) -> bool:
    """Begin the engine and kill it so long after a step; False when it ended before that."""
    process = engines.begin(folder)
    deadline = time.monotonic() + 300
    while steps_done(folder) < step and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


@pytest.mark.parametrize("trial", range(2))
def test_two_kills_change_nothing(job: Any, whole: Path, tmp_path: Path, trial: int) -> None:
    rng = random.Random(trial)
    folder = prepared(job, tmp_path / "killed")
    assert kill_after_step(folder, 3 + trial, rng.uniform(0, 0.08))
    sealed = list((folder / "checkpoints").glob("*/sha256.json"))
    assert sealed
    kill_after_step(folder, 8 + trial, rng.uniform(0, 0.08))
    assert engines.end(folder) == 0, (folder / "log.txt").read_text()
    assert outcome(folder) == outcome(whole)
    kinds = [row["kind"] for _, row in values.read_jsonl(folder / "events.jsonl")]
    assert kinds.count("resumed") >= 1
    checkpoints.verify(folder / "checkpoints" / str(STEPS))


@pytest.mark.long
def test_two_kills_at_any_moment_change_nothing(job: Any, whole: Path, tmp_path: Path) -> None:
    """Row C1 at length. A kill that comes too late is not counted, and the trial is made again."""
    kills, differ, trial = 0, 0, 0
    while kills < 2 * TRIALS:
        rng = random.Random(1000 + trial)
        folder, trial = prepared(job, tmp_path / f"killed{trial}"), trial + 1
        alive = [kill_after_step(folder, rng.randrange(STEPS - 2), rng.uniform(0, 0.3)) for _ in range(2)]
        if not all(alive):
            continue
        kills += 2
        assert engines.end(folder) == 0, (folder / "log.txt").read_text()
        differ += outcome(folder) != outcome(whole)
    counted.record("resume-equals-uninterrupted", "C1", trials=TRIALS, kills=kills, steps=STEPS, runs_that_differ=differ)
    assert differ == 0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="there is no GPU")
def test_two_kills_change_nothing_on_a_gpu(job: Any, tmp_path: Path) -> None:
    asked = (job[0].model_copy(update={"device": "gpu"}), job[1])
    whole, kills, differ = prepared(asked, tmp_path / "whole"), 0, 0
    assert engines.end(whole) == 0, (whole / "log.txt").read_text()
    for trial in range(GPU_TRIALS):
        rng, folder = random.Random(2000 + trial), prepared(asked, tmp_path / f"killed{trial}")
        kills += sum(kill_after_step(folder, step, rng.uniform(0, 0.05)) for step in (3, 8))
        assert engines.end(folder) == 0, (folder / "log.txt").read_text()
        differ += outcome(folder) != outcome(whole)
    device = values.read_json(whole / "result.json")["device"]
    figures = {"trials": GPU_TRIALS, "kills": kills, "steps": STEPS, "runs_that_differ": differ}
    counted.record("resume-on-a-gpu", "C1", device=device, **figures)
    assert kills > GPU_TRIALS
    assert differ == 0
