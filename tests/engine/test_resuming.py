"""A run that is stopped leaves a verified checkpoint; going on from it equals never having stopped."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints, trainer, training
from tunix_rt.engine.stopping import Stopped
from tunix_rt.jobs import Batch, Checkpoints, Events, Inputs, Lora, Optimizer, TrainConfig, TrainJob
from tunix_rt.models import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
STEPS = 4


@pytest.fixture(scope="module")
def job(tiny: BaseModel, sums: Dataset) -> tuple[TrainJob, Inputs]:
    config = TrainConfig(
        name="t",
        model="tiny",
        epochs=3,
        steps=STEPS,
        tuning=Lora(rank=4, alpha=8),
        batch=Batch(row_tokens=320, rows=1, accumulation=2),
        optimizer=Optimizer(learning_rate=0.01),
        checkpoints=Checkpoints(every_steps=100),
    )
    asked = TrainJob(
        run_id="r", config=config, model_digest=tiny.digest, dataset="tiny-sums", dataset_digest=sums.manifest.digest
    )
    return asked, Inputs(model=tiny.folder, dataset=sums.path.parent)


def losses(folder: Path) -> list[tuple[int, float, float, float]]:
    rows = [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]
    return [(row["step"], row["loss"], row["lr"], row["grad_norm"]) for row in rows]


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may go on with."""
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))


@pytest.fixture(scope="module")
def stopped_once(job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after its second step."""
    folder = tmp_path_factory.mktemp("stopped")
    counted = itertools.count(1)

    class Second:
        requested = property(lambda _: next(counted) == 2)

        def hold(self) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "stop", Second())
        with pytest.raises(Stopped) as told:
            training.train(*job, folder)
    assert told.value.details["step"] == 2
    checkpoints.verify(folder / "checkpoints" / "2")
    return folder


@pytest.fixture(scope="module")
def whole(job: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same run, uninterrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, training.train(*job, folder)


def test_a_resumed_run_equals_an_uninterrupted_one(job: Any, stopped: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = whole
    assert [row[0] for row in losses(stopped)] == [1, 2]
    made = training.train(*job, stopped)
    assert losses(stopped) == losses(folder)
    for key in ("adapter_digest", "loss", "first_loss", "steps", "tokens", "trained_tokens"):
        assert made[key] == expected[key], key
    assert [event["kind"] for event in events(stopped)].count("resumed") == 1


def test_without_the_optimizers_state_the_losses_would_differ(
    job: Any, stopped: Path, whole: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same resume with a fresh optimizer."""
    from tunix.sft.checkpoint_manager import CheckpointManager  # noqa: PLC0415

    restore = CheckpointManager.maybe_restore
    monkeypatch.setattr(
        CheckpointManager, "maybe_restore", lambda self, model, _optimizer, **rest: restore(self, model, None, **rest)
    )
    training.train(*job, stopped)
    assert losses(stopped)[:2] == losses(whole[0])[:2]
    assert losses(stopped)[3:] != losses(whole[0])[3:]


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_newer_checkpoint_that_is_not_complete_is_put_aside_and_named(stopped: Path) -> None:
    torn = stopped / "checkpoints" / "3"
    torn.mkdir()
    (torn / "data").write_bytes(b"half")
    assert checkpoints.usable(stopped / "checkpoints", Events(stopped)) == 2
    assert not torn.exists()
    assert (stopped / "damaged" / "3-0" / "data").read_bytes() == b"half"
    assert events(stopped)[-1]["step"] == 3


def flip_a_bit(step: Path) -> None:
    file = max((path for path in step.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_damaged_newest_checkpoint_costs_only_its_steps(job: Any, stopped: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    flip_a_bit(stopped / "checkpoints" / "2")
    made = training.train(*job, stopped)
    assert {event["kind"]: event.get("step") for event in events(stopped)}["resumed"] == 1
    assert (losses(stopped), made["adapter_digest"]) == (losses(whole[0]), whole[1]["adapter_digest"])


def test_when_no_checkpoint_verifies_nothing_is_started_or_overwritten(job: Any, stopped: Path) -> None:
    kept = sorted(path for path in (stopped / "checkpoints").iterdir() if path.name.isdigit())
    for step in kept:
        flip_a_bit(step)
    before = losses(stopped)
    with pytest.raises(errors.Tampered):
        training.train(*job, stopped)
    assert losses(stopped) == before
    assert sorted(path for path in (stopped / "checkpoints").iterdir() if path.name.isdigit()) == kept


def test_metrics_behind_the_checkpoint_are_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "seconds": 1.0}) + "\n" for step in (1, 2, 3)))
    assert [row["step"] for row in training.kept_metrics(path, 2)] == [1, 2]
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(errors.Tampered):
        training.kept_metrics(path, 3)
