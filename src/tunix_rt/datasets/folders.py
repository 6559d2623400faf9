"""Dataset folders: `dataset.jsonl`, then `manifest.json`, whose presence means complete and whose digest names the content.

A manifest holds no time and no path, so the same recipe gives the same bytes everywhere. A name, once built, keeps its
content: other content under it is refused.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import model_validator

from tunix_rt import errors, tasks
from tunix_rt.datasets.figures import Composition, Figures, Tally
from tunix_rt.datasets.generation import stream
from tunix_rt.datasets.recipes import Name, Recipe, plan
from tunix_rt.settings import Settings
from tunix_rt.tasks import TRANSFORMS
from tunix_rt.traces import Trace
from tunix_rt.values import Value, jsonl_line, merkle_root, pretty, read_json, sha256, sha256_file, write_bytes

DATA, MANIFEST = "dataset.jsonl", "manifest.json"
TRACE_VERSION: str = Trace.model_fields["trace_version"].default


class Source(Value):
    """The file a dataset was ingested from: its own name, its bytes' hash, its format, and what became of its `rows`.

    `reasoning_absent` counts traces whose row had an answer but no reasoning.
    """

    file: str
    sha256: str
    format: str
    rows: int
    added: int
    duplicates: int
    rejected: int
    reasoning_absent: int


class Manifest(Value):
    """`digest` names the dataset; `merkle_root` is over the trace ids in file order; `generators` are name -> version.

    A dataset comes either from a `recipe`, with its seed and generators, or from a `source`.
    """

    manifest_version: Literal["1.0"] = "1.0"
    name: str
    version: int
    description: str
    licence: str
    seed: int | None = None
    count: int
    splits: dict[str, int]
    schema_version: str
    recipe: Recipe | None = None
    recipe_digest: str | None = None
    source: Source | None = None
    generators: dict[str, int]
    composition: Composition
    statistics: Figures
    files: dict[Name, str]
    merkle_root: str

    @model_validator(mode="after")
    def _one_origin(self) -> "Manifest":
        if (self.recipe is None) == (self.source is None):
            raise ValueError("a dataset comes either from a recipe or from a source")
        return self


class Dataset(NamedTuple):
    """A verified folder: its manifest, and the path of its traces."""

    manifest: Manifest
    path: Path


class Difference(NamedTuple):
    """One file of a folder that is not what its recipe makes; `expected` and `found` are sha256, None where absent."""

    file: str
    expected: str | None
    found: str | None


def build(recipe: Recipe, folder: Path) -> Manifest:
    """Make the dataset in `folder`, or find it already there.

    Raises Conflict when the folder holds a dataset with other content, Tampered when its bytes are not what it says.
    """
    data, manifest = _make(recipe)
    if (folder / MANIFEST).exists():
        return same(open_dataset(folder).manifest, manifest, folder)
    write_bytes(folder / DATA, data)
    write_bytes(folder / MANIFEST, manifest_bytes(manifest))
    return manifest


def check(recipe: Recipe, folder: Path) -> list[Difference]:
    """Make the dataset again and compare the bytes of both files; an empty list means identical."""
    data, manifest = _make(recipe)
    expected = {DATA: data, MANIFEST: manifest_bytes(manifest)}
    differences = []
    for name, content in expected.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else None
        if found != sha256(content):
            differences.append(Difference(name, sha256(content), found))
    return differences


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


def _make(recipe: Recipe) -> tuple[bytes, Manifest]:
    lines, ids, counted = [], [], Tally()
    for trace in stream(plan(recipe)):
        lines.append(jsonl_line(trace.line()))
        ids.append(trace.id)
        counted.add(trace)
    data = b"".join(lines)
    return data, _manifest(recipe, counted, sha256(data), merkle_root(ids))


def _manifest(recipe: Recipe, counted: Tally, data_sha256: str, root: str) -> Manifest:
    used = {name: tasks.get(name).version for name in recipe.tasks}
    used |= {name: TRANSFORMS[name].version for name in recipe.transforms}
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        seed=recipe.seed,
        count=counted.count,
        splits={recipe.split: counted.count},
        schema_version=TRACE_VERSION,
        recipe=recipe,
        recipe_digest=recipe.digest,
        generators=used,
        composition=counted.composition,
        statistics=counted.figures,
        files={DATA: data_sha256},
        merkle_root=root,
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    return pretty(manifest.model_dump(mode="json", exclude_none=True)).encode()


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
