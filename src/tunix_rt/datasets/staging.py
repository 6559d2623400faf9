"""A dataset's files are made beside their place and moved into it when they are whole; the manifest comes last."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunix_rt import errors
from tunix_rt.datasets.folders import finish, open_dataset, same
from tunix_rt.datasets.manifests import MANIFEST, Manifest
from tunix_rt.datasets.recipes import builtin_recipes
from tunix_rt.values import fsync_folder

STORED = "stored"  # in a selection, the traces of the database
ADDRESSES = ("build", "ingest")  # of the service: a dataset of that name would have no address there


def own_name(name: str) -> str:
    """Raises Conflict for the name of a built-in recipe, which must never come to mean anything else, and for words that mean
    something else already."""
    if name in ADDRESSES:
        raise errors.Conflict(f"{name!r} is an address of the service; give this dataset another name.", name=name)
    if name == STORED:
        raise errors.Conflict(f"{name!r} means the traces of the database; give this dataset another name.", name=name)
    if name in builtin_recipes():
        raise errors.Conflict(f"{name!r} is the name of a built-in recipe; give this dataset another.", name=name)
    return name


@contextmanager
def staging(datasets: Path) -> Iterator[Path]:
    """A folder on the same disk, gone afterwards."""
    try:
        datasets.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".staging-", dir=datasets))
    except OSError as error:
        raise errors.Failed(f"cannot write {str(datasets)!r}: {error.strerror or error}.", path=str(datasets)) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def store(stage: Path, manifest: Manifest, folder: Path) -> bool:
    """Move the manifest's files under its name, then write it; False when the same dataset is there already.

    Raises Conflict when the folder holds a dataset with other content.
    """
    if (folder / MANIFEST).exists():
        same(open_dataset(folder).manifest, manifest, folder)
        finish(folder, manifest)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name in manifest.files:
        (stage / name).replace(folder / name)
    fsync_folder(folder)
    finish(folder, manifest)
    return True
