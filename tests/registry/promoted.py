"""A workspace with two runs that are evaluated: one that is good, one that is damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import insert

from made_up import RUN_ID, answered, dataset_in, folders_in
from tunix_rt import registry, runs, scoring, store, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.registry import Criterion, Entry
from tunix_rt.runs import Trained
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock


class Place(NamedTuple):
    """`base` is the id of the base model's evaluation, which `good` passes against and `damaged` fails against."""

    settings: Settings
    store: Store
    base: str
    good: Trained
    damaged: Trained

    def promote(self, run: Trained, name: str = "sums", **options: str | None) -> Entry:
        """By force, as everything about a gate is tested by itself."""
        admission = registry.admit(self.settings, run, None, "a test", forced=True)
        content = registry.keep(self.settings, run)
        with self.store.unit_of_work() as connection:
            return registry.record(connection, self.settings, name, content, admission, who="ada", reason="a test", **options)[
                0
            ]

    def gate(self, run: Trained, margin: float = 0.05) -> registry.Admission:
        decided = registry.decide(self.settings, run, Criterion(baseline=self.base, margin=margin))
        return registry.admit(self.settings, run, decided, None)


def evaluated(home: Path, evalset: Dataset, wrong: Callable[[int], bool], run: Trained | None) -> str:
    """The id of an evaluation that is wrong where it is told to be."""
    said = [
        ("1. x\nAnswer: no idea" if wrong(k) else scoring.render(["x"], item.final_answer), "stop")
        for k, item in enumerate(traces.read(evalset.path))
    ]
    about = {"run_id": run.run_id, "adapter_digest": run.adapter_digest} if run else {}
    folder = answered(home / "evals" / "new", evalset, said, **about)
    name: str = values.read_json(folder / "summary.json")["evaluation_id"]
    folder.rename(home / "evals" / name)
    return name


def another(home: Path, weights: bytes, run_id: str = "20250102-000000-abcdef") -> Trained:
    """Another run beside the made-up one, with other weights."""
    folder = home / "runs" / run_id
    shutil.copytree(home / "runs" / RUN_ID, folder)
    values.write_bytes(folder / "adapter" / "adapter.safetensors", weights)
    for name in ("config.json", "run.json"):
        row = values.read_json(folder / name) | {"run_id": run_id}
        values.write_json(folder / name, row | ({"adapter_digest": values.sha256(weights)} if name == "run.json" else {}))
    return runs.load(folder)


def fill(home: Path) -> None:
    folders = folders_in(home)
    for folder in (folders.base, folders.tuned):
        shutil.rmtree(folder)
    places = {"model": home / "models" / "tiny", "dataset": folders.trainset}
    values.write_json(folders.run / "inputs.json", {key: str(path) for key, path in places.items()})
    evalset = dataset_in(home / "datasets" / "eval-wide", "eval", 30)
    evaluated(home, evalset, lambda k: k % 2 == 0, None)
    evaluated(home, evalset, lambda k: k % 5 == 0, runs.load(folders.run))
    evaluated(home, evalset, lambda k: k % 10 != 0, another(home, b"damaged" * 100))


def opened(settings: Settings) -> Place:
    """A filled workspace as a place; its store is the caller's to close."""
    found = [values.read_json(path) for path in settings.evals.glob("*/summary.json")]
    (base,) = (row["evaluation_id"] for row in found if row["run_id"] is None and row["evalset"] == "eval-wide")
    good, damaged = (runs.load(path) for path in sorted(settings.runs.iterdir())[:2])
    return Place(settings, store.open_store(settings), base, good, damaged)


def in_ledger(store: Store, run: Trained) -> None:
    """The run as the ledger has one that was completed here."""
    spec = {"kind": "train", "config": {"name": run.name, "model": run.model}, "dataset": run.dataset}
    row = {"kind": "train", "state": "completed", "reason": "done", "priority": 0, "folder": f"runs/{run.run_id}"}
    counts = {"max_attempts": 3, "dry_run": False, "attempt": 1, "attempts_before": 0}
    with store.unit_of_work() as connection:
        connection.execute(
            insert(RUNS).values(
                run_id=run.run_id, spec=values.canonical(spec).decode(), created=clock(), ended=clock(), **row, **counts
            )
        )
