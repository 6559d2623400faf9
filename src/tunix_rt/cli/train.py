"""`tunix-rt train`: one training run in the foreground, through the same ledger as every other."""

import statistics
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import models
from tunix_rt.cli import configuring, estimating
from tunix_rt.cli.app import app, command
from tunix_rt.cli.configuring import Options
from tunix_rt.cli.console import Surface, size
from tunix_rt.jobs import Device, Dtype, Remat, TooLong
from tunix_rt.runs import Trained, TrainSpec
from tunix_rt.workbench import registered, training


@command(app, "train")
def train(
    surface: Surface,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Dataset name, built first if it is a built-in recipe's. Several are trained on one after another."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Training config (TOML) (default: the built-in sft_demo).")] = None,
    model: Annotated[str | None, typer.Option(help="Base model instead of the config's, or a registered NAME@WHICH.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="N,N,...", help="Several runs, one for each seed, in one group.")] = None,
    validate_on: Annotated[str | None, typer.Option(help="Held-out dataset, its loss taken during training.")] = None,
    eval_every: Annotated[int | None, typer.Option(min=1, help="Steps between two of these.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Stop after so many of these without a better one.")] = None,
    too_long: Annotated[TooLong | None, typer.Option(help="What becomes of a trace longer than a row or the context.")] = None,
    memory: Annotated[
        float | None, typer.Option(min=0.1, help="Budget in GB of each device: rows and accumulation are chosen to fit it.")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Of the arithmetic; what is trained stays float32.")] = None,
    remat: Annotated[Remat | None, typer.Option(help="Compute activations again instead of keeping them.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the run (default: <home>/runs/<run id>).")] = None,
    device: Annotated[Device, typer.Option(help="Where to run; refused if absent.")] = "auto",
    mesh: Annotated[str | None, typer.Option(metavar="fsdp=N,tp=N", help="Split the run over so many devices.")] = None,
    smoke_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many optimizer steps.")] = None,
    max_hours: Annotated[float | None, typer.Option(min=0.0, help="End in time to leave checkpoint and adapter.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate and estimate; train nothing.")] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN|latest", help="Go on with a run that ended without completing, as it was asked.")
    ] = None,
) -> None:
    """Fine-tune a model on a dataset, in the foreground."""
    model = model and registered.as_base(surface, model)
    options = Options(config, tuple(dataset or ()), model, memory, dtype, remat, too_long, validate_on, eval_every, patience)
    timeout = max_hours * 3600 if max_hours is not None else None
    if resume is not None:
        _refuse_with_resume(device=device != "auto", mesh=mesh, smoke_steps=smoke_steps, seeds=seeds, dry_run=dry_run)
        trained = training.resume_run(
            surface, resume, output, agree=lambda run: configuring.agree(run, options), timeout=timeout
        )
        return surface.emit(trained.model_dump(mode="json"), describe(trained))
    chosen = configuring.config(surface, options)
    models.require(surface.settings, chosen.model)
    first, placed = configuring.first_dataset(chosen, options), configuring.mesh(mesh)
    if output is not None and not dry_run:
        training.vacant(output)
    asked = training.spec(surface, chosen, first, device, placed, smoke_steps)
    if dry_run:
        return estimating.estimate(surface, asked)
    if seeds is not None:
        return train_seeds(surface, asked, configuring.seeds(seeds), output=output, timeout=timeout)
    trained = training.train_spec(surface, asked, output=output, timeout=timeout)
    return surface.emit(trained.model_dump(mode="json"), describe(trained))


def _refuse_with_resume(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise typer.BadParameter("a run is resumed as it was asked", param_hint=f"--{name.replace('_', '-')}")


def train_seeds(
    surface: Surface, asked: TrainSpec, seeds: tuple[int, ...], *, output: Path | None, timeout: float | None
) -> None:
    """One run after another, each with its seed, and how far apart they ended."""
    made = [
        training.train_spec(surface, one, output=output / f"seed-{one.config.seed}" if output else None, timeout=timeout)
        for one in configuring.seeded(asked, seeds)
    ]
    losses = [run.loss for run in made]
    data = {
        "group": made[0].group,
        "runs": [run.model_dump(mode="json") for run in made],
        "loss": {"mean": statistics.fmean(losses), "lowest": min(losses), "highest": max(losses)},
    }
    spread = f"group {made[0].group}: {len(made)} seeds, last loss {min(losses):.4f} to {max(losses):.4f}"
    surface.emit(data, "\n".join([*map(describe, made), spread]))


def describe(run: Trained) -> str:
    rate = f"{run.useful_tokens_per_second:.0f} useful tokens/s" if run.useful_tokens_per_second else "one step only"
    memory = size(run.peak_memory_bytes)
    if run.peak_device_memory_bytes is not None:
        memory += f" and {size(run.peak_device_memory_bytes)} on the device"
    return "\n".join(
        (
            f"run {run.run_id} {run.state}: {run.steps} steps, loss {run.first_loss:.4f} -> {run.loss:.4f}",
            f"  model    {run.model} {run.model_digest[:12]}, {run.method}, {run.trained_parameters:,} parameters trained",
            f"  data     {run.dataset} {run.dataset_digest[:12]}: {run.examples} examples, {run.tokens:,} tokens, "
            f"{run.trained_tokens:,} trained, {run.shared_tokens:,} shared, padding {100 * run.padding_share:.1f} %",
            *_held_out(run),
            *(f"  stage    {one.dataset}: {one.steps} steps, {one.examples} examples" for one in run.stages),
            *(f"  too long {count} traces {what}" for count, what in _cut(run) if count),
            f"  cost     {run.seconds:.0f} s, {rate}, peak memory {memory}, on {run.device}",
            f"  adapter  {run.adapter_digest[:12]}",
            f"  folder   {run.dir}",
        )
    )


def _cut(run: Trained) -> tuple[tuple[int, str], ...]:
    return (
        (run.truncated, "cut at the end of a row"),
        (run.dropped, "left out"),
        (run.held_out_truncated, "of the held-out dataset cut at the end of a row"),
        (run.held_out_dropped, "of the held-out dataset left out"),
    )


def _held_out(run: Trained) -> list[str]:
    if run.eval_loss is None:
        return []
    why = ", stopped early" if run.early_stopped else ""
    return [
        f"  held-out loss {run.eval_loss:.4f}, best {run.best_eval_loss:.4f} at step {run.best_step}{why}; "
        f"the adapter is of step {run.kept_step}"
    ]
