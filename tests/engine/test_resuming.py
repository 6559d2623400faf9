"""A run that is stopped leaves a verified checkpoint; going on from it equals never having stopped."""

import itertools
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import psutil
import pytest
from flax import nnx
from tunix.sft.checkpoint_manager import CheckpointManager

import counted
from tunix_rt import errors, jobs, models, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import checkpoints, identity, packing, trainer, training, weights
from tunix_rt.engine.stopping import Deadline, OutOfTime, Stopped
from tunix_rt.engine.trainer import MeasuredTrainer
from tunix_rt.jobs import Batch, Checkpoints, Compute, Events, Full, Inputs, Lora, Optimizer, TrainConfig, TrainJob
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
    return stop_after_two(job, tmp_path_factory.mktemp("stopped"))


def stop_after_two(job: Any, folder: Path) -> Path:
    """A run stopped after its second step."""
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


OTHERWISE: dict[str, dict[str, Any]] = {
    "full": {"tuning": Full()},
    "bfloat16": {"compute": Compute(dtype="bfloat16")},
    "nf4": {"tuning": Lora(rank=4, alpha=8, quantize="nf4")},
}


@pytest.mark.parametrize("changes", OTHERWISE.values(), ids=OTHERWISE)
def test_a_run_that_computes_otherwise_resumes_to_the_bit_too(
    job: Any, whole: tuple[Path, dict[str, Any]], tmp_path: Path, changes: dict[str, Any]
) -> None:
    asked, inputs = job
    asked = asked.model_copy(update={"config": asked.config.model_copy(update=changes)})
    for name in ("never", "once"):
        (tmp_path / name).mkdir()
    expected = training.train(asked, inputs, tmp_path / "never")
    stop_after_two((asked, inputs), tmp_path / "once")
    made = training.train(asked, inputs, tmp_path / "once")
    assert losses(tmp_path / "once") == losses(tmp_path / "never") != losses(whole[0])
    assert made["adapter_digest"] == expected["adapter_digest"] != whole[1]["adapter_digest"]


# ── negative controls: what a resume forgets is seen in the losses ──────────────────────────────────────────────────


def forget_optimizer(patch: pytest.MonkeyPatch) -> None:
    restore = CheckpointManager.maybe_restore
    patch.setattr(
        CheckpointManager, "maybe_restore", lambda self, model, _optimizer, **rest: restore(self, model, None, **rest)
    )


def forget_random_state(patch: pytest.MonkeyPatch) -> None:
    """The order of examples is drawn anew."""
    key = packing._key
    patch.setattr(packing, "_key", lambda example, seed, epoch: key(example, seed + 1, epoch))


def forget_step_of_schedule(patch: pytest.MonkeyPatch) -> None:
    _after_restoring(patch, lambda path: path[-1] == "count", 0)


def forget_data_cursor(patch: pytest.MonkeyPatch) -> None:
    def from_the_start(self: Any) -> Any:
        yield from itertools.repeat(None, self.iter_steps)
        yield from (micro for step in self._plan[: len(self._plan) - self._begun_at] for micro in step.micro)

    patch.setattr(MeasuredTrainer, "batches", from_the_start)


def forget_accumulation(patch: pytest.MonkeyPatch) -> None:
    """As if a micro-batch of the step had been seen already."""
    _after_restoring(patch, lambda path: path[-1] == "mini_step", 1)


def _after_restoring(patch: pytest.MonkeyPatch, chosen: Any, value: int) -> None:
    resume = MeasuredTrainer.resume

    def broken(self: Any, earlier: Any) -> None:
        resume(self, earlier)
        found = [v for path, v in nnx.to_flat_state(nnx.state(self.optimizer, nnx.optimizer.OptState)) if chosen(path)]
        assert found
        for variable in found:
            variable.set_value(jnp.full_like(variable[...], value))

    patch.setattr(MeasuredTrainer, "resume", broken)


FORGOTTEN = {
    "optimizer": forget_optimizer,
    "random state": forget_random_state,
    "step of the schedule": forget_step_of_schedule,
    "data cursor": forget_data_cursor,
    "accumulation": forget_accumulation,
}


@pytest.mark.parametrize("broken", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_resume_that_forgets_something_is_seen(
    job: Any, stopped: Path, whole: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    broken(monkeypatch)
    training.train(*job, stopped)
    assert losses(stopped)[:2] == losses(whole[0])[:2]
    assert losses(stopped)[2:] != losses(whole[0])[2:]


# ── a resume that asks for something else ───────────────────────────────────────────────────────────────────────────


def another_model(tiny: BaseModel, folder: Path, file: str) -> BaseModel:
    """The tiny model with a space at the end of one file, under a manifest of its own."""
    shutil.copytree(tiny.folder, folder)
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    files = {**tiny.manifest.files, file: values.sha256_file(folder / file)}
    values.write_json(folder / "manifest.json", {**tiny.manifest.model_dump(mode="json"), "files": files})
    return models.open_folder(folder)


def changed(job: tuple[TrainJob, Inputs], tiny: BaseModel, other: Dataset, what: str, folder: Path) -> Any:
    asked, inputs = job
    config = asked.config
    if what == "dataset":
        asked = asked.model_copy(update={"dataset": "other", "dataset_digest": other.manifest.digest})
        return asked, inputs.model_copy(update={"dataset": other.path.parent})
    if what in ("tokenizer", "model"):
        model = another_model(tiny, folder, "tokenizer.json" if what == "tokenizer" else "config.json")
        return asked.model_copy(update={"model_digest": model.digest}), inputs.model_copy(update={"model": model.folder})
    changes: dict[str, dict[str, Any]] = {
        "tuning.rank": {"tuning": Lora(rank=8, alpha=8)},
        "optimizer.learning_rate": {"optimizer": Optimizer(learning_rate=0.02)},
        "batch.rows": {"batch": config.batch.model_copy(update={"rows": 2})},
        "seed": {"seed": 7},
    }
    return asked.model_copy(update={"config": config.model_copy(update=changes[what])}), inputs


@pytest.mark.parametrize(
    "field", ["dataset", "tokenizer", "model", "tuning.rank", "optimizer.learning_rate", "batch.rows", "seed"]
)
def test_a_resume_that_asks_for_something_else_is_refused_by_field(
    job: Any, tiny: BaseModel, unseen_sums: Dataset, stopped: Path, tmp_path: Path, field: str
) -> None:
    before = losses(stopped)
    with pytest.raises(errors.Conflict, match="was begun with") as refused:
        training.train(*changed(job, tiny, unseen_sums, field, tmp_path / "model"), stopped)
    assert str(refused.value.details["field"]).startswith(field)
    assert losses(stopped) == before


def test_a_resume_under_other_library_versions_is_refused(job: Any, stopped: Path) -> None:
    path = stopped / identity.FILE
    begun = values.read_json(path)
    begun["version"]["jax"] = "0.0.1"
    values.write_json(path, begun)
    with pytest.raises(errors.Conflict, match=r"version\.jax '0\.0\.1'"):
        training.train(*job, stopped)
    path.unlink()
    with pytest.raises(errors.Tampered, match="identity"):
        training.train(*job, stopped)


def test_a_resume_with_products_of_another_precision_is_refused(job: Any, stopped: Path) -> None:
    before = losses(stopped)
    jax.config.update("jax_default_matmul_precision", "bfloat16")
    try:
        with pytest.raises(errors.Conflict, match=r"matmul_precision None, now .*bfloat16"):
            training.train(*job, stopped)
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    assert losses(stopped) == before


# ── time limits ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_out_of_time_leaves_a_checkpoint_and_its_adapter_and_is_resumed(
    job: Any, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """The limit is over already, so that the first step is the last."""
    asked, inputs = job
    with pytest.raises(OutOfTime) as told:
        training.train(asked, inputs.model_copy(update={"seconds": 0.001}), tmp_path)
    assert told.value.details["step"] == 1
    assert told.value.engine_code == jobs.EXIT_CODES["timeout"]
    checkpoints.verify(tmp_path / "checkpoints" / "1")
    adapter = values.sha256_file(tmp_path / "adapter" / weights.TENSORS)
    assert adapter == values.read_json(tmp_path / "adapter" / weights.CONFIG)["sha256"]
    made = training.train(asked, inputs, tmp_path)
    assert (losses(tmp_path), made["adapter_digest"]) == (losses(whole[0]), whole[1]["adapter_digest"])
    assert made["adapter_digest"] != adapter


def test_the_limit_leaves_room_for_a_step_its_checkpoint_and_the_adapter() -> None:
    since = time.time() - psutil.Process().create_time()
    assert not Deadline(None).before_another(1e9, 1e9)
    assert not Deadline(since + 100).before_another(step_seconds=50, saving_seconds=20)
    assert Deadline(since + 100).before_another(step_seconds=50, saving_seconds=30)


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


def undetected(step: Path, counts: tuple[int, int, int]) -> int:
    """How many of so many bit flips, truncations, and missing or extra files `verify` lets pass."""
    rng = random.Random(sum(counts))
    files = [path for path in sorted(step.rglob("*")) if path.is_file() and path.name != checkpoints.MANIFEST]
    sized = [path for path in files if path.stat().st_size]

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])

    damages = [flip] * counts[0] + [cut] * counts[1] + [Path.unlink, add] * -(-counts[2] // 2)
    passed = 0
    for damage in damages:
        path = rng.choice(sized)
        kept = path.read_bytes()
        damage(path)
        try:
            checkpoints.verify(step)
            passed += 1
        except errors.Tampered:
            pass
        (path.parent / "extra").unlink(missing_ok=True)
        path.write_bytes(kept)
    checkpoints.verify(step)
    return passed


def add(path: Path) -> None:
    (path.parent / "extra").write_bytes(b"x")


def test_every_damage_to_a_checkpoint_is_found(stopped: Path) -> None:
    assert undetected(stopped / "checkpoints" / "2", (20, 10, 5)) == 0


@pytest.mark.long
def test_every_damage_to_a_checkpoint_is_found_at_length(stopped: Path) -> None:
    """Row C4 at length; its control is below."""
    flips, truncations, files = 200, 50, 20
    passed = undetected(stopped / "checkpoints" / "2", (flips, truncations, files))
    counted.record("damaged-checkpoints", "C4", flips=flips, truncations=truncations, missing_or_extra=files, not_found=passed)
    assert passed == 0


def test_a_manifest_of_sizes_would_let_flipped_bits_pass(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    monkeypatch.setattr(values, "sha256_file", lambda path: str(path.stat().st_size))
    step = stopped / "checkpoints" / "2"
    checkpoints.seal(step)
    assert undetected(step, (20, 10, 5)) >= 15


def test_without_verification_a_damaged_checkpoint_would_be_used(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the tests below."""
    flip_a_bit(stopped / "checkpoints" / "2")
    assert checkpoints.usable(Path(shutil.copytree(stopped, stopped.parent / "other")) / "checkpoints", Events(stopped)) == 1
    monkeypatch.setattr(checkpoints, "verify", lambda _folder: None)
    assert checkpoints.usable(stopped / "checkpoints", Events(stopped)) == 2


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


def without_manifests(folder: Path) -> None:
    for path in folder.glob("checkpoints/*/sha256.json"):
        path.unlink()


def without_manifests_and_metrics(folder: Path) -> None:
    without_manifests(folder)
    (folder / "metrics.jsonl").unlink()


def without_checkpoints(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")


def with_flipped_bits(folder: Path) -> None:
    for path in folder.glob("checkpoints/*/sha256.json"):
        flip_a_bit(path.parent)


@pytest.mark.parametrize("damage", [with_flipped_bits, without_manifests, without_manifests_and_metrics, without_checkpoints])
def test_when_no_checkpoint_verifies_nothing_is_started_or_overwritten(job: Any, stopped: Path, damage: Any) -> None:
    damage(stopped)
    kept = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(errors.Tampered):
        training.train(*job, stopped)
    now = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    said = stopped / "events.jsonl"
    assert now.pop(said).startswith(kept.pop(said))
    assert now == kept


def test_a_run_whose_first_save_was_torn_begins_anew(job: Any, stopped: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    """Negative control for the test above: nothing was complete, and there is nothing to hide."""
    without_manifests(stopped)
    shutil.rmtree(stopped / "checkpoints" / "2")
    training.kept_metrics(stopped / "metrics.jsonl", 1)
    made = training.train(*job, stopped)
    assert (losses(stopped), made["adapter_digest"]) == (losses(whole[0]), whole[1]["adapter_digest"])
    assert [path.name for path in (stopped / "damaged").iterdir()] == ["1-0"]


@pytest.mark.parametrize("keep", [2, 1])
def test_a_kill_before_the_newest_checkpoint_is_sealed_leaves_the_one_before(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """The control keeps one, which no config can ask for: Orbax has removed the older by then."""
    asked, inputs = job
    kept = Checkpoints.model_construct(every_steps=1, keep=keep)
    often = asked.model_copy(update={"config": asked.config.model_copy(update={"checkpoints": kept})})
    seal = checkpoints.seal

    def killed(folder: Path) -> None:
        if folder.name == "3":
            raise KeyboardInterrupt
        seal(folder)

    monkeypatch.setattr(checkpoints, "seal", killed)
    with pytest.raises(KeyboardInterrupt):
        training.train(often, inputs, tmp_path)
    if keep == 2:
        assert checkpoints.usable(tmp_path / "checkpoints", Events(tmp_path)) == 2
    else:
        with pytest.raises(errors.Tampered, match="has been at step 3"):
            checkpoints.usable(tmp_path / "checkpoints", Events(tmp_path))


def test_fewer_than_two_checkpoints_are_refused() -> None:
    assert Checkpoints.parse({"keep": 2}, source="x.toml").keep == 2
    with pytest.raises(errors.Invalid, match=r"keep.*greater than or equal to 2"):
        Checkpoints.parse({"keep": 1}, source="x.toml")


def test_metrics_behind_the_checkpoint_are_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "seconds": 1.0}) + "\n" for step in (1, 2, 3)))
    assert [row["step"] for row in training.kept_metrics(path, 2)] == [1, 2]
    assert len(path.read_text().splitlines()) == 2
    with pytest.raises(errors.Tampered):
        training.kept_metrics(path, 3)
