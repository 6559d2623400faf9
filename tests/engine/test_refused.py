"""What cannot be trained ends with a sentence that says what to change."""

import re
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

import engines
from tunix_rt import errors, jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import masks, work
from tunix_rt.jobs import Batch, EstimateJob, ExportJob, GenerateJob, Inputs, MaskJob, TrainConfig, TrainJob
from tunix_rt.launchers import local
from tunix_rt.models import BaseModel

MOST = 48 * 2**30
"""Of address space; JAX sets much of it aside that it never touches."""


def job_with(batch: Batch, tiny: BaseModel, sums: Dataset, **config: Any) -> tuple[TrainJob, Inputs]:
    asked = TrainJob(
        run_id="r",
        config=TrainConfig(name="t", model="tiny", batch=batch, **config),
        model_digest=tiny.digest,
        dataset="tiny-sums",
        dataset_digest=sums.manifest.digest,
        max_steps=1,
        device="cpu",
    )
    return asked, Inputs(model=tiny.folder, dataset=sums.path.parent)


def limited(attempt: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
    engines._work(attempt, {})


@pytest.mark.parametrize(("rows", "code"), [(1024, 71), (1, 0)])
def test_out_of_memory_names_the_settings_that_need_less(
    rows: int, code: int, tiny: BaseModel, sums: Dataset, tmp_path: Path
) -> None:
    """The system refuses what a thousand rows of 8,192 tokens attend with; the control is one row under the same limit."""
    row_tokens = 8192 if rows > 1 else 1024
    jobs.write(tmp_path, *job_with(Batch(row_tokens=row_tokens, rows=rows, accumulation=1), tiny, sums))
    process = engines.CONTEXT.Process(target=limited, args=(tmp_path,))
    process.start()
    process.join(300)
    assert process.exitcode == code, (tmp_path / "log.txt").read_text()[-2000:]
    failed = [row for _, row in values.read_jsonl(tmp_path / "events.jsonl") if row["kind"] == "failed"]
    assert [row["details"]["reason"] for row in failed] == (["out_of_memory"] if code else [])
    for row in failed:
        for setting in ("memory_gb", "batch.rows", "batch.row_tokens", "compute.remat", "compute.loss_chunk"):
            assert f"'{setting}'" in row["message"]
    assert (tmp_path / "result.json").exists() == (code == 0)


OF_TRAINING = {"memory_gb", "batch.rows", "batch.row_tokens", "compute.remat", "compute.loss_chunk"}


@pytest.mark.parametrize("how", ["exhausted", "killed"])
def test_want_of_memory_is_answered_with_settings_of_that_kind_of_job(
    how: str, tiny: BaseModel, sums: Dataset, tmp_path: Path
) -> None:
    """Asked in the same words of a device that says so and of a system that kills; other failures are told without."""
    trained, inputs = job_with(Batch(), tiny, sums)
    named = {"model": "tiny", "model_digest": tiny.digest}
    kinds: dict[Any, set[str]] = {
        trained: OF_TRAINING,
        GenerateJob(**named, evalset="s", evalset_digest=sums.manifest.digest): {"max_new_tokens"},
        ExportJob(**named, run_id="r", adapter_digest="0" * 64): set(),
    }
    for number, (job, settings) in enumerate(kinds.items()):
        attempt = tmp_path / str(number)
        jobs.write(attempt, job, inputs)
        exhausted = RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 5 bytes.")
        told = work.explained(exhausted, attempt) if how == "exhausted" else local.failure(attempt, -signal.SIGKILL)
        assert set(re.findall(r"'([a-z_.]+)'", told.message)) == settings
        assert "of memory" in told.message
        other = work.explained(RuntimeError("no"), attempt) if how == "exhausted" else local.failure(attempt, 1)
        assert "of memory" not in other.message


@pytest.mark.parametrize("memory_gb", [None, 64.0])
def test_a_dataset_of_which_nothing_is_left_is_refused(
    tiny: BaseModel, sums: Dataset, tmp_path: Path, memory_gb: float | None
) -> None:
    """Every trace is longer than a row, and to be dropped."""
    asked, inputs = job_with(Batch(row_tokens=16), tiny, sums, too_long="drop", memory_gb=memory_gb)
    same = EstimateJob(**asked.model_dump(include={"config", "model_digest", "dataset", "dataset_digest"}))
    for job in (asked, same):
        with pytest.raises(
            errors.Invalid, match="the dataset 'tiny-sums' is empty without traces longer than 16 tokens"
        ) as refused:
            work._do(job, inputs, tmp_path)
        assert refused.value.details["field"] == "dataset"
    assert not (tmp_path / "metrics.jsonl").exists()


def test_an_empty_dataset_has_no_mask_to_prove(
    tiny: BaseModel, sums: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"model": "tiny", "model_digest": tiny.digest, "dataset": "tiny-sums", "dataset_digest": sums.manifest.digest}
    monkeypatch.setattr(masks.traces, "read", lambda _path: iter(()))
    with pytest.raises(errors.Invalid, match="the dataset is empty"):
        masks.prove(MaskJob(**names), Inputs(model=tiny.folder, dataset=sums.path.parent), tmp_path)
