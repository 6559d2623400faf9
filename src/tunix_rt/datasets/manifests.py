"""What a dataset folder says of itself. It holds no time and no path, so equal content has an equal digest everywhere."""

from typing import Literal

from pydantic import model_validator

from tunix_rt.checking import Summary
from tunix_rt.datasets.figures import Composition, Figures
from tunix_rt.datasets.recipes import Name, Recipe
from tunix_rt.datasets.selections import Selection
from tunix_rt.tasks import gym
from tunix_rt.values import Value, pretty

DATA, MANIFEST = "dataset.jsonl", "manifest.json"


class Source(Value):
    """The file a dataset was ingested from: its own name, its bytes' hash, its format, and what became of its `rows`.

    `reasoning_absent` counts traces whose row had an answer but no reasoning. `check` is what the checker said of all rows that
    could be read, None if it was not asked; those it found wrong are among the rejected.
    """

    file: str
    sha256: str
    format: str
    rows: int
    added: int
    duplicates: int
    rejected: int
    reasoning_absent: int
    check: Summary | None = None


class Parent(Value):
    """A dataset that a selection drew from, as it was then: of its `count` traces, `taken` are here."""

    name: str
    dataset_digest: str
    count: int
    taken: int


class Manifest(Value):
    """`digest` names the dataset; `merkle_root` is over the trace ids in file order; `generators` are name -> version,
    `plugins` package -> version of the plug-ins that were used, where there were any.

    A dataset comes either from a `recipe`, with its seed and generators, or from a `source`, or by a `selection` from its
    `parents`; then `dropped` counts, by code, the traces that are listed in rejects.jsonl.
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
    selection: Selection | None = None
    parents: tuple[Parent, ...] | None = None
    dropped: dict[str, int] | None = None
    generators: dict[str, int]
    plugins: dict[str, str] | None = None
    composition: Composition
    statistics: Figures
    files: dict[Name, str]
    merkle_root: str

    @model_validator(mode="after")
    def _one_origin(self) -> "Manifest":
        if sum(origin is not None for origin in (self.recipe, self.source, self.selection)) != 1:
            raise ValueError("a dataset comes either from a recipe or from a source or from a selection")
        if (self.selection is None) != (self.parents is None) or (self.selection is None) != (self.dropped is None):
            raise ValueError("a selection has parents and counts what it dropped; nothing else has")
        return self

    @property
    def of_gym(self) -> int:
        """Its traces that come from reasoning-gym, whose only step states the answer."""
        return sum(count for task, count in self.composition.task.items() if task.startswith(gym.PREFIX))


def manifest_bytes(manifest: Manifest) -> bytes:
    return pretty(manifest.model_dump(mode="json", exclude_none=True)).encode()
