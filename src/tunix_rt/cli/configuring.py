"""A training config from a file and what the command line says instead, and what it names on this machine."""

from pathlib import Path
from typing import Any, NamedTuple

import typer

from tunix_rt import errors, jobs, recipes, runs, values
from tunix_rt.cli.console import Surface
from tunix_rt.jobs import Mesh, TrainConfig
from tunix_rt.runs import Run, TrainSpec


class Options(NamedTuple):
    """What the command line says; None or empty where it says nothing. Several `datasets` are the stages of a curriculum."""

    config: Path | None = None
    datasets: tuple[str, ...] = ()
    model: str | None = None
    memory: float | None = None
    dtype: str | None = None
    remat: str | None = None
    too_long: str | None = None
    validate_on: str | None = None
    eval_every: int | None = None
    patience: int | None = None


def config(surface: Surface, options: Options) -> TrainConfig:
    """The file's config, or the built-in sft_demo, with the options applied."""
    base = jobs.read_config(options.config or recipes.path("train", "sft_demo"))
    if options.model is not None and options.model != base.model:
        surface.say(f"model {options.model} (from --model; the config names {base.model})")
    return applied(base, options)


def applied(base: TrainConfig, options: Options) -> TrainConfig:
    changes: dict[str, Any] = {
        "model": options.model,
        "memory_gb": options.memory,
        "too_long": options.too_long,
    }
    data = {**base.model_dump(), **_said(changes)}
    data["compute"] = {**data["compute"], **_said({"dtype": options.dtype, "remat": options.remat})}
    data["validation"] = _validation(data["validation"], options)
    if len(options.datasets) == 1:
        data["stages"] = ()
    elif options.datasets:
        data |= {"stages": [{"dataset": name, "epochs": base.epochs} for name in options.datasets], "epochs": 1}
    return TrainConfig.parse(data, source="command line")


def _validation(there: dict[str, Any] | None, options: Options) -> dict[str, Any] | None:
    said = {"dataset": options.validate_on, "every_steps": options.eval_every, "patience": options.patience}
    changes = _said(said)
    if there is None and changes and options.validate_on is None:
        raise typer.BadParameter("there is nothing to evaluate on; name a held-out dataset", param_hint="--validate-on")
    return {**(there or {}), **changes} or None


def _said(changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if value is not None}


def first_dataset(chosen: TrainConfig, options: Options) -> str:
    if options.datasets:
        return options.datasets[0]
    if chosen.stages:
        return chosen.stages[0].dataset
    raise typer.BadParameter("name a dataset, or a run to resume", param_hint="--dataset")


def agree(run: Run, options: Options) -> None:
    """Raise `errors.Conflict` naming the first field in which the options ask for something else than the run was."""
    asked = run.asked
    if not isinstance(asked, TrainSpec):
        raise errors.Conflict(f"run {run.run_id} is no training run.", run=run.run_id)
    base = jobs.read_config(options.config) if options.config else asked.config
    wanted = applied(base, options) if options != Options() else asked.config
    dataset = options.datasets[0] if options.datasets else asked.dataset
    was, now = ({"dataset": d, **c.model_dump(mode="json")} for d, c in ((asked.dataset, asked.config), (dataset, wanted)))
    for field, before, after in values.differences(was, now):
        raise errors.Conflict(
            f"run {run.run_id} was begun with {field} {before!r}, the command says {after!r}; resume it as it was asked, or "
            "start a new run.",
            field=field,
            was=before,
            now=after,
        )


def seeds(text: str | None) -> tuple[int, ...]:
    """Comma-separated seeds, all different."""
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts) or len(set(parts)) != len(parts):
        raise typer.BadParameter(f"{text!r} is no list of different seeds, like 1,2,3", param_hint="--seeds")
    return tuple(map(int, parts))


def seeded(asked: TrainSpec, chosen: tuple[int, ...]) -> list[TrainSpec]:
    """The spec once for each seed, in one group."""
    group = runs.new_id()
    return [
        asked.model_copy(update={"config": asked.config.model_copy(update={"seed": seed}), "group": group}) for seed in chosen
    ]


def mesh(text: str | None) -> Mesh:
    """`fsdp=2,tp=2` as a mesh."""
    if text is None:
        return Mesh()
    pairs = [part.partition("=") for part in text.split(",")]
    return Mesh.parse({name.strip(): value.strip() for name, _, value in pairs}, source="--mesh")
