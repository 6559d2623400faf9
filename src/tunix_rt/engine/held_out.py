"""The loss on a held-out dataset during training: which step was best, whether to go on, and the best step's adapter.

Everything here follows from the losses in `metrics.jsonl`, so a resumed run decides as an uninterrupted one does. The best
adapter is written before the checkpoint of its step is sealed, and older ones go after that: whatever step a run is resumed
from, the best one up to there is on the disk.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from flax import nnx

from tunix_rt import errors
from tunix_rt.engine import checkpoints, weights
from tunix_rt.engine.packing import MicroBatch
from tunix_rt.jobs import Full, Lora, Validation


class Measured(NamedTuple):
    step: int
    loss: float


class HeldOut:
    """`last` is the step the run ends with unless it is stopped: it is always evaluated."""

    def __init__(self, asked: Validation, micro: list[MicroBatch], last: int, folder: Path) -> None:
        self.micro = micro
        self._asked = asked
        self._last = last
        self._folder = folder
        self.history: list[Measured] = []
        self.fresh = False

    def resume(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take up the evaluations that the metrics of earlier steps hold."""
        self.history = [Measured(row["step"], float(row["eval_loss"])) for row in rows if "eval_loss" in row]

    def due(self, step: int) -> bool:
        return step % self._asked.every_steps == 0 or step == self._last

    def left(self, step: int) -> int:
        """How many evaluations are due after `step`."""
        return -(-self._last // self._asked.every_steps) - step // self._asked.every_steps if step < self._last else 0

    def note(self, step: int, loss: float, model: nnx.Module, tuning: Lora | Full, base: str) -> None:
        """Record an evaluation; a new best is written down."""
        self.history.append(Measured(step, loss))
        self.fresh = self.best.step == step and self._asked.keep == "best"
        if self.fresh:
            weights.save_adapter(model, tuning, base, self._folder / str(step))
            checkpoints.seal(self._folder / str(step))

    @property
    def best(self) -> Measured:
        """The evaluation with the lowest loss, the earliest of them."""
        return min(self.history, key=lambda measured: (measured.loss, measured.step))

    @property
    def exhausted(self) -> bool:
        """Whether the last `patience` evaluations brought nothing."""
        if self._asked.patience is None:
            return False
        lowest, since = float("inf"), 0
        for measured in self.history:
            better = measured.loss < lowest - self._asked.min_delta
            lowest, since = (measured.loss, 0) if better else (lowest, since + 1)
        return since >= self._asked.patience

    def prune(self, _step: int) -> None:
        """After a checkpoint is sealed, no run is resumed from before it."""
        self.fresh = False
        for path in self._folder.glob("*"):
            if self.history and path.name != str(self.best.step):
                shutil.rmtree(path)

    def adapter(self) -> Path | None:
        """The folder of the best step's adapter, verified; None when the last step's is wanted."""
        if self._asked.keep == "last":
            return None
        folder = self._folder / str(self.best.step)
        checkpoints.verify(folder)
        if not (folder / weights.TENSORS).is_file():
            raise errors.Tampered(f"{folder} holds no adapter.", path=str(folder))
        return folder

    def facts(self) -> dict[str, Any]:
        return {
            "eval_loss": self.history[-1].loss,
            "best_eval_loss": self.best.loss,
            "best_step": self.best.step,
            "kept_step": self.best.step if self._asked.keep == "best" else self.history[-1].step,
            "early_stopped": self.exhausted and self.history[-1].step < self._last,
        }
