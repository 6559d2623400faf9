"""A sweep in the foreground: begun, and followed with workers of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunix_rt import errors, models, sweeps
from tunix_rt.store import Store
from tunix_rt.sweeps import Standing, Sweep
from tunix_rt.workbench import foreground
from tunix_rt.workbench.building import obtain
from tunix_rt.workbench.desk import Desk

POLL_SECONDS = 0.5


def sweep(desk: Desk, file: str, workers: int | None = None, *, detach: bool = False) -> Standing:
    """Begin the sweep of a file or a name that ships, or go on with it, and follow it to its end unless `detach`."""
    asked = _prepared(desk, _read(file))
    with foreground.ledger(desk) as opened:
        with opened.unit_of_work() as connection:
            found = sweeps.start(connection, sweeps.resolve(desk.settings, asked))
        desk.say(f"sweep {found.sweep_id}: {sweeps.most(found.spec)} trials, {found.spec.parallel} side by side")
        return found if detach else _follow(desk, opened, found, workers or found.spec.parallel)


def _read(name: str) -> Sweep:
    if Path(name).is_file() or name.endswith(".toml"):
        return sweeps.load(Path(name))
    return sweeps.shipped(name)


def _prepared(desk: Desk, sweep: Sweep) -> Sweep:
    """With the datasets and the model it names in the workspace, as far as they can be made."""
    validation = [sweep.config.validation.dataset] if sweep.config.validation else []
    for name in [sweep.dataset, sweep.val.evalset, sweep.test.evalset, *validation]:
        obtain(desk, name)
    models.prepare(desk.settings, sweep.config.model, desk.say)
    return sweep


def _follow(desk: Desk, opened: Store, found: Standing, count: int) -> Standing:
    """Until the sweep has ended, or nobody is left who works on it."""
    with _working(desk, found, count) as children, desk.progress("trials") as update:
        try:
            while True:
                alive = any(child.poll() is None for child in children)
                with opened.reading() as connection:
                    found = sweeps.get(connection, found.sweep_id)
                ended = sum(trial.state != "running" for trial in found.trials)
                update(ended, sweeps.most(found.spec), _doing(found))
                if found.state not in sweeps.OPEN:
                    break
                if not alive:
                    raise errors.Failed(f"its workers ended before it did; see {_logs(desk, found)}.", sweep=found.sweep_id)
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt as interrupt:
            text = (
                "left; what runs goes on to its end. `tunix-rt sweep start` with the same file, or any worker, goes on with "
                f"{found.sweep_id}."
            )
            raise errors.Interrupted(text, sweep=found.sweep_id) from interrupt
    if found.state == "failed":
        raise errors.Failed(found.message or "the sweep failed.", sweep=found.sweep_id)
    return found


def _doing(found: Standing) -> str:
    if found.state != "running":
        return found.state
    best = found.best
    return (
        f"best {found.spec.objective.metric} {best.value:.4g} (trial {best.number})" if best and best.value is not None else ""
    )


def _logs(desk: Desk, found: Standing) -> Path:
    return desk.settings.home / "sweeps" / found.sweep_id


@contextmanager
def _working(desk: Desk, found: Standing, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers as children, which end by themselves once nothing is left to do: also when this command is killed."""
    folder = _logs(desk, found)
    folder.mkdir(parents=True, exist_ok=True)
    children = []
    for number in range(count):
        with (folder / f"worker-{number}.log").open("ab") as log:
            line = [sys.executable, "-m", "tunix_rt.cli", "worker", "--once", "--home", str(desk.settings.home)]
            children.append(subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
