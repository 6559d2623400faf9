"""The facts of a finished training run: `run.json` in its folder, written last, is what the stages after it read.

A folder without it is a run that did not end well. What a run is while it lives is in the ledger.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors, jobs, values
from tunix_rt.jobs import TrainJob
from tunix_rt.scoring import ReplyFormat
from tunix_rt.settings import Settings
from tunix_rt.values import Value


class StageFacts(Value):
    """What one stage of a curriculum was trained on."""

    dataset: str
    dataset_digest: str
    epochs: int
    examples: int
    steps: int


class Trained(Value):
    """The facts of a finished training run. `dir` is where it is on this machine; everything else may be published.

    With validation, `best_step` is the step with the lowest loss on the held-out dataset, and `kept_step` the one whose
    adapter this is. `truncated` and `dropped` count traces that did not fit a row, which the config has to allow; those
    held out are counted apart.
    """

    run_id: str
    state: str
    reason: str
    dir: str
    name: str
    model: str
    model_digest: str
    dataset: str
    dataset_digest: str
    config_digest: str
    adapter_digest: str
    mask_digest: str
    method: str
    steps: int
    epochs: int
    seed: int
    loss: float
    first_loss: float
    examples: int
    tokens: int
    trained_tokens: int
    trained_parameters: int
    padding_share: float
    useful_tokens_per_second: float | None
    seconds: float
    peak_memory_bytes: int
    device: str
    rows: int | None = None
    accumulation: int | None = None
    shared_tokens: int = 0
    group: str | None = None
    stages: tuple[StageFacts, ...] = ()
    truncated: int = 0
    dropped: int = 0
    held_out_truncated: int = 0
    held_out_dropped: int = 0
    eval_loss: float | None = None
    best_eval_loss: float | None = None
    best_step: int | None = None
    kept_step: int | None = None
    early_stopped: bool = False
    peak_device_memory_bytes: int | None = None


class Posed(NamedTuple):
    """How a question is put to a model."""

    format: ReplyFormat
    instruction: str


def posed(run: Trained) -> Posed:
    """As the run was trained, which is how it has to be asked."""
    job, _ = jobs.read(Path(run.dir))
    if not isinstance(job, TrainJob):
        raise errors.Invalid(f"{run.dir} holds no training run.")
    return Posed(job.config.format, job.config.instruction)


def new_id() -> str:
    """Sortable by time, unique without a database."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(6)}"


def write(folder: Path, job: TrainJob) -> Trained:
    """Write `run.json` from the job and the engine's `result.json`; writing it again gives the same bytes."""
    result: dict[str, Any] = values.read_json(folder / "result.json")
    facts = Trained(
        run_id=job.run_id,
        state="completed",
        reason=reason(job, result),
        dir=str(folder),
        name=job.config.name,
        model=job.config.model,
        model_digest=job.model_digest,
        dataset=job.dataset,
        dataset_digest=job.dataset_digest,
        config_digest=job.config.digest,
        method=job.config.tuning.method,
        epochs=job.config.passes,
        seed=job.config.seed,
        group=job.group,
        **result,
    )
    values.write_json(folder / "run.json", facts.model_dump(mode="json"))
    return facts


def reason(job: TrainJob, result: dict[str, Any]) -> str:
    """Why a run that completed is complete."""
    if result.get("early_stopped"):
        return "early_stop"
    return "smoke" if job.max_steps else "done"


def find(settings: Settings, name: str) -> Trained:
    """The finished run called `name` in the workspace, or in the folder of that path."""
    for folder in (settings.runs / name, Path(name)):
        if (folder / "run.json").is_file():
            return load(folder)
    known = [path.parent.name for path in settings.runs.glob("*/run.json")]
    raise errors.NotFound(f"no finished run {name!r}.{errors.nearest(name, known)}", run=name)


def load(folder: Path) -> Trained:
    path = folder / "run.json"
    run = Trained.parse(values.read_json(path), source=str(path))
    return run.model_copy(update={"dir": str(folder.absolute())})
