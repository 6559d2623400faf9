"""A run in two processes, as on two hosts: what one process trains, resumed, stopped together, and written by the first."""

import os
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ray_cluster import free_port, until
from safetensors.numpy import load_file

import engines
from tunix_rt import errors, jobs, models, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import __main__ as engine
from tunix_rt.engine import checkpoints, identity, placement
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Mesh, Optimizer, TrainConfig, TrainJob, Validation
from tunix_rt.models import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def asked_of(tiny: BaseModel, sums: Dataset, cache: Path, **config: Any) -> tuple[TrainJob, Inputs]:
    chosen = TrainConfig(
        name="t",
        model="tiny",
        steps=4,
        epochs=2,
        tuning=Lora(rank=4, alpha=8),
        optimizer=Optimizer(learning_rate=0.01),
        checkpoints=Checkpoints(every_steps=2),
        **config,
    )
    named = {"model_digest": tiny.digest, "dataset": "tiny-sums", "dataset_digest": sums.manifest.digest}
    job = TrainJob(run_id="r", config=chosen, device="cpu", **named)
    return job, Inputs(model=tiny.folder, dataset=sums.path.parent, compile_cache=cache)


@pytest.fixture
def asked(tiny: BaseModel, sums: Dataset, compile_cache: Path) -> tuple[TrainJob, Inputs]:
    return asked_of(tiny, sums, compile_cache, batch=Batch(row_tokens=320, rows=2, accumulation=1))


def begin(folder: Path, **environment: str) -> list[BaseProcess]:
    """Two processes at work on the attempt."""
    address = f"127.0.0.1:{free_port()}"
    made = [engines.CONTEXT.Process(target=_member, args=(folder, address, index, environment)) for index in range(2)]
    for process in made:
        process.start()
    return made


def end(members: list[BaseProcess]) -> list[int | None]:
    """Their exit codes."""
    for process in members:
        process.join(300)
        process.kill()
    return [process.exitcode for process in members]


def _member(folder: Path, address: str, index: int, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with (folder / f"log-{index}.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from tunix_rt.engine import hosts, work  # noqa: PLC0415  # the fork server has it already

    if "EACH_FOR_ITSELF" in environment:
        hosts.agreed = lambda decide: decide()
    hosts.join(address, 2, index)
    sys.exit(work.main(folder))


def metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    return [row for _, row in values.read_jsonl(path)] if path.exists() else []


def logs(folder: Path) -> str:
    return "".join(log.read_text() for log in folder.glob("log*.txt"))


def stopped_and_resumed(folder: Path, job: TrainJob, inputs: Inputs, **environment: str) -> None:
    """SIGTERM reaches the first process only; both stop after the same step, and both go on from there."""
    jobs.write(folder, job, inputs)
    members = begin(folder, **environment)
    until(lambda: metrics(folder), 240.0)
    os.kill(members[0].pid or 0, signal.SIGTERM)
    assert end(members) == [143, 143], logs(folder)
    step = len(metrics(folder))
    checkpoints.verify(folder / "checkpoints" / str(step))
    assert end(begin(folder, **environment)) == [0, 0], logs(folder)
    events = [row for _, row in values.read_jsonl(folder / "events.jsonl")]
    assert [event["step"] for event in events if event["kind"] in ("stopped", "resumed")] == [step, step]
    assert [event["kind"] for event in events].count("done") == 1


def same(one: Path, other: Path) -> None:
    for a, b in zip(metrics(one), metrics(other), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-3)
        assert b.get("eval_loss") == (pytest.approx(a["eval_loss"], abs=1e-3) if "eval_loss" in a else None)
        assert (a["step"], a["tokens"], a["examples"]) == (b["step"], b["tokens"], b["examples"])
    tensors, others = (load_file(folder / "adapter" / "adapter.safetensors") for folder in (one, other))
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(others[name], tensor, atol=2e-3)


def test_two_hosts_train_what_one_does(asked: tuple[TrainJob, Inputs], tmp_path: Path) -> None:
    job, inputs = asked
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, mesh in ((one, Mesh()), (two, Mesh(fsdp=2, hosts=2))):
        folder.mkdir()
        jobs.write(folder, job.model_copy(update={"mesh": mesh, "max_steps": 2}), inputs)
    assert end(begin(two)) == [0, 0], logs(two)
    assert engines.end(one) == 0
    same(one, two)
    events = [[row["kind"] for _, row in values.read_jsonl(folder / "events.jsonl")] for folder in (one, two)]
    assert events[0] == events[1], "what the second process says is not in the run's events"
    assert values.read_json(two / "result.json")["adapter_digest"] == values.sha256_file(two / "adapter/adapter.safetensors")
    with pytest.raises(errors.Conflict, match=r"begun with mesh\.hosts 2, now it is 1"):
        identity.hold(two, job.model_copy(update={"mesh": Mesh(fsdp=2)}), models.open_folder(inputs.model), begun=True)


@pytest.mark.long
def test_two_hosts_with_two_devices_each_stop_together_and_go_on(
    tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, compile_cache: Path, tmp_path: Path
) -> None:
    """Rows over the hosts, heads over the devices of a host."""
    held_out = Validation(dataset="tiny-sums-eval", every_steps=2)
    job, inputs = asked_of(tiny, sums, compile_cache, batch=Batch(row_tokens=512, rows=2, accumulation=2), validation=held_out)
    job = job.model_copy(update={"validation_digest": unseen_sums.manifest.digest})
    inputs = inputs.model_copy(update={"validation": unseen_sums.path.parent})
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    stopped_and_resumed(two, job.model_copy(update={"mesh": Mesh(fsdp=2, tp=2, hosts=2)}), inputs, **TWO_DEVICES)
    jobs.write(one, job, inputs)
    assert engines.end(one) == 0
    same(one, two)
    assert sum("eval_loss" in row for row in metrics(two)) == 2


@pytest.mark.long
def test_hosts_that_decide_each_for_itself_wait_for_one_another(asked: tuple[TrainJob, Inputs], tmp_path: Path) -> None:
    """Negative control for the test above: the first saves a checkpoint while the second is at the next step."""
    job, inputs = asked
    jobs.write(tmp_path, job.model_copy(update={"mesh": Mesh(fsdp=2, hosts=2)}), inputs)
    members = begin(tmp_path, EACH_FOR_ITSELF="1")
    until(lambda: metrics(tmp_path), 240.0)
    os.kill(members[0].pid or 0, signal.SIGTERM)
    members[0].join(60)
    alive = [process.is_alive() for process in members]
    for process in members:
        process.kill()
    assert any(alive) or [process.exitcode for process in members] != [143, 143]


def test_devices_that_are_not_dealt_out_evenly_are_refused() -> None:
    with pytest.raises(errors.Invalid, match=r"3 devices .* over 2 'hosts'"):
        Mesh.parse({"fsdp": 3, "hosts": 2}, source="--mesh")


def test_a_mesh_on_other_hosts_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    placement.check(Mesh(fsdp=2), Batch(rows=2), Lora())
    with pytest.raises(errors.Invalid, match="on 2 hosts uses 2 devices, and 1 hosts with 2 are here"):
        placement.check(Mesh(fsdp=2, hosts=2), Batch(rows=2), Lora())


def test_without_a_cluster_several_hosts_are_refused_by_name(
    asked: tuple[TrainJob, Inputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    job, inputs = asked
    for device, said in (
        ("cpu", "needs a Ray cluster: start a worker with --launcher ray"),
        ("tpu", "TPU hosts are not offered"),
    ):
        jobs.write(tmp_path, job.model_copy(update={"mesh": Mesh(fsdp=2, hosts=2), "device": device}), inputs)
        assert engine.main([str(tmp_path)]) == 1
        event = [row for _, row in values.read_jsonl(tmp_path / "events.jsonl")][-1]
        assert (event["kind"], said in event["message"]) == ("failed", True)
