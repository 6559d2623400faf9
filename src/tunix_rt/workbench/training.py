"""One training run in the foreground, through the same ledger as every other."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tunix_rt import datasets, errors, models, runs
from tunix_rt.jobs import Device, Lora, Mesh, TrainConfig
from tunix_rt.runs import RESUMABLE, Run, Trained, TrainSpec
from tunix_rt.store import Store
from tunix_rt.workbench import following, foreground
from tunix_rt.workbench.building import obtain
from tunix_rt.workbench.desk import Desk


def spec(desk: Desk, chosen: TrainConfig, dataset: str, device: Device, mesh: Mesh, max_steps: int | None) -> TrainSpec:
    """What is asked, with every dataset it names built if it is a built-in recipe's."""
    if mesh.hosts > 1:
        raise errors.Invalid(
            f"'mesh.hosts' is {mesh.hosts}: a run in the foreground is on this machine. Several hosts need a Ray cluster: "
            "queue the run with `tunix-rt runs submit FILE`, and have a worker with --launcher ray.",
            field="mesh.hosts",
        )
    first = obtain(desk, dataset).manifest.name
    for name in [stage.dataset for stage in chosen.stages] + ([chosen.validation.dataset] if chosen.validation else []):
        obtain(desk, name)
    return TrainSpec(config=chosen, dataset=first, device=device, mesh=mesh, max_steps=max_steps)


def train_run(desk: Desk, config: TrainConfig, dataset: str) -> Trained:
    """Train on one dataset, with everything else as the config has it."""
    return train_spec(desk, spec(desk, config, dataset, "auto", Mesh(), None))


def train_spec(
    desk: Desk,
    asked: TrainSpec,
    *,
    output: Path | None = None,
    timeout: float | None = None,
    dedup_key: str | None = None,
) -> Trained:
    """Prepare what the run needs, train, and show it happening. A run that the ledger knows under `dedup_key` is gone on with,
    or is taken as it is when it has completed."""
    config = asked.config
    models.prepare(desk.settings, config.model, desk.say)
    resolved = runs.resolve(desk.settings, asked)
    if output is not None:
        writable(output)
    with foreground.ledger(desk) as opened:
        with opened.unit_of_work() as connection:
            run = runs.submit(connection, resolved, timeout=timeout, folder=output, dedup_key=dedup_key)
            if run.state in RESUMABLE:
                run = runs.resume(connection, run.run_id, timeout=timeout)
        if run.state == "completed":
            return runs.load(run.dir(desk.settings))
        tuning = config.tuning.method if config.tuning.method == "full" else f"LoRA rank {config.tuning.rank}"
        if isinstance(config.tuning, Lora) and config.tuning.quantize != "none":
            tuning += f" on {config.tuning.quantize} weights"
        names = [stage.dataset for stage in config.stages] or [asked.dataset]
        count = sum(datasets.manifest(desk.settings, name).count for name in names)
        desk.say(
            f"training {config.model} ({tuning}) on {', then '.join(names)}: {count} traces, seed {config.seed}, "
            f"in {run.dir(desk.settings)}"
        )
        return _follow(desk, opened, run)


def resume_run(
    desk: Desk, name: str, output: Path | None = None, *, agree: Callable[[Run], None], timeout: float | None = None
) -> Trained:
    """Queue another attempt of a run, named by id or as the latest that can be resumed, and follow it.

    `agree` raises when more than its time limit is to be other than the run was asked.
    """
    with foreground.ledger(desk) as opened:
        with opened.unit_of_work() as connection:
            found = runs.get(connection, latest(opened, output) if name == "latest" else name)
            agree(found)
            run = runs.resume(connection, found.run_id, timeout=timeout)
        desk.say(f"resuming run {run.run_id} in {run.dir(desk.settings)}")
        return _follow(desk, opened, run)


def latest(opened: Store, output: Path | None) -> str:
    """The newest training run that ended without completing; in the folder `output` if one is named."""
    with opened.reading() as connection:
        found = runs.listed(connection, kind="train", limit=1000).data
    for run in found:
        if run.state in RESUMABLE and (output is None or run.folder == str(output.absolute())):
            return run.run_id
    where = f" in {output}" if output else ""
    raise errors.NotFound(f"no training run{where} that ended without completing; `tunix-rt runs list` shows what there is.")


def _follow(desk: Desk, opened: Store, run: Run) -> Trained:
    folder = run.dir(desk.settings)
    with following.training(desk, folder) as follow:
        foreground.finish(desk, opened, run.run_id, follow)
    return runs.load(folder)


def vacant(folder: Path) -> None:
    """Raise `errors.Conflict` when there is something in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.Conflict(
            f"{folder} is not empty; name a new folder for a new run, or go on with --resume latest.", dir=str(folder)
        )


def writable(folder: Path) -> None:
    """Make the folder, or raise `errors.Failed` before a run is in the ledger that could write nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise errors.Failed(f"cannot write to {folder}: {error.strerror}; name another folder.", dir=str(folder)) from error
