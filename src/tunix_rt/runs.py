"""4  Training runs: what was asked, the attempt that did it, and the facts that came out.

A run's folder is its attempt folder (see `jobs`). `run.json`, written last, is what the rest of the system reads: a folder
without it is a run that did not end well.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunix_rt import datasets, errors, jobs, models, values
from tunix_rt.jobs import Device, Inputs, TrainConfig, TrainJob
from tunix_rt.launchers import local
from tunix_rt.settings import Settings
from tunix_rt.values import Value


class Run(Value):
    """The facts of a finished training run. `dir` is where it is on this machine; everything else may be published."""

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


def new_id() -> str:
    """Sortable by time, unique without a database."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def submit(
    settings: Settings,
    config: TrainConfig,
    dataset: datasets.Dataset,
    model: models.BaseModel,
    *,
    device: Device = "auto",
    max_steps: int | None = None,
    output: Path | None = None,
) -> Path:
    """Write the attempt folder of a new run and return it. An `output` folder that already holds something is refused."""
    run_id = new_id()
    folder = vacant(output or settings.runs / run_id)
    job = TrainJob(
        run_id=run_id,
        config=config,
        model_digest=model.digest,
        dataset=dataset.manifest.name,
        dataset_digest=dataset.manifest.digest,
        device=device,
        max_steps=max_steps,
    )
    jobs.write(folder, job, Inputs(model=model.folder, dataset=dataset.path.parent, compile_cache=settings.compile_cache))
    return folder


def vacant(folder: Path) -> Path:
    """The folder as an absolute path, or `errors.Conflict` when there is something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.Conflict(f"{folder} is not empty; name a new folder for a new run.", dir=str(folder))
    return folder.absolute()


def execute(folder: Path, follow: Callable[[], None] = lambda: None) -> Run:
    """Train in the foreground; returns the run once `run.json` is written."""
    local.run(folder, follow)
    job, _ = jobs.read(folder)
    if not isinstance(job, TrainJob):
        raise errors.Invalid(f"{folder} holds a {job.kind!r} job, not a training run.")
    result: dict[str, Any] = values.read_json(folder / "result.json")
    run = Run(
        run_id=job.run_id,
        state="completed",
        reason="smoke" if job.max_steps else "done",
        dir=str(folder),
        name=job.config.name,
        model=job.config.model,
        model_digest=job.model_digest,
        dataset=job.dataset,
        dataset_digest=job.dataset_digest,
        config_digest=job.config.digest,
        method=job.config.tuning.method,
        epochs=job.config.epochs,
        seed=job.config.seed,
        **result,
    )
    values.write_json(folder / "run.json", run.model_dump(mode="json"))
    return run


def find(settings: Settings, name: str) -> Run:
    """The finished run called `name` in the workspace, or in the folder of that path."""
    for folder in (settings.runs / name, Path(name)):
        if (folder / "run.json").is_file():
            return load(folder)
    known = [path.parent.name for path in settings.runs.glob("*/run.json")]
    raise errors.NotFound(f"no finished run {name!r}.{errors.nearest(name, known)}", run=name)


def load(folder: Path) -> Run:
    path = folder / "run.json"
    run = Run.parse(values.read_json(path), source=str(path))
    return run.model_copy(update={"dir": str(folder.absolute())})


def listed(settings: Settings) -> list[Run]:
    """Finished runs of the workspace, newest first."""
    return [load(path.parent) for path in sorted(settings.runs.glob("*/run.json"), reverse=True)]
