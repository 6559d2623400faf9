"""A workspace in which everything has happened once: ledger, runs, evaluations and a bundle, by the real worker and the real
stages over a launcher that writes what an engine would, in no time. What a model "said" is made up; nothing else is."""

from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI

from tunix_rt import datasets, evidence, jobs, models, registry, runs, scoring, store, sweeps, traces, values
from tunix_rt.jobs import Batch, GenerateJob, Lora, TrainConfig, TrainJob
from tunix_rt.launchers.handles import Exit, Handle, Status, Why
from tunix_rt.runs import EvalSpec, ProbeSpec, Run, TrainSpec
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.traces import Step, Trace, stored
from tunix_rt.worker import Worker

ADAPTER = bytes(range(256)) * 8
WRONG = Trace(
    prompt="A shop sells pens for $3 each. How much do 4 pens cost?",
    steps=(Step(i=1, type="plan", content="multiply the price by the count"), Step(i=2, type="compute", content="3 * 4 = 13")),
    final_answer="$13",
)


class Lab(NamedTuple):
    """`ids` names what is in it; see `fill`."""

    settings: Settings
    ids: dict[str, str]


def closed(app: FastAPI) -> None:
    app.state.service.store.close()
    app.state.service.audit.close()


class Recorded:
    """Launches nothing: the outputs are there at once."""

    name = "recorded"

    def launch(self, handle: Handle, *, timeout: float | None) -> None:  # noqa: ARG002
        job, inputs = jobs.read(handle.folder)
        if isinstance(job, TrainJob):
            _trained(handle.folder, job)
        elif isinstance(job, GenerateJob):
            _answered(handle.folder, job, inputs.dataset / "dataset.jsonl")
        (handle.folder / "log.txt").write_text("loading\ntraining\ndone\n")

    def poll(self, handle: Handle) -> Status:
        return "exited" if (handle.folder / "log.txt").exists() else "new"

    def exit(self, handle: Handle) -> Exit:
        job, _ = jobs.read(handle.folder)
        return Exit(70, "exception") if isinstance(job, jobs.ProbeJob) else Exit(0, "completed")

    def cancel(self, handle: Handle, why: Why = "cancelled") -> None: ...

    def reap(self, handle: Handle) -> bool:  # noqa: ARG002
        return True


def _trained(folder: Path, job: TrainJob) -> None:
    rows = [
        {
            "step": step,
            "loss": round(5.0 / step, 4),
            "lr": 0.001,
            "grad_norm": 1.0,
            "tokens": 400,
            "trained_tokens": 200,
            "padding_tokens": 100,
            "examples": 4,
            "seconds": 0.5,
            "useful_tokens_per_second": 800.0,
        }
        for step in range(1, 17)
    ]
    events = jobs.Events(folder)
    events.emit("phase", name="loading")
    events.emit("plan", steps=16, examples=64, tokens=6_400)
    events.emit("phase", name="training")
    values.write_jsonl(folder / "metrics.jsonl", rows)
    trained_result(folder, job, rows)


def trained_result(folder: Path, job: TrainJob, rows: list[dict[str, Any]]) -> None:
    """The adapter and the facts that a training with these metrics leaves."""
    values.write_bytes(folder / "adapter" / "adapter.safetensors", ADAPTER)
    values.write_json(
        folder / "adapter" / "adapter_config.json",
        {"method": "lora", "base_model_digest": job.model_digest, "sha256": values.sha256(ADAPTER)},
    )
    _environment(folder)
    result = {
        "adapter_digest": values.sha256(ADAPTER),
        "mask_digest": values.sha256(b"masks"),
        "steps": len(rows),
        "loss": rows[-1]["loss"],
        "first_loss": rows[0]["loss"],
        "examples": 64,
        "tokens": 6_400,
        "trained_tokens": 3_200,
        "trained_parameters": 4_096,
        "padding_share": 0.2,
        "useful_tokens_per_second": 800.0,
        "seconds": 8.0,
        "peak_memory_bytes": 123_456_789,
        "device": "cpu",
    }
    values.write_json(folder / "result.json", result)


def _environment(folder: Path) -> None:
    facts = {"python": "3.11", "tunix_rt": "0.1.0", "lock_digest": values.sha256(b"lock"), "packages": {}}
    values.write_json(folder / "environment.json", facts)


def _answered(folder: Path, job: GenerateJob, path: Path) -> None:
    """The base rambles and is right now and then; the tuned one is right three times in four."""
    rows = []
    for number, item in enumerate(jobs.spread(list(traces.read(path)), job.limit)):
        right = scoring.render([step.content for step in item.steps], item.final_answer)
        good = number % 4 != 0 if job.run_id else number % 6 == 0
        output = right if good else "1. 2 + 2 = 5\nAnswer: 5" if job.run_id else "Let us see, let us see"
        rows.append(
            {"item": item.id, "prompt": item.prompt, "output": output, "tokens": 12, "prompt_tokens": 30, "finish": "stop"}
        )
    values.write_jsonl(folder / "generations.jsonl", rows)
    values.write_json(folder / "result.json", {"tokens": 12 * len(rows), "seconds": 1.5})
    _environment(folder)


def fill(settings: Settings) -> dict[str, str]:
    """Fill a new workspace; returns the ids that pages are asked for by."""
    for name in ("tiny-sums", "tiny-sums-eval"):
        datasets.build(datasets.recipe(name), settings.datasets / name)
    models.prepare(settings, "tiny")
    opened = store.open_store(settings)
    worker = Worker(settings, opened, launcher=Recorded())
    try:
        ids = _filled(settings, opened, worker)
    finally:
        worker.close()
        opened.close()
    run_id = ids["run"]
    evidence.pack_run(settings, runs.load(settings.runs / run_id), settings.evidence / f"{run_id}.zip")
    return ids


def _filled(settings: Settings, opened: Store, worker: Worker) -> dict[str, str]:
    with opened.unit_of_work() as connection:
        sums = list(traces.read(settings.datasets / "tiny-sums" / "dataset.jsonl"))
        stored.add_many(connection, sums, "tunix-rt")
        wrong, _ = stored.add(connection, WRONG, "web")
    train = run(settings, opened, worker, TrainSpec(config=config("first"), dataset="tiny-sums"))
    other = run(settings, opened, worker, TrainSpec(config=config("second", rank=8), dataset="tiny-sums"))
    failed = run(settings, opened, worker, ProbeSpec(how="exception"))
    sweep = swept(settings, opened, worker)
    evaluations = {}
    for key, facts in (("base", {}), ("tuned", tuned(settings, train)), ("other", tuned(settings, other))):
        made = run(settings, opened, worker, EvalSpec(model="tiny", evalset="tiny-sums-eval", **facts))
        evaluations[key] = Path(made.folder).name
    _promoted(settings, opened, train, evaluations["base"])
    with opened.unit_of_work() as connection:
        queued = runs.submit(connection, runs.resolve(settings, ProbeSpec(how="hang")))
    return {
        "run": train.run_id,
        "second": other.run_id,
        "failed": failed.run_id,
        "queued": queued.run_id,
        "sweep": sweep,
        "trace": wrong.id,
        "sum": sums[0].id,
        **evaluations,
    }


def _promoted(settings: Settings, opened: Store, made: Run, base: str) -> None:
    """Version 1 of the model `summer`, its champion."""
    trained = runs.load(made.dir(settings))
    decided = registry.decide(settings, trained, registry.Criterion(baseline=base))
    admission = registry.admit(settings, trained, decided, None)
    content = registry.keep(settings, trained)
    with opened.unit_of_work() as connection:
        registry.record(connection, settings, "summer", content, admission, who="ada", alias="champion")


def swept(settings: Settings, opened: Store, worker: Worker) -> str:
    """A finished sweep of four trials."""
    for name in ("tiny-sums-val", "tiny-sums-test"):
        datasets.build(datasets.recipe(name), settings.datasets / name)
    asked = {
        "name": "ranks",
        "config": config("first").model_dump(mode="json"),
        "dataset": "tiny-sums",
        "val": {"evalset": "tiny-sums-val"},
        "test": {"evalset": "tiny-sums-test"},
        "budget": {"trials": 4},
        "space": {
            "tuning.method": {"kind": "choice", "values": ["lora", "full"]},
            "tuning.rank": {"kind": "choice", "values": [2, 4, 8], "when": {"tuning.method": ["lora"]}},
            "optimizer.learning_rate": {"kind": "loguniform", "low": 1e-4, "high": 1e-2},
        },
    }
    with opened.unit_of_work() as connection:
        found = sweeps.start(connection, sweeps.resolve(settings, sweeps.parse(asked, source="sweep")))
    worker.work(lambda: False, once=True)
    return found.sweep_id


def config(name: str, rank: int = 4) -> TrainConfig:
    return TrainConfig(name=name, model="tiny", tuning=Lora(rank=rank), batch=Batch(row_tokens=512))


def tuned(settings: Settings, made: Run) -> dict[str, Any]:
    trained = runs.load(made.dir(settings))
    return {"run_id": trained.run_id, "adapter_digest": trained.adapter_digest, "tuned_by": trained.name}


def run(settings: Settings, opened: Store, worker: Worker, spec: TrainSpec | EvalSpec | ProbeSpec) -> Run:
    with opened.unit_of_work() as connection:
        made = runs.submit(connection, runs.resolve(settings, spec))
    while worker.step():
        pass
    with opened.reading() as connection:
        return runs.get(connection, made.run_id)
