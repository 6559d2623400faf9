"""`tunix-rt train`: one training run in the foreground, through the same ledger as every other."""

from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import errors, jobs, models, recipes, runs
from tunix_rt.cli import following, foreground
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, size
from tunix_rt.cli.data import obtain
from tunix_rt.jobs import Device, TrainConfig
from tunix_rt.runs import RESUMABLE, Run, Trained, TrainSpec
from tunix_rt.store import Store


@command(app, "train")
def train(
    surface: Surface,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset name; a built-in recipe of that name is built if needed.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Training config (TOML) (default: the built-in sft_demo).")] = None,
    model: Annotated[str | None, typer.Option(help="Base model, instead of the config's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the run (default: <home>/runs/<run id>).")] = None,
    device: Annotated[Device, typer.Option(help="Where to run; refused if absent.")] = "auto",
    smoke_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many optimizer steps.")] = None,
    max_hours: Annotated[float | None, typer.Option(min=0.0, help="End the run as timed out after so long.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN|latest", help="Go on with a run that ended without completing, as it was asked.")
    ] = None,
) -> None:
    """Fine-tune a model on a dataset, in the foreground."""
    if resume is not None:
        trained = resume_run(surface, resume, output)
    elif dataset is None:
        raise typer.BadParameter("name a dataset, or a run to resume", param_hint="--dataset")
    else:
        chosen = jobs.read_config(config or recipes.path("train", "sft_demo"))
        if model is not None and model != chosen.model:
            surface.say(f"model {model} (from --model; the config names {chosen.model})")
            chosen = chosen.model_copy(update={"model": model})
        timeout = max_hours * 3600 if max_hours is not None else None
        trained = train_run(surface, chosen, dataset, device=device, max_steps=smoke_steps, output=output, timeout=timeout)
    surface.emit(trained.model_dump(mode="json"), describe(trained))


def train_run(
    surface: Surface,
    config: TrainConfig,
    dataset: str,
    *,
    device: Device = "auto",
    max_steps: int | None = None,
    output: Path | None = None,
    timeout: float | None = None,
) -> Trained:
    """Prepare what the run needs, train, and show it happening."""
    models.require(surface.settings, config.model)
    if output is not None:
        vacant(output)
    data = obtain(surface, dataset)
    models.prepare(surface.settings, config.model, surface.say)
    asked = runs.resolve(
        surface.settings, TrainSpec(config=config, dataset=data.manifest.name, device=device, max_steps=max_steps)
    )
    with foreground.ledger(surface) as opened:
        with opened.unit_of_work() as connection:
            run = runs.submit(connection, asked, timeout=timeout, folder=output)
        tuning = config.tuning.method if config.tuning.method == "full" else f"LoRA rank {config.tuning.rank}"
        surface.say(
            f"training {config.model} ({tuning}) on {dataset}: {data.manifest.count} traces, seed {config.seed}, "
            f"in {run.dir(surface.settings)}"
        )
        return _follow(surface, opened, run)


def resume_run(surface: Surface, name: str, output: Path | None) -> Trained:
    """Queue another attempt of a run, named by id or as the latest that can be resumed, and follow it."""
    with foreground.ledger(surface) as opened:
        with opened.unit_of_work() as connection:
            run = runs.resume(connection, latest(opened, output) if name == "latest" else name)
        surface.say(f"resuming run {run.run_id} in {run.dir(surface.settings)}")
        return _follow(surface, opened, run)


def latest(opened: Store, output: Path | None) -> str:
    """The newest training run that ended without completing; in the folder `output` if one is named."""
    with opened.reading() as connection:
        found = runs.listed(connection, kind="train", limit=1000).data
    for run in found:
        if run.state in RESUMABLE and (output is None or run.folder == str(output.absolute())):
            return run.run_id
    where = f" in {output}" if output else ""
    raise errors.NotFound(f"no training run{where} that ended without completing; `tunix-rt runs list` shows what there is.")


def _follow(surface: Surface, opened: Store, run: Run) -> Trained:
    folder = run.dir(surface.settings)
    with following.training(surface, folder) as follow:
        foreground.finish(surface, opened, run.run_id, follow)
    return runs.load(folder)


def vacant(folder: Path) -> None:
    """Raise `errors.Conflict` when there is something in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.Conflict(
            f"{folder} is not empty; name a new folder for a new run, or go on with --resume latest.", dir=str(folder)
        )


def describe(run: Trained) -> str:
    rate = f"{run.useful_tokens_per_second:.0f} useful tokens/s" if run.useful_tokens_per_second else "one step only"
    return "\n".join(
        (
            f"run {run.run_id} {run.state}: {run.steps} steps, loss {run.first_loss:.4f} -> {run.loss:.4f}",
            f"  model    {run.model} {run.model_digest[:12]}, {run.method}, {run.trained_parameters:,} parameters trained",
            f"  data     {run.dataset} {run.dataset_digest[:12]}: {run.examples} examples, {run.tokens:,} tokens, "
            f"{run.trained_tokens:,} trained, padding {100 * run.padding_share:.1f} %",
            f"  cost     {run.seconds:.0f} s, {rate}, peak memory {size(run.peak_memory_bytes)}, on {run.device}",
            f"  adapter  {run.adapter_digest[:12]}",
            f"  folder   {run.dir}",
        )
    )
