"""Checkpoints that can be trusted: after Orbax commits a step, a sha256 manifest of its files is written last.

Orbax restores flipped bits without a word, and a save that returns True may still be lost; so a step counts only when its
manifest is there and every file matches it.
"""

from pathlib import Path
from typing import Any

from flax import nnx
from tunix.sft.checkpoint_manager import CheckpointManager

from tunix_rt import errors, values

MANIFEST = "sha256.json"


class VerifiedCheckpoints:
    """Tunix's checkpoint manager, with a manifest written after each commit."""

    def __init__(self, inner: CheckpointManager, root: Path) -> None:
        self._inner = inner
        self._root = root

    def latest_step(self) -> int | None:
        step = self._inner.latest_step()
        return None if step is None else int(step)

    def save(self, step: int, model: nnx.Module, optimizer: nnx.Optimizer | None = None, **options: Any) -> bool:
        saved = bool(self._inner.save(step, model, optimizer, **options))
        if saved:
            seal(self._root / str(step))
        return saved

    def close(self) -> None:
        self._inner.close()


def seal(folder: Path) -> None:
    """Write the manifest of a committed step."""
    if not folder.is_dir():
        raise errors.Failed(f"checkpoint {folder.name} was not committed to {str(folder)!r}; is the disk full?")
    files = {str(file.relative_to(folder)): values.sha256_file(file) for file in _files(folder)}
    values.write_json(folder / MANIFEST, {"files": files})


def verify(folder: Path) -> None:
    """Raise `errors.Tampered` naming the first file of a step that is missing, extra or changed."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise errors.Tampered(f"{folder} has no {MANIFEST}: the checkpoint is not complete.", path=str(folder))
    promised = values.read_json(manifest)["files"]
    found = {str(file.relative_to(folder)): file for file in _files(folder)}
    for name in sorted(promised.keys() ^ found.keys()):
        raise errors.Tampered(
            f"{folder / name}: {'missing' if name in promised else 'not in the manifest'}.", path=str(folder / name)
        )
    for name, file in found.items():
        if values.sha256_file(file) != promised[name]:
            raise errors.Tampered(f"{file} is not what was saved.", path=str(file))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
