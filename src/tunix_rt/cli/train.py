"""`tunix-rt train` and `tunix-rt runs`: one training run in the foreground, and the runs there are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tunix_rt import errors, jobs, models, recipes, runs
from tunix_rt.cli import following
from tunix_rt.cli.app import app, command, noun
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.cli.data import obtain
from tunix_rt.jobs import Device, Inputs, TrainConfig, TrainJob
from tunix_rt.launchers import local
from tunix_rt.runs import Trained

group = noun("runs", "Training runs of this workspace.")


@command(app, "train")
def train(
    surface: Surface,
    dataset: Annotated[str, typer.Option(help="Dataset name; a built-in recipe of that name is built if needed.")],
    config: Annotated[Path | None, typer.Option(help="Training config (TOML) (default: the built-in sft_demo).")] = None,
    model: Annotated[str | None, typer.Option(help="Base model, instead of the config's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the run (default: <home>/runs/<run id>).")] = None,
    device: Annotated[Device, typer.Option(help="Where to run; refused if absent.")] = "auto",
    smoke_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many optimizer steps.")] = None,
) -> None:
    """Fine-tune a model on a dataset, in the foreground."""
    chosen = jobs.read_config(config or recipes.path("train", "sft_demo"))
    if model is not None and model != chosen.model:
        surface.say(f"model {model} (from --model; the config names {chosen.model})")
        chosen = chosen.model_copy(update={"model": model})
    run = train_run(surface, chosen, dataset, device=device, max_steps=smoke_steps, output=output)
    surface.emit(run.model_dump(mode="json"), describe(run))


def train_run(
    surface: Surface,
    config: TrainConfig,
    dataset: str,
    *,
    device: Device = "auto",
    max_steps: int | None = None,
    output: Path | None = None,
) -> Trained:
    """Prepare what the run needs, train, and show it happening."""
    models.source(config.model)
    if output is not None:
        vacant(output)
    data = obtain(surface, dataset)
    model = models.prepare(surface.settings, config.model, surface.say)
    run_id = runs.new_id()
    folder = vacant(output or surface.settings.runs / run_id)
    job = TrainJob(
        run_id=run_id,
        config=config,
        model_digest=model.digest,
        dataset=data.manifest.name,
        dataset_digest=data.manifest.digest,
        device=device,
        max_steps=max_steps,
    )
    jobs.write(folder, job, Inputs(model=model.folder, dataset=data.path.parent, compile_cache=surface.settings.compile_cache))
    tuning = config.tuning.method if config.tuning.method == "full" else f"LoRA rank {config.tuning.rank}"
    surface.say(
        f"training {config.model} ({tuning}) on {dataset}: {data.manifest.count} traces, seed {config.seed}, in {folder}"
    )
    with following.training(surface, folder) as follow:
        local.run(folder, follow)
    return runs.trained.write(folder, job)


def vacant(folder: Path) -> Path:
    """The folder as an absolute path, or `errors.Conflict` when there is something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.Conflict(f"{folder} is not empty; name a new folder for a new run.", dir=str(folder))
    return folder.absolute()


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


@command(group, "list")
def list_runs(surface: Surface) -> None:
    """The finished runs, newest first."""
    found = [runs.load(path.parent) for path in sorted(surface.settings.runs.glob("*/run.json"), reverse=True)]
    rows = [(run.run_id, run.name, run.model, run.dataset, str(run.steps), f"{run.loss:.4f}") for run in found]
    text = (
        table(rows, ("run", "config", "model", "dataset", "steps", "loss"))
        if rows
        else "no runs yet; `tunix-rt demo` makes one"
    )
    surface.emit(page([run.model_dump(mode="json") for run in found]), text)


@command(group, "show")
def show_run(surface: Surface, run: Annotated[str, typer.Argument(help="Run id or folder.")]) -> None:
    """The facts of one run."""
    found = runs.find(surface.settings, run)
    surface.emit(found.model_dump(mode="json"), describe(found))


def page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"data": rows, "next": None}
