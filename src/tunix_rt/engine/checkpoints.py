"""Checkpoints that can be trusted: after Orbax commits a step, a sha256 manifest of its files is written last.

Orbax restores flipped bits without a word, and a save that returns True may still be lost; so a step counts only when its
manifest is there and every file matches it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flax import nnx
from tunix.sft.checkpoint_manager import CheckpointManager

from tunix_rt import errors, values
from tunix_rt.engine import hosts
from tunix_rt.engine.stopping import Stopped
from tunix_rt.jobs import Events

MANIFEST = "sha256.json"


class VerifiedCheckpoints:
    """Tunix's checkpoint manager, with a manifest written after each commit.

    Tunix calls `save` at the end of every optimizer step. A step is kept whatever the interval is when it is `wanted`, and
    when `ending` names why it is the last: it is verified then, and training ends there with that exception. `sealed` is told
    every step that is kept.
    """

    def __init__(
        self,
        inner: CheckpointManager,
        root: Path,
        *,
        ending: Callable[[], type[Stopped] | None] = lambda: None,
        wanted: Callable[[], bool] = lambda: False,
        sealed: Callable[[int], None] = lambda _step: None,
    ) -> None:
        self._inner = inner
        self._root = root
        self._ending = ending
        self._wanted = wanted
        self._sealed = sealed
        self.saving_seconds = 0.0

    def latest_step(self) -> int | None:
        step = self._inner.latest_step()
        return None if step is None else int(step)

    def save(self, step: int, model: nnx.Module, optimizer: nnx.Optimizer | None = None, **options: Any) -> bool:
        why, began = self._ending(), time.monotonic()
        force = {"force": True} if why or self._wanted() else {}
        saved = bool(self._inner.save(step, model, optimizer, **{**options, **force}))
        if saved:
            if hosts.first():
                seal(self._root / str(step))
            hosts.together("sealed")
            self._sealed(step)
            self.saving_seconds = max(self.saving_seconds, time.monotonic() - began)
        if why:
            verify(self._root / str(step))
            raise why(f"stopped after step {step}; its checkpoint is verified.", step=step)
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
    try:
        promised = dict(values.read_json(manifest)["files"])
    except (errors.Invalid, KeyError, TypeError, ValueError) as error:
        raise errors.Tampered(f"{manifest} cannot be read: the checkpoint is damaged.", path=str(manifest)) from error
    found = {str(file.relative_to(folder)): file for file in _files(folder)}
    for name in sorted(promised.keys() ^ found.keys()):
        raise errors.Tampered(
            f"{folder / name}: {'missing' if name in promised else 'not in the manifest'}.", path=str(folder / name)
        )
    for name, file in found.items():
        if values.sha256_file(file) != promised[name]:
            raise errors.Tampered(f"{file} is not what was saved.", path=str(file))


def usable(root: Path, events: Events) -> int | None:
    """The newest verified step under `root`, which is what a restore then finds; None when no step was complete yet.

    What is newer and not verified is put aside, never removed, and an event names it. When none verifies and one was complete
    once, this raises `errors.Tampered`: to start again would hide the damage. Orbax saves the first step whatever the interval
    is, and it is sealed before the second is begun, so any trace of a later step tells that.
    """
    steps = sorted((int(path.name) for path in root.glob("*") if path.name.isdigit()), reverse=True)
    changed: errors.Tampered | None = None
    for step in steps:
        try:
            verify(root / str(step))
        except errors.Tampered as tampered:
            if (root / str(step) / MANIFEST).is_file():
                changed = tampered
            continue
        for newer in (other for other in steps if other > step):
            _put_aside(root, newer, events)
        return step
    reached = max([_lines(root.parent / "metrics.jsonl"), *steps])
    if changed is None and reached > 1:
        changed = errors.Tampered(
            f"{root} has no complete checkpoint, and the run has been at step {reached}: checkpoints or their {MANIFEST} were "
            "taken away. Put them back, or start a new run.",
            path=str(root),
        )
    if changed is not None:
        raise changed
    for step in steps:
        _put_aside(root, step, events)
    return None


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _put_aside(root: Path, step: int, events: Events) -> None:
    aside = root.parent / "damaged"
    aside.mkdir(exist_ok=True)
    target = aside / f"{step}-{len(list(aside.iterdir()))}"
    (root / str(step)).rename(target)
    events.emit("checkpoint_damaged", step=step, aside=target.name)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
