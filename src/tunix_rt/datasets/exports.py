"""A dataset as the folder a trainer reads; `export.json`, written last, names the dataset and every file's hash."""

import importlib
import shutil
from pathlib import Path
from typing import Literal

from tunix_rt import errors, formats, traces
from tunix_rt.datasets.folders import Dataset
from tunix_rt.formats import exports
from tunix_rt.values import Value, sha256_file, write_bytes, write_json

MANIFEST = "export.json"
PARQUET_DATA = "data/train-00000-of-00001.parquet"


class Exported(Value):
    """What an export folder holds, and of which dataset."""

    export_version: Literal["1.0"] = "1.0"
    format: str
    dataset: str
    dataset_digest: str
    count: int
    files: dict[str, str]


def export(dataset: Dataset, to: str, out: Path) -> Exported:
    """Write the dataset as format `to` into the folder `out`, which must be new or empty; nothing is left after a failure.

    Raises NotFound for an unknown format, Conflict for a folder in use, Invalid naming a trace the format cannot hold.
    """
    if to not in exports.NAMES:
        raise errors.NotFound(f"no export format {to!r}.{errors.nearest(to, exports.NAMES)}", format=to)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.Conflict(f"{str(out)!r} is not empty; name a new folder.", path=str(out))
    fresh = not out.exists()
    try:
        _write(dataset, to, out)
        manifest = dataset.manifest
        files = {str(path.relative_to(out)): sha256_file(path) for path in sorted(out.rglob("*")) if path.is_file()}
        made = Exported(format=to, dataset=manifest.name, dataset_digest=manifest.digest, count=manifest.count, files=files)
        write_json(out / MANIFEST, made.model_dump(mode="json"))
    except BaseException:
        for path in out.iterdir() if out.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if fresh and out.exists():
            out.rmdir()
        raise
    return made


def _write(dataset: Dataset, to: str, out: Path) -> None:
    manifest, rows = dataset.manifest, traces.read(dataset.path)
    about = exports.About(manifest.name, manifest.digest, manifest.description, manifest.licence, manifest.count)
    if to == exports.PARQUET:
        importlib.import_module("tunix_rt.formats.parquet").write(rows, out / PARQUET_DATA)
        write_bytes(out / "README.md", exports.card(about).encode())
    else:
        chosen = exports.EXPORTS[to]
        exports.write(chosen, formats.named(chosen.reads), about, rows, out)
