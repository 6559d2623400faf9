"""A run in two processes, as on two hosts: what one process trains, resumed, stopped together, and written by the first."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from ray_cluster import free_port
from safetensors.numpy import load_file

import engines
from tunix_rt import jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob, Validation
from tunix_rt.models import BaseModel


@pytest.fixture(scope="module")
def asked(tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, compile_cache: Path) -> tuple[TrainJob, Inputs]:
    config = TrainConfig(
        name="t",
        model="tiny",
        steps=4,
        tuning=Lora(rank=4, alpha=8),
        batch=Batch(row_tokens=512, rows=2, accumulation=2),
        optimizer=Optimizer(learning_rate=0.01),
        checkpoints=Checkpoints(every_steps=2),
        validation=Validation(dataset="tiny-sums-eval", every_steps=2),
    )
    job = TrainJob(
        run_id="r",
        config=config,
        model_digest=tiny.digest,
        dataset="tiny-sums",
        dataset_digest=sums.manifest.digest,
        validation_digest=unseen_sums.manifest.digest,
        device="cpu",
    )
    here = {"dataset": sums.path.parent, "validation": unseen_sums.path.parent, "compile_cache": compile_cache}
    return job, Inputs(model=tiny.folder, **here)


def on_two(folder: Path) -> list[int | None]:
    """The exit codes of two processes that work on the attempt."""
    address = f"127.0.0.1:{free_port()}"
    made = [engines.CONTEXT.Process(target=_member, args=(folder, address, index)) for index in range(2)]
    for process in made:
        process.start()
    for process in made:
        process.join(120)
        process.kill()
    return [process.exitcode for process in made]


def _member(folder: Path, address: str, index: int) -> None:
    with (folder / f"log-{index}.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from tunix_rt.engine import hosts, work  # noqa: PLC0415  # the fork server has it already

    hosts.join(address, 2, index)
    sys.exit(work.main(folder))


def metrics(folder: Path) -> list[dict]:
    return [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]


def test_two_hosts_train_what_one_does_and_resume(asked: tuple[TrainJob, Inputs], tmp_path: Path) -> None:
    job, inputs = asked
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, mesh in ((one, Mesh()), (two, Mesh(fsdp=2, hosts=2))):
        folder.mkdir()
        for steps in (2, None):
            jobs.write(folder, job.model_copy(update={"mesh": mesh, "max_steps": steps}), inputs)
            codes = on_two(folder) if mesh.hosts > 1 else [engines.end(folder)]
            assert set(codes) == {0}, "".join(log.read_text() for log in folder.glob("log*.txt"))
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-3)
        assert b.get("eval_loss") == (pytest.approx(a["eval_loss"], abs=1e-3) if "eval_loss" in a else None)
        assert (a["step"], a["tokens"], a["examples"]) == (b["step"], b["tokens"], b["examples"])
    assert len(metrics(two)) == 4
    events = [row["kind"] for _, row in values.read_jsonl(two / "events.jsonl")]
    assert (events.count("resumed"), events.count("done")) == (1, 2)
    adapters = [load_file(folder / "adapter" / "adapter.safetensors") for folder in (one, two)]
    for name, tensor in adapters[0].items():
        np.testing.assert_allclose(adapters[1][name], tensor, atol=2e-3)
