"""`tunix-rt data`: recipes, files, and the datasets made from them."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import datasets, errors, formats
from tunix_rt.checking import Summary
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, percent, table
from tunix_rt.datasets import Ingested, Manifest
from tunix_rt.formats import exports
from tunix_rt.workbench import building
from tunix_rt.workbench.building import obtain, pools

group = noun("data", "Datasets of reasoning traces.")
RecipeArgument = Annotated[str, typer.Argument(help="Name of a built-in recipe, or a TOML file.")]


@command(group, "recipes")
def list_recipes(surface: Surface) -> None:
    """The built-in recipes."""
    found = [datasets.recipe(name) for name in datasets.builtin_recipes()]
    rows = [(r.name, str(r.version), str(r.seed), r.split, str(datasets.plan(r).size), r.description) for r in found]
    data = [
        {"name": r.name, "version": r.version, "seed": r.seed, "split": r.split, "digest": r.digest, "count": int(row[4])}
        | {"description": r.description, "parts": list(r.parts), "written": r.written is not None}
        for r, row in zip(found, rows, strict=True)
    ]
    surface.emit({"data": data, "next": None}, table(rows, ("recipe", "version", "seed", "split", "traces", "about")))


@command(group)
def plan(surface: Surface, recipe: RecipeArgument) -> None:
    """What a recipe would make, counted for every part, task and level; or what a selection would take and drop. Nothing is
    kept."""
    if datasets.is_selection(recipe):
        selection = datasets.load_selection(Path(recipe))
        place = surface.settings.datasets / selection.name
        with pools(surface, selection) as parents, surface.progress(f"trying {selection.name}") as update:
            manifest = datasets.foresee(selection, parents, place.parent, lambda done, total: update(done, total, "traces"))
        data = summary(manifest, place) | {
            "dropped": manifest.dropped,
            "composition": manifest.composition.model_dump(mode="json"),
        }
        surface.emit(data, f"{describe(manifest, place)}\nnothing was kept: `tunix-rt data build {recipe}` keeps it")
        return
    made = datasets.plan(datasets.recipe(recipe))
    cells = [cell._asdict() for cell in made.cells]
    data = {"name": made.recipe.name, "count": made.size, "cells": cells, "written": len(made.items), "parts": _parts(made)}
    surface.emit(data, _plan_text(made))


def _parts(made: datasets.Plan) -> dict[str, int]:
    sizes = Counter[str]()
    for cell in made.cells:
        sizes[cell.part] += cell.size
    return dict(sizes) if made.recipe.parts else {}


def _plan_text(made: datasets.Plan) -> str:
    if made.recipe.written:
        return f"{made.size} written items of {made.recipe.written.file}"
    rows = [
        (cell.part or "-", cell.task, str(cell.level), cell.transform or "-", cell.forms, str(cell.size)) for cell in made.cells
    ]
    text = table(rows, ("part", "task", "level", "transform", "forms", "traces"))
    parts = ", ".join(f"{name or 'outside parts'} {size}" for name, size in _parts(made).items())
    return f"{text}\n{made.size} traces" + (f": {parts}" if parts else "")


@command(group)
def build(
    surface: Surface,
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="Folder to build in (default: <home>/datasets/<name>).")] = None,
    check: Annotated[bool, typer.Option("--check", help="Make it again and compare bytes; writes nothing.")] = False,
) -> None:
    """Build a dataset from a recipe, or from a TOML file that selects from datasets; the same gives the same bytes."""
    if check:
        _check(surface, recipe, out)
        return
    manifest, folder = building.build(surface, recipe, out)
    surface.emit(summary(manifest, folder), describe(manifest, folder))


def _check(surface: Surface, recipe: str, out: Path | None) -> None:
    if datasets.is_selection(recipe):
        selection = datasets.load_selection(Path(recipe))
        check_selection(surface, selection, out or surface.settings.datasets / selection.name)
        return
    chosen = datasets.recipe(recipe)
    folder = out or surface.settings.datasets / chosen.name
    _identical(surface, f"recipe {chosen.name!r}", chosen.name, folder, datasets.check(chosen, folder))


def _identical(surface: Surface, what: str, name: str, folder: Path, differences: list[datasets.Difference]) -> None:
    if differences:
        names = ", ".join(difference.file for difference in differences)
        raise errors.Tampered(
            f"{folder} is not what {what} makes: {names} differ.",
            differences=[difference._asdict() for difference in differences],
        )
    surface.emit({"name": name, "identical": True, "dir": str(folder)}, f"{folder}: identical to the byte")


def check_selection(surface: Surface, selection: datasets.Selection, folder: Path) -> None:
    with pools(surface, selection) as parents, surface.progress(f"selecting {selection.name} again") as update:
        found = datasets.derive_again(selection, parents, folder, lambda done, total: update(done, total, "traces"))
    _identical(surface, f"selection {selection.name!r}", selection.name, folder, found)


@command(group)
def ingest(
    surface: Surface,
    file: Annotated[Path, typer.Argument(help="JSON lines, a JSON array, CSV or Parquet.")],
    format: Annotated[str, typer.Option(help=f"One of: auto, {', '.join(formats.IMPORTS)}, or a plug-in's.")] = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the dataset (default: from the file's name).")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad lines out instead of storing nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Traces with a wrong step or answer count as bad lines.")] = False,
    rejects: Annotated[Path | None, typer.Option(help="File for the bad lines, with their codes and raw text.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the data, kept in the manifest.")] = "unknown",
) -> None:
    """Make a dataset of a file. Strict: if any line is bad, every bad line is listed and nothing is stored."""
    made = building.ingest(
        surface, file, name=name, format=format, skip_bad=skip_bad, check=check, rejects=rejects, licence=licence
    )
    folder = surface.settings.datasets / made.manifest.name
    surface.emit({**made.report(), **summary(made.manifest, folder)}, _ingested_text(made, folder))


def _ingested_text(made: Ingested, folder: Path) -> str:
    lines = [f"  line {found.line}: {found.code}: {found.message}" for found in made.rejected]
    if made.rejected_count > len(lines):
        lines.append(f"  and {made.rejected_count - len(lines)} more; --rejects FILE writes all of them down")
    found = made.report()
    told = f"read as {found['format']}: added {made.added}, duplicates {made.duplicates}, rejected {made.rejected_count}"
    if found["without_reasoning"]:
        told += f"; {found['without_reasoning']} have an answer but no reasoning, which is their only step"
    source = made.manifest.source
    checked = [judged(source.check)] if source and source.check else []
    return "\n".join([*lines, told, *checked, describe(made.manifest, folder)])


def judged(found: Summary) -> str:
    """What the checker says of many traces, in a line."""
    text = f"{found.traces} traces, {found.steps} steps, {percent(found.coverage)} of them checked"
    text += "" if found.step_accuracy is None else f", {percent(found.step_accuracy)} of those ok"
    text += f", {found.wrong_traces} traces with a wrong step or answer"
    return text + (f", {found.ungrounded} steps with a number from nowhere" if found.ungrounded else "")


@command(group)
def export(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="Dataset; a built-in recipe of that name is built if needed.")],
    to: Annotated[str, typer.Option(help=f"One of: {'; '.join(f'{key} ({about})' for key, about in exports.NAMES.items())}.")],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.")],
    seed: Annotated[int, typer.Option(help="Chooses the mistakes of rejected replies and wrong steps.")] = 0,
    owner: Annotated[str | None, typer.Option(help="Kaggle account that the kaggle folder is for.")] = None,
) -> None:
    """Write a dataset in the form a trainer reads; every row is read back and compared first."""
    made = datasets.export(obtain(surface, name), to, out, seed=seed, owner=owner)
    told = f"{made.count} traces as {to} in {out}: {', '.join(made.files)}"
    if made.rejected:
        codes = ", ".join(f"{code} {count}" for code, count in made.by_code.items())
        told += f"\n{made.rejected} traces are listed in rejects.jsonl: {codes}"
    if to == "kaggle" and owner is None:
        told += "\nput your Kaggle account into the id of dataset-metadata.json before uploading, or name it with --owner"
    surface.emit({**made.model_dump(mode="json"), "dir": str(out.absolute())}, told)


def summary(manifest: Manifest, folder: Path) -> dict[str, object]:
    return {
        "name": manifest.name,
        "digest": manifest.digest,
        "count": manifest.count,
        "dir": str(folder.absolute()),
        "files": manifest.files,
    }


def describe(manifest: Manifest, folder: Path) -> str:
    lines = [f"dataset {manifest.name} version {manifest.version}: {manifest.count} traces, digest {manifest.digest[:12]}"]
    composition = manifest.composition.model_dump(exclude={"labels"}) | manifest.composition.labels
    for what, counts in composition.items():
        if 0 < len(counts) <= 30:
            lines.append(f"  by {what}: " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    if manifest.parents:
        taken = (
            f"{parent.taken} of {parent.count} from {parent.name} {parent.dataset_digest[:12]}" for parent in manifest.parents
        )
        lines.append("  " + ", ".join(taken))
        gone = ", ".join(f"{code} {count}" for code, count in (manifest.dropped or {}).items())
        lines.append(f"  left out, listed in rejects.jsonl: {gone or 'none'}")
    generated = manifest.recipe is not None and manifest.recipe.written is None
    told = ", all true" if generated else ", not checked"
    claims = f"claims {manifest.statistics.claims}{told if manifest.statistics.claims else ''}"
    absent = f"; {manifest.of_gym} have an answer but no reasoning, which is their only step" if manifest.of_gym else ""
    lines.append(f"  distinct prompts {manifest.statistics.distinct_prompts}, {claims}{absent}")
    lines.append(f"  folder {folder}")
    return "\n".join(lines)
