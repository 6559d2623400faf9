"""What cannot be trained ends with a sentence that says what to change."""

import resource
from pathlib import Path
from typing import Any

import pytest

import engines
from tunix_rt import errors, jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import masks, work
from tunix_rt.jobs import Batch, EstimateJob, Inputs, MaskJob, TrainConfig, TrainJob
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


@pytest.mark.parametrize("memory_gb", [None, 64.0])
def test_a_dataset_of_which_nothing_is_left_is_refused(
    tiny: BaseModel, sums: Dataset, tmp_path: Path, memory_gb: float | None
) -> None:
    """Every trace is longer than a row, and to be dropped."""
    asked, inputs = job_with(Batch(row_tokens=16), tiny, sums, too_long="drop", memory_gb=memory_gb)
    same = EstimateJob(**asked.model_dump(include={"config", "model_digest", "dataset", "dataset_digest"}))
    for job in (asked, same):
        with pytest.raises(
            errors.Invalid, match="the dataset 'tiny-sums' is empty without traces longer than a row"
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
