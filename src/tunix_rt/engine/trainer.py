"""Supervised fine-tuning with Tunix's `PeftTrainer`: our batches, our loss, a metrics line for every optimizer step."""

import functools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from tunix.sft.peft_trainer import PeftTrainer, TrainingConfig

from tunix_rt import errors, traces, values
from tunix_rt.engine import checkpoints, devices, loss, masks, packing, weights
from tunix_rt.engine.inputs import opened
from tunix_rt.engine.packing import MicroBatch, StepBatch
from tunix_rt.engine.prompts import Prompts
from tunix_rt.engine.stopping import stop
from tunix_rt.jobs import Events, Inputs, Optimizer, TrainConfig, TrainJob


def train(job: TrainJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Run the job; returns the facts of `result.json`. Leaves metrics, checkpoints and the adapter in `attempt`."""
    events = Events(attempt)
    started = time.monotonic()
    events.emit("phase", name="loading")
    base, dataset = opened(inputs, model=job.model_digest, dataset=job.dataset_digest)
    prompts = Prompts(base.folder, job.config.instruction)
    examples = [masks.conforming(prompts, trace) for trace in traces.read(dataset.path)]
    plan = packing.plan(examples, job.config.batch, job.config.seed, job.config.epochs)[: job.config.steps]
    steps = plan[: job.max_steps]
    events.emit("plan", steps=len(steps), examples=len(examples), tokens=sum(step.useful for step in steps))
    model = weights.load(base.folder)
    if job.config.tuning.method == "lora":
        model = weights.add_lora(model, job.config.tuning, job.config.seed)
    resumed = checkpoints.usable(attempt / "checkpoints", events) or 0
    earlier = kept_metrics(attempt / "metrics.jsonl", resumed)
    if resumed:
        events.emit("resumed", step=resumed)
    trainer = make(model, job.config, len(plan), steps, attempt)
    trainer.resume(earlier)
    events.emit("phase", name="training")
    trainer.train(_micro_batches(steps))
    events.emit("phase", name="saving")
    checkpoints.verify(attempt / "checkpoints" / str(len(steps)))
    adapter = weights.save_adapter(model, job.config.tuning, base.digest, attempt / "adapter")
    return {
        "steps": len(steps),
        "loss": trainer.last_loss,
        "first_loss": trainer.first_loss,
        "adapter_digest": adapter,
        "mask_digest": masks.digest(examples),
        "trained_parameters": sum(value.size for value in weights.trained(model, job.config.tuning).values()),
        "examples": sum(len(step.ids) for step in steps),
        "tokens": sum(step.useful for step in steps),
        "trained_tokens": sum(step.trained for step in steps),
        "padding_share": _padding_share(steps),
        "useful_tokens_per_second": trainer.rate(steps),
        "seconds": round(time.monotonic() - started + sum(row["seconds"] for row in earlier), 3),
        "peak_memory_bytes": devices.peak_memory(),
        "device": devices.name(),
    }


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


def _padding_share(steps: list[StepBatch]) -> float:
    padding = sum(step.padding for step in steps)
    return round(padding / (padding + sum(step.useful for step in steps)), 4)


def _micro_batches(steps: list[StepBatch]) -> Iterator[MicroBatch]:
    for step in steps:
        yield from step.micro


def make(model: nnx.Module, config: TrainConfig, total: int, steps: list[StepBatch], attempt: Path) -> "MeasuredTrainer":
    """`total` is the length of the whole schedule, which a run cut short does not change."""
    schedule = learning_rate(config.optimizer, total)
    root = attempt / "checkpoints"
    trainer = MeasuredTrainer(
        model,
        optimizer(config.optimizer, schedule),
        TrainingConfig(
            eval_every_n_steps=sys.maxsize,
            gradient_accumulation_steps=config.batch.accumulation if config.batch.accumulation > 1 else None,
            checkpoint_root_directory=str(root),
            checkpointing_options=ocp.CheckpointManagerOptions(
                save_interval_steps=config.checkpoints.every_steps,
                max_to_keep=config.checkpoints.keep,
                enable_async_checkpointing=False,
            ),
        ),
    )
    _commit(trainer)
    trainer.measure(attempt / "metrics.jsonl", steps, schedule)
    trainer.checkpoint_manager = checkpoints.VerifiedCheckpoints(trainer.checkpoint_manager, root, lambda: stop.requested)
    trainer.with_loss_fn(loss.lean_loss).with_gen_model_input_fn(loss.model_input)
    return trainer


def _commit(trainer: PeftTrainer) -> None:
    """Bind every array to the device, as the outputs of a step are: else JAX compiles the step a second time for them."""
    for holder in (trainer.model, trainer.optimizer):
        nnx.update(holder, jax.device_put(nnx.state(holder), jax.devices()[0]))


def learning_rate(config: Optimizer, total: int) -> optax.Schedule:
    """Rate at optimizer step k (from 0): linear up to the peak over the warm-up, then cosine down to the final share."""
    warmup = max(1, round(config.warmup * total))
    rise = optax.linear_schedule(config.learning_rate / warmup, config.learning_rate, warmup - 1)
    fall = optax.cosine_decay_schedule(config.learning_rate, max(1, total - warmup), alpha=config.final)
    return optax.join_schedules([rise, fall], [warmup])


class NormState(NamedTuple):
    norm: jax.Array


def record_norm() -> optax.GradientTransformation:
    """Keeps the global norm of the gradient an optimizer step is made from (all micro-batches, before clipping)."""

    def update(gradient: Any, _state: NormState, _params: Any = None) -> tuple[Any, NormState]:
        return gradient, NormState(optax.global_norm(gradient))

    return optax.GradientTransformation(lambda _params: NormState(jnp.zeros(())), update)


def recorded_norm(optimizer: nnx.Optimizer) -> float:
    """The norm that `record_norm` kept, wherever in the optimizer's state it is."""
    flat = nnx.to_flat_state(nnx.state(optimizer, nnx.optimizer.OptState))
    return float(next(variable[...] for path, variable in flat if path[-1] == "norm"))


def optimizer(config: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    return optax.chain(
        record_norm(),
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(schedule, b1=config.beta1, b2=config.beta2, weight_decay=config.weight_decay),
    )


class MeasuredTrainer(PeftTrainer):  # type: ignore[misc]  # Tunix ships no types
    """`PeftTrainer` that writes a line to `metrics.jsonl` as each step ends and stops on a loss that is not finite."""

    _jitted_train_step_fn: Any
    _jitted_eval_step_fn: Any

    def measure(self, path: Path, steps: list[StepBatch], schedule: optax.Schedule) -> None:
        self._path = path
        self._plan = steps
        self._schedule = schedule
        self._micro_losses: list[float] = []
        self._step_started = time.monotonic()
        self._seconds: list[float] = []
        self._begun_at = 0
        self.first_loss: float | None = None
        self.last_loss: float | None = None

    def resume(self, earlier: list[dict[str, Any]]) -> None:
        """Go on from the step Tunix restored, behind which are the metrics `earlier`."""
        if self.train_steps != len(earlier):
            raise errors.Failed(f"step {self.train_steps} was restored, the metrics end at step {len(earlier)}.")
        self._begun_at = len(earlier)
        if earlier:
            self.first_loss, self.last_loss = float(earlier[0]["loss"]), float(earlier[-1]["loss"])

    def jit_train_and_eval_step(self, skip_jit: bool = False, cache_nnx_graph: bool = False) -> tuple[Any, Any]:  # noqa: ARG002
        """Tunix's, but the model is donated like the optimizer: else every step copies the frozen weights."""
        if self._jitted_train_step_fn is None:
            step = nnx.jit(self.create_train_step_fn(), donate_argnames=("model", "optimizer"))
            self._jitted_train_step_fn = functools.partial(nnx.cached_partial(step, self.model, self.optimizer))
            evaluate = nnx.jit(self.create_eval_step_fn())
            self._jitted_eval_step_fn = functools.partial(nnx.cached_partial(evaluate, self.model))
        return self._jitted_train_step_fn, self._jitted_eval_step_fn

    def _prepare_inputs(self, input_data: MicroBatch) -> MicroBatch:
        """Tunix's hook before each micro-batch: the first one starts the step's clock."""
        if not self._micro_losses:
            self._step_started = time.monotonic()
        return input_data

    def _post_process_train_step(self, aux: Any) -> None:  # noqa: ARG002
        """Tunix's hook after each micro-batch: the buffered loss is the device value just computed."""
        self._micro_losses.append(float(self._buffered_train_metrics.losses[-1]))
        if len(self._micro_losses) < (self.config.gradient_accumulation_steps or 1):
            return
        index = self._train_steps
        value = float(np.mean(self._micro_losses))
        self._write_line(index, value, float(recorded_norm(self.optimizer)))
        self._micro_losses = []
        if not np.isfinite(value):
            first = ", ".join(trace[:12] for trace in self._plan[index].ids[:3])
            raise errors.Failed(
                f"the loss of step {index + 1} is {value}; its first traces are {first}. Lower 'optimizer.learning_rate'.",
                reason="nan_loss",
                step=index + 1,
                traces=list(self._plan[index].ids),
            )

    def _write_line(self, index: int, value: float, norm: float) -> None:
        seconds = time.monotonic() - self._step_started
        self._seconds.append(seconds)
        batch = self._plan[index]
        self.first_loss = value if self.first_loss is None else self.first_loss
        self.last_loss = value
        line = {
            "step": index + 1,
            "loss": value if np.isfinite(value) else str(value),
            "lr": float(self._schedule(index)),
            "grad_norm": norm if np.isfinite(norm) else str(norm),
            "tokens": batch.useful,
            "trained_tokens": batch.trained,
            "padding_tokens": batch.padding,
            "examples": len(batch.ids),
            "seconds": round(seconds, 4),
            "useful_tokens_per_second": round(batch.useful / seconds, 1),
        }
        with self._path.open("ab") as file:
            file.write(values.jsonl_line(line))
        stop.hold()

    def rate(self, steps: list[StepBatch]) -> float | None:
        """Useful tokens per second, the compiling first step of this process left out; None when there was only that."""
        later = sum(self._seconds[1:])
        return round(sum(step.useful for step in steps[self._begun_at + 1 :]) / later, 1) if later else None
