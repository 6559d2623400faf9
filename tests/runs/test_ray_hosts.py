"""A training on two hosts of a real Ray cluster, which are two processes of this machine: begun, stopped, gone on with."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from ray_cluster import RAY, Cluster, until

import engines
from tunix_rt import jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.ray import Ray
from tunix_rt.models import BaseModel

pytestmark = [pytest.mark.skipif(not RAY.exists(), reason="Ray is not installed: pip install 'ray[default]==2.60.0'")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.end()


@pytest.fixture
def prepared(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> Callable[..., Handle]:
    def made(name: str, steps: int = 4, **mesh: int) -> Handle:
        config = TrainConfig(
            name="t",
            model="tiny",
            steps=steps,
            epochs=100,
            tuning=Lora(rank=4, alpha=8),
            batch=Batch(row_tokens=512, rows=2, accumulation=2),
            optimizer=Optimizer(learning_rate=0.01),
            checkpoints=Checkpoints(every_steps=2),
        )
        job = TrainJob(
            run_id=name,
            config=config,
            model_digest=tiny.digest,
            dataset="tiny-sums",
            dataset_digest=sums.manifest.digest,
            device="cpu",
            mesh=Mesh(**mesh),
        )
        folder = tmp_path / name
        folder.mkdir()
        jobs.write(folder, job, Inputs(model=tiny.folder, dataset=sums.path.parent))
        return Handle(run_id=name, attempt=1, folder=folder)

    return made


def losses(handle: Handle) -> list[float]:
    return [row["loss"] for _, row in values.read_jsonl(handle.folder / "metrics.jsonl")]


def test_two_hosts_train_what_one_does(cluster: Cluster, prepared: Callable[..., Handle]) -> None:
    launcher, two, one = Ray(cluster.address), prepared("two", fsdp=2, hosts=2), prepared("one")
    launcher.launch(two)
    until(lambda: launcher.poll(two) == "exited", 240.0)
    assert launcher.exit(two).reason == "completed", (two.folder / "log.txt").read_text()
    assert engines.end(one.folder) == 0
    assert losses(two) == pytest.approx(losses(one), abs=1e-3)
    assert len(losses(two)) == 4
    assert values.read_json(two.folder / "environment.json")["devices"] == 2
