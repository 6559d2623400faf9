"""Dataset folders: `dataset.jsonl`, `README.md` and `croissant.json` about it, then `manifest.json`, whose presence means
complete and whose digest names the content.

A manifest holds no time and no path, so the same recipe gives the same bytes everywhere. A name, once built, keeps its
content: other content under it is refused.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors, plugins, tasks
from tunix_rt.datasets import cards, reviews
from tunix_rt.datasets.figures import Tally
from tunix_rt.datasets.generation import rows
from tunix_rt.datasets.manifests import DATA, MANIFEST, Manifest, manifest_bytes
from tunix_rt.datasets.recipes import Recipe, plan
from tunix_rt.settings import Settings
from tunix_rt.tasks import TRANSFORMS
from tunix_rt.traces import TRACE_VERSION
from tunix_rt.values import atomic_writer, collector_paused, merkle_root, read_json, sha256, sha256_file, write_bytes


class Dataset(NamedTuple):
    """A verified folder: its manifest, and the path of its traces."""

    manifest: Manifest
    path: Path


class Difference(NamedTuple):
    """One file of a folder that is not what it is made of gives; `expected` and `found` are sha256, None where absent."""

    file: str
    expected: str | None
    found: str | None


def build(recipe: Recipe, folder: Path) -> Manifest:
    """Make the dataset in `folder`, or find it already there.

    Raises Conflict when the folder holds a dataset with other content, Tampered when its bytes are not what it says.
    """
    if (folder / MANIFEST).exists():
        manifest = _make(recipe, _nowhere)
        same(open_dataset(folder).manifest, manifest, folder)
    else:
        with atomic_writer(folder / DATA) as file:
            manifest = _make(recipe, file.write)
    finish(folder, manifest)
    return manifest


def finish(folder: Path, manifest: Manifest) -> None:
    """Write what is said about the data that lies in the folder, the manifest last; files that are right already stay."""
    for name, content in about(manifest).items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)


def about(manifest: Manifest) -> dict[str, bytes]:
    """The files of a folder that say what its data is, the manifest last."""
    return {**cards.files(manifest), MANIFEST: manifest_bytes(manifest)}


def check(recipe: Recipe, folder: Path) -> list[Difference]:
    """Make the dataset again and compare the hashes of all files; an empty list means identical.

    Raises Conflict when packages that made it are not here in the same versions.
    """
    if (folder / MANIFEST).is_file() and (why := other_packages(stats(folder))):
        raise errors.Conflict(f"{folder} cannot be made again here: {why}. Install that version first.")
    manifest = _make(recipe, _nowhere)
    expected = manifest.files | {name: sha256(content) for name, content in about(manifest).items()}
    differences = []
    for name, digest in expected.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else None
        if found != digest:
            differences.append(Difference(name, digest, found))
    return differences


def other_packages(manifest: Manifest) -> str | None:
    """Which package, with its version, made the dataset and is not here in that version; None when all are."""
    for name, version in (manifest.plugins or {}).items():
        here = plugins.installed(name)
        if here != version:
            lacking = "which is not here" if here is None else f"of which {here} is here"
            return f"{manifest.name} was made with {name} {version}, {lacking}"
    return None


def open_dataset(folder: Path) -> Dataset:
    """The folder's manifest and data, after the data's sha256 has been found to be the manifest's."""
    manifest = stats(folder)
    if DATA not in manifest.files:
        raise errors.Tampered(f"{folder / MANIFEST} does not list {DATA}.", file=MANIFEST, path=str(folder / MANIFEST))
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise errors.Tampered(f"{path} is missing although {MANIFEST} lists it.", file=name, path=str(path))
        if sha256_file(path) != expected:
            raise errors.Tampered(
                f"{path} is not the file that {MANIFEST} describes: its sha256 differs.", file=name, path=str(path)
            )
    return Dataset(manifest, folder / DATA)


def find(settings: Settings, name: str) -> Dataset:
    """The workspace's dataset of that name, verified."""
    return open_dataset(_folder(settings, name))


def manifest(settings: Settings, name: str) -> Manifest:
    """The manifest of the workspace's dataset of that name; the data is not read."""
    return stats(_folder(settings, name))


def _folder(settings: Settings, name: str) -> Path:
    folder = settings.datasets / Path(name).name
    if not (folder / MANIFEST).is_file():
        known = [path.parent.name for path in settings.datasets.glob(f"*/{MANIFEST}")]
        raise errors.NotFound(
            f"no dataset {name!r} here; `tunix-rt data build {name}` makes it.{errors.nearest(name, known)}", dataset=name
        )
    return folder


def stats(folder: Path) -> Manifest:
    """The folder's manifest as it stands, with composition and statistics; the data is not read."""
    path = folder / MANIFEST
    return Manifest.parse(read_json(path), source=str(path))


def _make(recipe: Recipe, write: Callable[[bytes], Any]) -> Manifest:
    """Hand every line of the dataset to `write`, as it is made, and describe them all."""
    ids, counted, state = bytearray(), Tally(recipe.labels), hashlib.sha256()
    with collector_paused():
        for row in rows(plan(recipe)):
            write(row.written)
            state.update(row.written)
            ids += row.id
            counted.take(row.measured)
    root = merkle_root(ids[at : at + 32].hex() for at in range(0, len(ids), 32))
    return _manifest(recipe, counted, state.hexdigest(), root)


def _nowhere(_written: bytes) -> None:
    """Where the lines go when only their hash is wanted."""


def _manifest(recipe: Recipe, counted: Tally, data_sha256: str, root: str) -> Manifest:
    used: dict[str, int] = {}
    brought: dict[str, str] = {}
    for mix in recipe.mixes.values():
        used |= {name: tasks.get(name, share.options).version for name, share in mix.tasks.items()}
        brought |= [package for name in mix.tasks if (package := tasks.package(name))]
        used |= {name: TRANSFORMS[name].version for name in mix.transforms}
        used |= {"review": reviews.VERSION} if mix.review else {}
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        seed=None if recipe.written else recipe.seed,
        count=counted.count,
        splits={recipe.split: counted.count},
        schema_version=TRACE_VERSION,
        recipe=recipe,
        recipe_digest=recipe.digest,
        generators=used,
        plugins=brought or None,
        composition=counted.composition,
        statistics=counted.figures,
        files={DATA: data_sha256},
        merkle_root=root,
    )


def same(there: Manifest, made: Manifest, folder: Path) -> Manifest:
    if there.digest == made.digest:
        return there
    raise errors.Conflict(
        f"{folder} already holds dataset {there.name!r} version {there.version} with other content; "
        "give the new one another name, or remove the old one.",
        name=there.name,
        have=there.digest,
        want=made.digest,
    )
