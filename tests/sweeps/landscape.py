"""Trials without a model: a launcher that writes what an engine would, better the nearer the learning rate is to 0.01.

Everything else is real: ledger, worker, scoring. Training takes a few polls, so that it can be watched and stopped.
"""

import math
import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import filled

from tunix_rt import datasets, jobs, models, scoring, store, sweeps, traces, values
from tunix_rt.jobs import GenerateJob, TrainConfig, TrainJob
from tunix_rt.launchers.handles import Exit, Handle, Status
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.sweeps import Standing, Sweep
from tunix_rt.worker import Worker

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tunix_rt.worker", "psycopg", "filled", "optuna"])
POINTS = 4  # of the held-out loss, one a poll
SPACE: dict[str, Any] = {
    "optimizer.learning_rate": {"kind": "loguniform", "low": 1e-4, "high": 1e-1},
    "tuning.method": {"kind": "choice", "values": ["lora", "full"]},
    "tuning.rank": {"kind": "choice", "values": [2, 4], "when": {"tuning.method": ["lora"]}},
}


def quality(config: TrainConfig) -> float:
    return max(0.0, 0.95 - abs(math.log10(config.optimizer.learning_rate) + 2) / 2)


def asked(**changes: Any) -> Sweep:
    """A small sweep; its own config is far from the best."""
    config = {
        "name": "tiny",
        "model": "tiny",
        "tuning": {"method": "lora", "rank": 4},
        "optimizer": {"learning_rate": 2e-4},
        "validation": {"dataset": "tiny-sums-val"},
    }
    base = {
        "name": "search",
        "config": config,
        "dataset": "tiny-sums",
        "val": {"evalset": "tiny-sums-val"},
        "test": {"evalset": "tiny-sums-test"},
        "space": SPACE,
        "sampler": {"kind": "tpe", "seed": 3, "startup": 4},
        "budget": {"trials": 6},
    }
    return sweeps.parse({**base, **changes}, source="sweep")


def workspace(settings: Settings) -> Store:
    """With the model and the datasets that `asked` names."""
    models.prepare(settings, "tiny")
    for name in ("tiny-sums", "tiny-sums-val", "tiny-sums-test"):
        datasets.build(datasets.recipe(name), settings.datasets / name)
    return store.open_store(settings)


def begun(settings: Settings, opened: Store, sweep: Sweep) -> Standing:
    with opened.unit_of_work() as connection:
        return sweeps.start(connection, sweeps.resolve(settings, sweep))


def standing(opened: Store, sweep_id: str) -> Standing:
    with opened.reading() as connection:
        return sweeps.get(connection, sweep_id)


class Landscape(filled.Recorded):
    """`failing` says which learning rates end in an error."""

    name = "landscape"

    def __init__(self, failing: float = math.inf) -> None:
        self._failing = failing

    def launch(self, handle: Handle, *, timeout: float | None) -> None:  # noqa: ARG002
        job, inputs = jobs.read(handle.folder)
        if isinstance(job, TrainJob):
            (handle.folder / "shown").write_text("0")
            (handle.folder / "log.txt").write_text("")
            return
        assert isinstance(job, GenerateJob)
        assert inputs.adapter is not None
        trained, _ = jobs.read(inputs.adapter.parent)
        assert isinstance(trained, TrainJob)
        _answered(handle.folder, job, inputs.dataset / "dataset.jsonl", quality(trained.config))
        (handle.folder / "log.txt").write_text("done\n")

    def poll(self, handle: Handle) -> Status:
        shown = handle.folder / "shown"
        if not shown.exists():
            return super().poll(handle)
        if (handle.folder / "cancelled").exists():
            return "exited"
        job, _ = jobs.read(handle.folder)
        assert isinstance(job, TrainJob)
        if job.config.optimizer.learning_rate >= self._failing:
            return "exited"
        done = int(shown.read_text())
        if done == POINTS:
            filled.trained_result(handle.folder, job, [_row(step, job.config) for step in range(1, POINTS + 1)])
            return "exited"
        rows = [_row(step, job.config) for step in range(1, done + 2)]
        values.write_jsonl(handle.folder / "metrics.jsonl", rows)
        values.write_bytes(shown, str(done + 1).encode())
        return "running"

    def exit(self, handle: Handle) -> Exit:
        if (handle.folder / "cancelled").exists():
            return Exit(143, "cancelled")
        job, _ = jobs.read(handle.folder)
        if isinstance(job, TrainJob) and job.config.optimizer.learning_rate >= self._failing:
            return Exit(1, "exception")
        return Exit(0, "completed")

    def cancel(self, handle: Handle) -> None:
        (handle.folder / "cancelled").touch()


def _row(step: int, config: TrainConfig) -> dict[str, Any]:
    loss = 2 - quality(config) - 0.1 * step
    return {"step": step, "loss": loss, "tokens": 100, "padding_tokens": 0, "seconds": 0.1, "eval_loss": loss}


def _answered(folder: Path, job: GenerateJob, path: Path, share: float) -> None:
    rows = []
    items = jobs.spread(list(traces.read(path)), job.limit)
    for number, item in enumerate(items):
        right = scoring.render([step.content for step in item.steps], item.final_answer)
        output = right if number < round(share * len(items)) else "1. 2 + 2 = 5\nAnswer: 5"
        facts = {"item": item.id, "prompt": item.prompt, "output": output}
        rows.append({**facts, "tokens": 12, "prompt_tokens": 30, "finish": "stop"})
    values.write_jsonl(folder / "generations.jsonl", rows)
    values.write_json(folder / "result.json", {"tokens": 12 * len(rows), "seconds": 1.5})


def work(settings: Settings) -> None:
    """A worker process, which waits out nothing but what it is told to."""
    Worker(settings, store.open_store(settings), slots=2, launcher=Landscape()).work(lambda: False, once=True)


def killed(settings: Settings, kills: int, seed: int, limit: float = 120.0) -> int:
    """Work a sweep off with two processes, of which `kills` are killed on the way; returns how many were."""
    rng, done, began = random.Random(seed), 0, time.monotonic()
    alive = [_start(settings) for _ in range(2)]
    try:
        while any(process.is_alive() for process in alive) and time.monotonic() - began < limit:
            time.sleep(rng.uniform(0.2, 0.9))
            victim = rng.randrange(2)
            if done < kills and alive[victim].is_alive():
                alive[victim].kill()
                alive[victim].join()
                alive[victim] = _start(settings)
                done += 1
    finally:
        for process in alive:
            process.kill()
            process.join()
    return done


def _start(settings: Settings) -> Any:
    process = CONTEXT.Process(target=work, args=(settings,), daemon=True)
    process.start()
    return process
