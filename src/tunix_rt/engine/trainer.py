"""Supervised fine-tuning with Tunix's `PeftTrainer`: our batches, our loss, a metrics line for every optimizer step."""

import functools
import itertools
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import PartitionSpec
from tunix.sft import sharding_utils
from tunix.sft.peft_trainer import PeftTrainer, TrainingConfig

from tunix_rt import errors, values
from tunix_rt.engine import hosts, loss, placement
from tunix_rt.engine.checkpoints import VerifiedCheckpoints
from tunix_rt.engine.held_out import HeldOut
from tunix_rt.engine.packing import MicroBatch, StepBatch
from tunix_rt.engine.stopping import Deadline, OutOfTime, Stopped, stop
from tunix_rt.jobs import Full, Lora, Optimizer, TrainConfig

SAVED_BYTES_PER_SECOND = 50e6  # a slow disk; what saving has really taken counts when it took longer


def make(
    model: nnx.Module,
    config: TrainConfig,
    total: int,
    steps: list[StepBatch],
    attempt: Path,
    *,
    held_out: HeldOut | None = None,
    mesh: jax.sharding.Mesh | None = None,
    deadline: Deadline | None = None,
) -> "MeasuredTrainer":
    """A trainer at the newest checkpoint of `attempt`. `total` is the length of the whole schedule, which a run cut short does
    not change."""
    schedule = learning_rate(config.optimizer, total)
    root = (attempt / "checkpoints").resolve()
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
    trainer.measure(attempt / "metrics.jsonl", steps, schedule, held_out)
    trainer.tuning = config.tuning
    trainer.checkpoint_manager = VerifiedCheckpoints(
        trainer.checkpoint_manager,
        root,
        ending=lambda: trainer.ending(deadline),
        wanted=lambda: held_out is not None and held_out.fresh,
        sealed=held_out.prune if held_out else lambda _step: None,
    )
    trainer.mesh = mesh
    for holder in (trainer.model, trainer.optimizer):
        placement.commit(holder, mesh)
    function = loss.configured(placement.DTYPES[config.compute.dtype], config.compute.loss_chunk)
    trainer.with_loss_fn(function).with_gen_model_input_fn(loss.model_input)
    return trainer


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


def _micro_of(steps: list[StepBatch], number: int) -> tuple[MicroBatch, ...]:
    return steps[number].micro if number < len(steps) else ()


class MeasuredTrainer(PeftTrainer):  # type: ignore[misc]  # Tunix ships no types
    """`PeftTrainer` that writes a line to `metrics.jsonl` as each step ends and stops on a loss, or gradient, that is not
    finite."""

    _jitted_train_step_fn: Any
    _jitted_eval_step_fn: Any

    held_out: HeldOut | None
    tuning: Lora | Full
    mesh: jax.sharding.Mesh | None = None
    base_digest = ""

    def measure(self, path: Path, steps: list[StepBatch], schedule: optax.Schedule, held_out: HeldOut | None = None) -> None:
        self._path = path
        self._plan = steps
        self._schedule = schedule
        self._micro_losses: list[float] = []
        self._step_started = time.monotonic()
        self._seconds: list[float] = []
        self._evaluations: list[float] = []
        self._begun_at = 0
        self.held_out = held_out
        self.first_loss: float | None = None
        self.last_loss: float | None = None

    def resume(self, earlier: list[dict[str, Any]]) -> None:
        """Go on from the step Tunix restored, behind which are the metrics `earlier`."""
        if self.train_steps != len(earlier):
            raise errors.Failed(f"step {self.train_steps} was restored, the metrics end at step {len(earlier)}.")
        self._begun_at = len(earlier)
        if earlier:
            self.first_loss, self.last_loss = float(earlier[0]["loss"]), float(earlier[-1]["loss"])
        if self.held_out is not None:
            self.held_out.resume(earlier)

    def batches(self) -> Iterator[MicroBatch | None]:
        """The micro-batches, each step's made while the one before is trained on. Tunix skips those of restored steps
        unseen; the stream ends early once the held-out loss says so."""
        yield from itertools.repeat(None, self.iter_steps)
        ahead = self._plan[self._begun_at :]
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(lambda: ahead[0].micro) if ahead else None
            for number in range(len(ahead)):
                if made is None or (self.held_out is not None and self.held_out.exhausted):
                    return
                micro = made.result()
                made = pool.submit(_micro_of, ahead, number + 1)
                yield from micro

    def ending(self, deadline: Deadline | None) -> type[Stopped] | None:
        """Why the step that has just ended is to be the last in this process, if it is."""
        return (None, Stopped, OutOfTime)[hosts.agreed(lambda: self._ending(deadline))]

    def _ending(self, deadline: Deadline | None) -> int:
        if stop.requested:
            return 1
        if deadline is None or self.train_steps >= len(self._plan):
            return 0
        step_seconds = max(self._seconds[1:][-20:] or self._seconds)
        if self.held_out is not None and self.held_out.due(self.train_steps + 1):
            first = self._seconds[0] + self._as_trained(self.held_out, step_seconds)  # it compiles, as the first step did
            step_seconds += max(self._evaluations, default=first)
        saving = max(self.checkpoint_manager.saving_seconds, self._state_bytes() / SAVED_BYTES_PER_SECOND)
        return 2 if deadline.before_another(step_seconds, saving) else 0

    def _as_trained(self, held_out: HeldOut, step_seconds: float) -> float:
        """What the micro-batches of an evaluation would take in training, which is more than they do."""
        return step_seconds * len(held_out.micro) / (self.config.gradient_accumulation_steps or 1)

    def _state_bytes(self) -> int:
        """Of what a checkpoint holds besides the parameters, which are less."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(nnx.state(self.optimizer)))

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
        return self._placed(input_data)

    def _placed(self, micro: MicroBatch) -> MicroBatch:
        """The arrays dealt out over the mesh. Tunix would take those of each process for a part of the batch; here every
        process has made all of it."""
        mesh, spec = self.mesh, PartitionSpec(*self.config.data_sharding_axis)
        if mesh is None:
            return micro
        dealt: MicroBatch = jax.tree.map(lambda one: hosts.placed(one, sharding_utils.get_sharding(one, mesh, spec)), micro)
        return dealt

    def _post_process_train_step(self, aux: Any) -> None:  # noqa: ARG002
        """Tunix's hook after each micro-batch: the buffered loss is the device value just computed."""
        self._micro_losses.append(float(self._buffered_train_metrics.losses[-1]))
        if len(self._micro_losses) < (self.config.gradient_accumulation_steps or 1):
            return
        index = self._train_steps
        value, norm = float(np.mean(self._micro_losses)), float(recorded_norm(self.optimizer))
        self._micro_losses = []
        self._seconds.append(time.monotonic() - self._step_started)
        evaluated = self._evaluated(index) if np.isfinite([value, norm]).all() else {}
        self._write_line(index, value, norm, evaluated)
        self._require_finite(index, "loss", value)
        self._require_finite(index, "gradient norm", norm)

    def _evaluated(self, index: int) -> dict[str, float]:
        """The loss on the held-out dataset after a step, if it is due."""
        if self.held_out is None or not self.held_out.due(index + 1):
            return {}
        began = time.monotonic()
        losses = [self._jitted_eval_step_fn(self._placed(micro))[0] for micro in self.held_out.micro]
        found = float(np.sum([float(one) for one in losses]))
        self._require_finite(index, "held-out loss", found)
        self.held_out.note(index + 1, found, self.model, self.tuning, self.base_digest)
        self._evaluations.append(time.monotonic() - began)
        return {"eval_loss": found, "eval_seconds": round(self._evaluations[-1], 4)}

    def _require_finite(self, index: int, what: str, value: float) -> None:
        """Raises before anything of the step is saved: an update that is not finite has spoilt what is trained."""
        if not np.isfinite(value):
            ids = self._plan[index].ids
            first = ", ".join(trace[:12] for trace in ids[:3])
            raise errors.Failed(
                f"the {what} of step {index + 1} is {value}; its first traces are {first}. Lower 'optimizer.learning_rate'.",
                reason="nan_loss",
                step=index + 1,
                traces=list(ids),
            )

    def _write_line(self, index: int, value: float, norm: float, evaluated: dict[str, float]) -> None:
        seconds = self._seconds[-1]
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
            "shared_tokens": batch.spared,
            "padding_tokens": batch.padding,
            "examples": len(batch.ids),
            "seconds": round(seconds, 4),
            "useful_tokens_per_second": round(batch.useful / seconds, 1),
            "seconds_left": self._seconds_left(index),
            **evaluated,
        }
        with self._path.open("ab") as file:
            file.write(values.jsonl_line(line))
        stop.hold()

    def _seconds_left(self, index: int) -> float | None:
        """For the steps and evaluations that remain, as the last ones went; the compiling first step of this process says
        nothing, and the first evaluation only until there is a second."""
        recent = self._seconds[1:][-20:]
        if not recent:
            return None
        step_seconds = float(np.mean(recent))
        left = step_seconds * (len(self._plan) - index - 1)
        if self.held_out is not None:
            known = self._evaluations[1:] or self._evaluations or [self._as_trained(self.held_out, step_seconds)]
            left += float(np.mean(known)) * self.held_out.left(index + 1)
        return round(left, 1)

    def rate(self, steps: list[StepBatch]) -> float | None:
        """Useful tokens per second, the compiling first step of this process left out; None when there was only that."""
        later = sum(self._seconds[1:])
        return round(sum(step.useful for step in steps[self._begun_at + 1 :]) / later, 1) if later else None
