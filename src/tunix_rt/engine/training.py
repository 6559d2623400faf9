"""A training job from its inputs to its result: what is read, planned, resumed, trained and left behind."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

from tunix_rt import errors, estimates, values
from tunix_rt.engine import checkpoints, corpus, devices, hosts, identity, masks, packing, placement, trainer, weights
from tunix_rt.engine.corpus import Corpus
from tunix_rt.engine.held_out import HeldOut
from tunix_rt.engine.packing import StepBatch
from tunix_rt.engine.stopping import Deadline, OutOfTime, stop
from tunix_rt.engine.trainer import MeasuredTrainer
from tunix_rt.jobs import Batch, Events, Inputs, Mesh, TrainConfig, TrainJob
from tunix_rt.models import shapes


class Plan(NamedTuple):
    """`steps` is what the run does, `total` the length of its whole schedule, which a run cut short does not change."""

    steps: list[StepBatch]
    total: int
    batch: Batch


def train(job: TrainJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Run the job; returns the facts of `result.json`. Leaves metrics, checkpoints and the adapter in `attempt`."""
    events, started, deadline = Events(attempt), time.monotonic(), Deadline(inputs.seconds, stop.began)
    events.emit("phase", name="loading")
    material = corpus.read(job, inputs, events)
    plan = planned(job.config, job.max_steps, material, job.mesh)
    placement.check(job.mesh, plan.batch, job.config.tuning)
    events.emit(
        "plan",
        steps=len(plan.steps),
        total=plan.total,
        examples=sum(len(step.ids) for step in plan.steps),
        tokens=sum(step.useful for step in plan.steps),
        rows=plan.batch.rows,
        accumulation=plan.batch.accumulation,
        device=devices.name(),
    )
    resumed = hosts.agreed(lambda: checkpoints.usable(attempt / "checkpoints", events) or 0)
    identity.hold(attempt, job, material.base, begun=resumed > 0)
    earlier = kept_metrics(attempt / "metrics.jsonl", resumed)
    if resumed:
        events.emit("resumed", step=resumed)
    with placement.on(job.mesh) as mesh:
        run = _trainer(job, material, plan, attempt, mesh, deadline)
        run.resume(earlier)
        events.emit("phase", name="training")
        adapter = _to_the_end(run, job, material, attempt, events)
    return _facts(run, job, material, plan, adapter) | {
        "seconds": round(time.monotonic() - started + sum(row["seconds"] for row in earlier), 3),
    }


def planned(config: TrainConfig, max_steps: int | None, material: Corpus, mesh: Mesh = estimates.ONE_DEVICE) -> Plan:
    """The steps of a run, its batch chosen to fit `memory_gb` if there is one. Nothing is shared in a row that is longer than a
    model's sliding window, which counts along the row."""
    shape, batch = shapes.of_folder(material.base.folder), config.batch
    if config.memory_gb is not None:
        batch = estimates.fitting(shape, config, material.trained_share(batch), mesh)
    if shape.window is not None and shape.window < batch.row_tokens:
        batch = batch.model_copy(update={"share_prefix": False})
    steps = packing.curriculum(material.parts, batch, config.seed)[: config.steps]
    return Plan(steps[:max_steps], len(steps), batch)


def _trainer(
    job: TrainJob, material: Corpus, plan: Plan, attempt: Path, mesh: jax.sharding.Mesh | None, deadline: Deadline
) -> MeasuredTrainer:
    config = job.config.model_copy(update={"batch": plan.batch})
    model = weights.load(material.base.folder)
    if config.tuning.method == "lora":
        model = weights.add_lora(model, config.tuning, config.seed)
    placement.arrange(model, config.compute, frozen_base=config.tuning.method == "lora")
    if mesh is not None:
        placement.commit(model, mesh)
    held_out = None
    if config.validation is not None and material.held_out is not None:
        micro = packing.held_out(material.held_out, plan.batch)
        held_out = HeldOut(config.validation, micro, len(plan.steps), attempt / "best")
    made = trainer.make(model, config, plan.total, plan.steps, attempt, held_out=held_out, mesh=mesh, deadline=deadline)
    made.base_digest = material.base.digest
    return made


def _to_the_end(run: MeasuredTrainer, job: TrainJob, material: Corpus, attempt: Path, events: Events) -> str:
    """Train and leave the adapter; returns its digest. Out of time, the adapter is left too before `OutOfTime` goes on."""
    tuning, base = job.config.tuning, material.base.digest
    try:
        run.train(run.batches())
    except OutOfTime:
        weights.save_adapter(run.model, tuning, base, attempt / "adapter")
        raise
    events.emit("phase", name="saving")
    checkpoints.verify(attempt / "checkpoints" / str(run.train_steps))
    best = run.held_out.adapter() if run.held_out else None
    if best is None:
        return weights.save_adapter(run.model, tuning, base, attempt / "adapter")
    for name in (weights.TENSORS, weights.CONFIG):
        values.write_bytes(attempt / "adapter" / name, (best / name).read_bytes())
    return values.sha256_file(attempt / "adapter" / weights.TENSORS)


def _facts(run: MeasuredTrainer, job: TrainJob, material: Corpus, plan: Plan, adapter: str) -> dict[str, Any]:
    done = plan.steps[: run.train_steps]
    facts = {
        "steps": len(done),
        "loss": run.last_loss,
        "first_loss": run.first_loss,
        "adapter_digest": adapter,
        "mask_digest": masks.digest(material.examples),
        "trained_parameters": sum(value.size for value in weights.trained(run.model, job.config.tuning).values()),
        "examples": sum(len(step.ids) for step in done),
        "tokens": sum(step.useful for step in done),
        "trained_tokens": sum(step.trained for step in done),
        "shared_tokens": sum(step.spared for step in done),
        "padding_share": padding_share(done),
        "useful_tokens_per_second": run.rate(done),
        "peak_memory_bytes": devices.peak_memory(),
        "peak_device_memory_bytes": devices.peak_device_memory(),
        "device": devices.name(),
        "rows": plan.batch.rows,
        "accumulation": plan.batch.accumulation,
        **{what: len(names) for what, names in material.too_long.items()},
        "stages": _lineage(material, done) if job.config.stages else [],
    }
    return facts | (run.held_out.facts() if run.held_out else {})


def _lineage(material: Corpus, done: list[StepBatch]) -> list[dict[str, Any]]:
    return [
        {
            "dataset": stage.dataset,
            "dataset_digest": digest,
            "epochs": stage.epochs,
            "examples": sum(len(step.ids) for step in done if step.stage == number),
            "steps": sum(step.stage == number for step in done),
        }
        for number, (stage, digest) in enumerate(zip(material.stages, material.digests, strict=True))
    ]


def kept_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines up to the step a run goes on from; what was written after it is cut off, for it is done again."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)[:step]
    values.write_bytes(path, b"".join(lines))
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    if [row["step"] for row in rows] != list(range(1, step + 1)):
        raise errors.Tampered(f"{path} does not hold steps 1 to {step}, which the checkpoint has behind it.", path=str(path))
    return rows


def padding_share(steps: list[StepBatch]) -> float:
    """Of the places in the rows."""
    return round(sum(step.padding for step in steps) / sum(step.batch.step_rows * step.batch.row_tokens for step in steps), 4)
