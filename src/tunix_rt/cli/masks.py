"""`tunix-rt masks`: what is trained on, token by token, and the proof that it is what the traces declare."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tunix_rt import jobs, models, recipes, values
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, percent
from tunix_rt.jobs import Inputs, MaskJob
from tunix_rt.launchers import local
from tunix_rt.workbench.building import obtain


@command(app, "masks")
def show_masks(
    surface: Surface,
    dataset: Annotated[str, typer.Option(help="Dataset name; a built-in recipe of that name is built if needed.")],
    config: Annotated[Path | None, typer.Option(help="Training config (TOML) (default: the built-in sft_demo).")] = None,
    model: Annotated[str | None, typer.Option(help="Base model, instead of the config's.")] = None,
) -> None:
    """Preview the loss mask and prove it: training prefix = inference prefix, trained part = declared steps and answer."""
    chosen = jobs.read_config(config or recipes.path("train", "sft_demo"))
    name = model or chosen.model
    models.require(surface.settings, name)
    data, base = obtain(surface, dataset), models.prepare(surface.settings, name, surface.say)
    job = MaskJob(
        model=name,
        model_digest=base.digest,
        dataset=data.manifest.name,
        dataset_digest=data.manifest.digest,
        format=chosen.format,
        instruction=chosen.instruction,
        row_tokens=chosen.batch.row_tokens,
    )
    folder = surface.settings.home / "masks" / job.digest[:16]
    if not (folder / "result.json").is_file():
        jobs.write(folder, job, Inputs(model=base.folder, dataset=data.path.parent))
        local.run(folder)
    facts = values.read_json(folder / "result.json")
    preview = [row for _, row in values.read_jsonl(folder / "preview.jsonl")]
    if not surface.as_json:
        for row in preview:
            surface.out.print(coloured(row["tokens"]), end="\n\n")
    surface.emit({**facts, "preview": preview, "dir": str(folder)}, describe(facts, dataset, name))


def coloured(tokens: list[dict[str, Any]]) -> Text:
    """Trained tokens stand out, underlined by turns so that their borders show; given ones are dim."""
    text = Text()
    for place, token in enumerate(tokens):
        trained = "bold green underline" if place % 2 else "bold green"
        text.append(token["text"], style=trained if token["trained"] else "dim")
    return text


def describe(facts: dict[str, Any], dataset: str, model: str) -> str:
    fits = f"every trace fits a row of {facts['row_tokens']} tokens"
    if facts["too_long"]:
        fits = (
            f"{facts['too_long']} traces are longer than a row of {facts['row_tokens']} tokens, {facts['first_too_long'][:12]} "
            "first: training refuses this dataset until 'batch.row_tokens' is raised or they are removed; nothing is cut"
        )
    return (
        f"{dataset} for {model}: {facts['traces']} traces, {facts['tokens']:,} tokens, {facts['trained_tokens']:,} trained "
        f"({percent(facts['share_trained'])}), longest {facts['longest']}\n"
        "proved for every trace: its prefix is the one inference starts from, its trained part the declared steps and answer,\n"
        "both together what the chat template writes\n"
        f"{fits}\n"
        f"mask digest {facts['mask_digest']} (a run records the same)"
    )
