"""Depth 2: make all datasets again from what their manifests say they were made from, and tokenise the training set again.

What only its owner has (a file that was ingested, a model that cannot be had here) is left unchecked and said to be, and
then depth 2 is not reached. The bundle's own copy is used for nothing but comparison.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tunix_rt import datasets, errors, jobs, models, recipes, tasks, values
from tunix_rt.datasets import Pool, Recipe, Selection
from tunix_rt.evidence import contents
from tunix_rt.evidence.contents import DATASET_FILES, REJECTS, Items
from tunix_rt.evidence.recompute import Bundle
from tunix_rt.jobs import Inputs, MaskJob
from tunix_rt.launchers import local
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings


class Unavailable(Exception):
    """This machine lacks what a check needs; the text says what."""


class Outcome(NamedTuple):
    """`unchecked` could not be done here; `open` is what a check that was done leaves open by its nature."""

    checked: list[str]
    unchecked: list[str]
    failures: list[str]
    open: list[str]


def rederive(bundle: Bundle, settings: Settings) -> Outcome:
    out = Outcome([], [], [], [])
    with tempfile.TemporaryDirectory(prefix="tunix-rt-verify-") as place:
        for folder, items in {**bundle.facts.trained_on, "evalset": bundle.facts.evalset}.items():
            about = f"{folder} made again from its recipe: every byte of {items.manifest.name} and its manifest"
            about += "".join(f", by the plug-in {name} {version}" for name, version in (items.manifest.plugins or {}).items())
            _note(out, about, partial(_rebuilt, bundle, folder, items, Path(place) / folder))
        about = "the training set tokenised again: the mask digest is the run's"
        _note(out, about, partial(_masks, bundle, settings, Path(place)))
    return out


def _note(out: Outcome, about: str, failures: Callable[[], Iterator[str]]) -> None:
    try:
        found = list(failures())
    except Unavailable as lacking:
        out.unchecked.append(str(lacking))
        return
    except errors.Mistake as mistake:
        found = [mistake.message]
    except contents.UNFIT as error:
        found = [f"{about}: cannot be done ({type(error).__name__}: {error})"]
    out.failures.extend(found)
    out.checked.extend([] if found else [about])


def _rebuilt(bundle: Bundle, folder: str, items: Items, place: Path) -> Iterator[str]:
    manifest = items.manifest
    if manifest.source is not None:
        raise Unavailable(f"{folder}: {manifest.name} was read from the file {manifest.source.file!r}, which is not here")
    _plugged(folder, manifest)
    if manifest.recipe is not None:
        recipe = _with_written_items(manifest.recipe)
        if datasets.plan(recipe).size != len(items.traces):
            yield f"{folder}: the recipe makes {datasets.plan(recipe).size} traces, the bundle holds {len(items.traces)}"
            return
        made = datasets.build(recipe, place)
    elif manifest.selection is None:
        yield f"{folder}/manifest.json names neither recipe, nor selection, nor file"
        return
    else:
        made = datasets.derive(manifest.selection, _pools(folder, manifest, manifest.selection, place), place / "made")
        place = place / "made"
    if made.digest != manifest.digest:
        yield f"{folder}/manifest.json is not the one its recipe gives: {manifest.digest[:12]}, made again {made.digest[:12]}"
    if (place / "dataset.jsonl").read_bytes() != bundle.members[f"{folder}/dataset.jsonl"]:
        yield f"{folder}/dataset.jsonl is not what its recipe makes: the bytes differ"


def _plugged(folder: str, manifest: datasets.Manifest) -> None:
    """Raise Unavailable unless every plug-in that made the dataset is here in its version, and the manifest names it."""
    if why := datasets.other_packages(manifest):
        raise Unavailable(f"{folder}: {why}")
    for task in {task for mix in (manifest.recipe.mixes if manifest.recipe else {}).values() for task in mix.tasks}:
        brings = tasks.package(task)
        if task not in tasks.CATALOGUE and (brings is None or brings.name not in (manifest.plugins or {})):
            raise Unavailable(f"{folder}: {manifest.name} has the task {task!r}, of no plug-in that its manifest names")


def _with_written_items(recipe: Recipe) -> Recipe:
    """Items that people wrote lie beside the recipes that ship; their file is named by its sha256."""
    if recipe.written is None:
        return recipe
    shipped = recipes.folder() / "data"
    if not (shipped / recipe.written.file).is_file():
        raise Unavailable(f"the written items of {recipe.name!r} ({recipe.written.file}) are not here")
    return recipe.model_copy(update={"written": recipe.written.model_copy(update={"folder": shipped})})


def _pools(folder: str, manifest: datasets.Manifest, selection: Selection, place: Path) -> list[Pool]:
    """The parents, made again; only those from recipes that ship can be."""
    wanted = {name.partition("@")[0]: name for name in selection.select.parents}
    found = []
    for parent in manifest.parents or ():
        if parent.name not in datasets.builtin_recipes():
            raise Unavailable(f"{folder}: {manifest.name} was drawn from {parent.name!r}, which is not here")
        datasets.build(datasets.recipe(parent.name), place / parent.name)
        dataset = datasets.open_dataset(place / parent.name)
        if dataset.manifest.digest != parent.dataset_digest:
            raise Unavailable(f"{folder}: {parent.name!r} of this version is not the parent {parent.dataset_digest[:12]}")
        found.append(datasets.pool(dataset, wanted[parent.name]))
    return found


def base_model(bundle: Bundle, settings: Settings) -> BaseModel:
    """The run's base model as this machine makes it. Unavailable when it cannot; Tampered when it is another."""
    name, wanted = bundle.facts.run.model, bundle.facts.run.model_digest
    try:
        model = models.prepare(settings, name)
    except (errors.Missing, errors.NotFound) as lacking:
        raise Unavailable(f"the base model {name!r} is not to be had here: {lacking.message}") from lacking
    if model.digest != wanted:
        raise errors.Tampered(f"the base model {name!r} has the digest {model.digest[:12]} here, the run names {wanted[:12]}")
    return model


def unpack(members: Mapping[str, bytes], folder: str, names: tuple[str, ...], place: Path) -> Path:
    """The named files of one folder of the bundle; names are fixed by the bundle's form, none comes from its content."""
    for name in names:
        values.write_bytes(place / name, members[f"{folder}/{name}"])
    return place


def _given(bundle: Bundle, folder: str, place: Path) -> Path:
    rejects = (REJECTS,) if f"{folder}/{REJECTS}" in bundle.members else ()
    return unpack(bundle.members, folder, (*DATASET_FILES, *rejects), place / folder)


def _masks(bundle: Bundle, settings: Settings, place: Path) -> Iterator[str]:
    run, config = bundle.facts.run, bundle.facts.job.config
    model = base_model(bundle, settings)
    job = MaskJob(
        model=run.model,
        model_digest=run.model_digest,
        dataset=run.dataset,
        dataset_digest=run.dataset_digest,
        stage_digests=bundle.facts.job.stage_digests,
        format=config.format,
        instruction=config.instruction,
        row_tokens=config.batch.row_tokens,
    )
    folder = place / "masks"
    given = [_given(bundle, name, place / "given") for name in bundle.facts.trained_on]
    stages = tuple(given) if job.stage_digests else ()
    jobs.write(folder, job, Inputs(model=model.folder, dataset=given[0], stages=stages))
    local.run(folder)
    found = values.read_json(folder / "result.json")["mask_digest"]
    if found != run.mask_digest:
        yield f"run.json: mask_digest is {run.mask_digest[:12]}, the training set tokenised again gives {found[:12]}"
