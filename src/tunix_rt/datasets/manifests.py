"""What a dataset folder says of itself. It holds no time and no path, so equal content has an equal digest everywhere."""

from typing import Literal

from pydantic import model_validator

from tunix_rt.datasets.figures import Composition, Figures
from tunix_rt.datasets.recipes import Name, Recipe
from tunix_rt.values import Value, pretty

DATA, MANIFEST = "dataset.jsonl", "manifest.json"


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


def manifest_bytes(manifest: Manifest) -> bytes:
    return pretty(manifest.model_dump(mode="json", exclude_none=True)).encode()
