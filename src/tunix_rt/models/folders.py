"""A model folder in Hub layout: `config.json`, safetensors, tokenizer files and, written last, `manifest.json`.

The manifest holds the sha256 of each file; its digest is the model's identity. Opening a folder whose bytes differ is refused.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, values
from tunix_rt.values import Value

MANIFEST = "manifest.json"


class Manifest(Value):
    """`files` maps file name to sha256; `source` says what the bytes were made from."""

    name: str
    source: str
    licence: str
    parameters: int
    files: dict[str, str]


class BaseModel(NamedTuple):
    folder: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        return self.manifest.digest


class Origin(NamedTuple):
    """What a manifest says besides the files."""

    source: str
    licence: str
    parameters: int


def open_folder(folder: Path) -> BaseModel:
    """Read a model folder and verify every file against its manifest."""
    path = folder / MANIFEST
    manifest = Manifest.parse(values.read_json(path), source=str(path))
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file() or values.sha256_file(file) != expected:
            raise errors.Tampered(
                f"{file} is not the file its manifest names; delete {folder} to convert the model again.",
                path=str(file),
            )
    return BaseModel(folder, manifest)


@contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """One process at a time makes the model called `name`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{name}.lock").open("w")
    except OSError as error:
        raise errors.Failed(f"cannot write {str(folder)!r}: {error.strerror}.", path=str(folder)) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder: Path, fill: Callable[[Path], Origin]) -> None:
    """A model folder from what `fill` puts into an empty one, whole or not at all."""
    work = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        origin = fill(work)
        manifest = Manifest(
            name=folder.name,
            source=origin.source,
            licence=origin.licence,
            parameters=origin.parameters,
            files={file.name: values.sha256_file(file) for file in sorted(work.iterdir())},
        )
        values.write_json(work / MANIFEST, manifest.model_dump(mode="json"))
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    except OSError as error:
        raise errors.Failed(
            f"cannot write the model to {str(folder)!r}: {error.strerror or error}.", path=str(folder)
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
