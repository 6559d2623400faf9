"""A training on two hosts of a real Ray cluster, here two processes of one machine: stopped, gone on with, lost, unplaced."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray_cluster import RAY, Cluster, until

import engines
from tunix_rt import jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob
from tunix_rt.launchers import local, processes, shim
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.ray import Ray
from tunix_rt.models import BaseModel

pytestmark = [
    pytest.mark.skipif(not RAY.exists(), reason="Ray is not installed: pip install 'ray[default]==2.60.0'"),
    pytest.mark.long,
]
Prepared = Callable[..., Handle]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.end()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("xla")


@pytest.fixture
def prepared(tiny: BaseModel, sums: Dataset, compiled: Path, tmp_path: Path) -> Prepared:
    def made(name: str, mesh: Mesh, steps: int = 4, learning_rate: float = 0.01) -> Handle:
        config = TrainConfig(
            name="t",
            model="tiny",
            steps=steps,
            epochs=500,
            tuning=Lora(rank=4, alpha=8),
            batch=Batch(row_tokens=512, rows=2, accumulation=1),
            optimizer=Optimizer(learning_rate=learning_rate),
            checkpoints=Checkpoints(every_steps=100),
        )
        named = {"model_digest": tiny.digest, "dataset": "tiny-sums", "dataset_digest": sums.manifest.digest}
        run_id = f"{name}-{uuid.uuid4().hex[:12]}"
        job = TrainJob(run_id=run_id, config=config, device="cpu", mesh=mesh, **named)
        folder = tmp_path / name
        folder.mkdir()
        jobs.write(folder, job, Inputs(model=tiny.folder, dataset=sums.path.parent, compile_cache=compiled))
        return Handle(run_id=run_id, attempt=1, folder=folder)

    return made


TWO = Mesh(fsdp=2, hosts=2)


def again(handle: Handle, **changes: Any) -> Handle:
    """The next attempt, on a job with other figures."""
    job, inputs = jobs.read(handle.folder)
    jobs.write(handle.folder, job.model_copy(update=changes), inputs)
    return handle.model_copy(update={"attempt": handle.attempt + 1})


def ended(launcher: Ray, handle: Handle, seconds: float = 400.0) -> str:
    until(lambda: launcher.poll(handle) == "exited", seconds)
    return launcher.exit(handle).reason


def rows(handle: Handle) -> list[dict[str, Any]]:
    path = handle.folder / "metrics.jsonl"
    return [row for _, row in values.read_jsonl(path)] if path.exists() else []


def kinds(handle: Handle) -> list[str]:
    return [row["kind"] for _, row in values.read_jsonl(handle.folder / "events.jsonl")]


def tree(handle: Handle) -> list[psutil.Process]:
    return processes.marked(processes.mark(handle.run_id, handle.attempt, str(handle.folder)))


def on_hosts(handle: Handle) -> list[psutil.Process]:
    return [process for process in tree(handle) if "RayTrainWorker" in " ".join(process.cmdline())]


def entrypoint(handle: Handle) -> list[psutil.Process]:
    """The shim, its guard, the engine's process, and the shell that Ray started: what names the folder."""
    return [one for one in psutil.process_iter(["cmdline"]) if str(handle.folder) in " ".join(one.info["cmdline"] or ())]


def test_a_training_on_two_hosts_is_cancelled_and_gone_on_with(cluster: Cluster, prepared: Prepared) -> None:
    launcher, two = Ray(cluster.address), prepared("two", TWO, steps=2000)
    launcher.launch(two)
    until(lambda: len(rows(two)) > 2, 400.0)
    launcher.cancel(two)
    assert ended(launcher, two) == "cancelled"
    stopped_at = len(rows(two))
    assert (two.folder / "checkpoints" / str(stopped_at) / "sha256.json").is_file()
    assert tree(two) == []
    more = stopped_at + 3
    two = again(two, max_steps=more)
    launcher.launch(two)
    assert ended(launcher, two) == "completed", (two.folder / "log.txt").read_text()
    assert kinds(two).count("stopped") == kinds(two).count("resumed") == kinds(two).count("done") == 1
    one = again(prepared("one", Mesh(), steps=2000), max_steps=more)
    assert engines.end(one.folder) == 0
    assert [row["loss"] for row in rows(two)] == pytest.approx([row["loss"] for row in rows(one)], abs=1e-3)
    assert values.read_json(two.folder / "environment.json")["devices"] == 2


def test_what_is_lost_with_its_entrypoint_is_ended_by_ray_and_begun_again(cluster: Cluster, prepared: Prepared) -> None:
    launcher, two = Ray(cluster.address), prepared("two", TWO, steps=2000)
    launcher.launch(two)
    until(lambda: len(rows(two)) > 2, 400.0)
    there = on_hosts(two)
    assert len(there) == 2
    for process in entrypoint(two):
        process.kill()
    until(lambda: not any(process.is_running() for process in there), 20.0)
    until(lambda: launcher.poll(two) == "lost")
    assert launcher.reap(two)
    two = again(two, max_steps=4)
    launcher.launch(two)
    assert ended(launcher, two) == "completed", (two.folder / "log.txt").read_text()
    assert [row["step"] for row in rows(two)] == [1, 2, 3, 4]


def test_a_host_that_dies_ends_the_run_with_its_name(cluster: Cluster, prepared: Prepared) -> None:
    launcher, two = Ray(cluster.address), prepared("two", TWO, steps=2000)
    launcher.launch(two)
    until(lambda: len(rows(two)) > 2, 400.0)
    os.kill(on_hosts(two)[0].pid, signal.SIGKILL)
    assert ended(launcher, two) == "failed"
    said = local.said(two.folder)
    assert said is not None
    assert said["message"].startswith(f"the process on host {said['details']['host']} ended without a word")
    assert tree(two) == []


def test_a_loss_that_is_not_finite_is_one_failure_with_its_reason(cluster: Cluster, prepared: Prepared) -> None:
    launcher, two = Ray(cluster.address), prepared("two", TWO, learning_rate=1e30)
    launcher.launch(two)
    assert ended(launcher, two) == "failed"
    said = local.said(two.folder)
    assert said is not None
    assert said["details"]["reason"] == "nan_loss"
    assert kinds(two).count("failed") == 1


def test_hosts_that_the_cluster_does_not_have_are_waited_for_only_so_long_and_cancelled_at_once(
    cluster: Cluster, prepared: Prepared
) -> None:
    hasty, patient = Ray(cluster.address, cpus=64, unplaced=30.0), Ray(cluster.address, cpus=64)
    two, other = prepared("two", TWO), prepared("other", TWO)
    hasty.launch(two)
    assert ended(hasty, two) == "failed"
    assert (local.said(two.folder) or {})["details"]["reason"] == "unplaced"
    patient.launch(other)
    until(lambda: shim.locked(other.folder))
    assert patient.poll(other) == "running"
    patient.cancel(other)
    assert ended(patient, other, 30.0) == "cancelled"
