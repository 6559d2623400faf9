"""What training and answering take on this device, measured by doing a little of both outside the ledger."""

import shlex
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, evals, jobs, models, runs, values
from tunix_rt.cli.console import Surface
from tunix_rt.jobs import Device, Inputs, Mesh, TrainConfig
from tunix_rt.launchers import local
from tunix_rt.runs import TrainSpec
from tunix_rt.submission import Measured, Plan
from tunix_rt.workbench import following, training
from tunix_rt.workbench.building import obtain
from tunix_rt.worker import work


class Asked(NamedTuple):
    config: TrainConfig
    dataset: str
    evalset: str
    limit: int | None
    max_new_tokens: int
    device: Device


class Trained(NamedTuple):
    """`steps` are the seconds of every step but the first, `rest` what the process took besides, `saving` one checkpoint."""

    steps: list[float]
    rest: float
    saving: float
    total: int
    device: str


def measure(surface: Surface, asked: Asked, steps: int, items: int) -> Measured:
    """Train `steps` steps and answer `items` items with the base model; what they leave is thrown away."""
    surface.settings.home.mkdir(parents=True, exist_ok=True)
    models.prepare(surface.settings, asked.config.model, surface.say)
    obtain(surface, asked.evalset)
    with tempfile.TemporaryDirectory(dir=surface.settings.home, prefix=".measure-") as place:
        trained = _train(surface, asked, steps, Path(place) / "train")
        evaluating = _evaluate(surface, asked, items, Path(place) / "eval")
    return Measured(
        device=trained.device,
        step_seconds=round(max(trained.steps), 4),
        start_seconds=round(trained.rest, 3),
        saving_seconds=round(trained.saving, 3),
        evaluation_seconds=round(2 * evaluating, 3),
        total_steps=trained.total,
        epochs=asked.config.passes,
        every_steps=asked.config.checkpoints.every_steps,
    )


def _train(surface: Surface, asked: Asked, steps: int, folder: Path) -> Trained:
    spec = training.spec(surface, asked.config, asked.dataset, asked.device, Mesh(), steps)
    resolved = runs.resolve(surface.settings, spec)
    assert isinstance(resolved, TrainSpec)
    inputs = work.training_inputs(surface.settings, resolved, surface.settings.models / asked.config.model)
    jobs.write(folder, resolved.job(runs.new_id()), inputs)
    surface.say(f"measuring {steps} steps of {asked.config.name} on {asked.dataset}")
    began = time.monotonic()
    with following.training(surface, folder) as follow:
        local.run(folder, follow)
    wall = time.monotonic() - began
    rows = [row["seconds"] for _, row in values.read_jsonl(folder / "metrics.jsonl")]
    if len(rows) < 2:
        raise errors.Invalid(
            f"{asked.dataset} makes {len(rows)} optimizer step, which compiles; two at least are needed to measure one.",
            dataset=asked.dataset,
        )
    events = {row["kind"]: row for _, row in values.read_jsonl(folder / "events.jsonl")}
    sealed = max(path.stat().st_mtime for path in folder.glob("checkpoints/*/sha256.json"))
    saving = max(
        0.0, sealed - (folder / "metrics.jsonl").stat().st_mtime
    )  # a step's line is written right before its checkpoint
    device = str(values.read_json(folder / "result.json")["device"])
    plain = statistics.median(rows[1:])
    return Trained(rows[1:], max(0.0, wall - plain * len(rows)), saving, int(events["plan"]["total"]), device)


def _evaluate(surface: Surface, asked: Asked, items: int, folder: Path) -> float:
    """Seconds for one model to answer all items: loading as measured, answering scaled up from the items measured."""
    evalset = obtain(surface, asked.evalset)
    whole = min(asked.limit or evalset.manifest.count, evalset.manifest.count)
    measured = min(items, whole)
    model = models.prepare(surface.settings, asked.config.model)
    question = evals.question(
        model,
        evalset,
        format=asked.config.format,
        instruction=asked.config.instruction,
        limit=measured,
        max_new_tokens=asked.max_new_tokens,
        device=asked.device,
    )
    inputs = Inputs(model=model.folder, dataset=evalset.path.parent, compile_cache=surface.settings.compile_cache)
    jobs.write(folder, question.job(), inputs)
    surface.say(f"measuring {measured} of {whole} answers to {asked.evalset}")
    began = time.monotonic()
    with following.generating(surface, folder, "base model") as follow:
        local.run(folder, follow)
    wall = time.monotonic() - began
    phases = [row for _, row in values.read_jsonl(folder / "events.jsonl") if row["kind"] in ("phase", "done")]
    answering = float(phases[-1]["at"]) - float(phases[-2]["at"])
    return wall - answering + answering * whole / measured


def commands(asked: Asked, made: Plan, config: Path | None) -> list[str]:
    """What to run, session by session; RUN is the run's id, which `train` prints."""
    limit = f"--max-hours {made.train_hours:g}"
    named = ["--config", str(config)] if config else []
    named += ["--model", asked.config.model] if config is None else []
    on_device = ["--device", asked.device] if asked.device != "auto" else []
    begin = shlex.join(["tunix-rt", "train", "--dataset", asked.dataset, *named, *on_device])
    sessions = min(made.sessions_needed, made.sessions)
    again = [f"session {number}: tunix-rt train --resume latest {limit}" for number in range(2, sessions + 1)]
    on = ["--on", asked.evalset, *(["--limit", str(asked.limit)] if asked.limit else [])]
    on += ["--max-new-tokens", str(asked.max_new_tokens), *on_device]
    last = [
        shlex.join(["tunix-rt", "eval", asked.config.model, "--like", "RUN", *on]),
        shlex.join(["tunix-rt", "eval", "RUN", *on]),
        "tunix-rt evidence pack RUN --out RUN.zip",
    ]
    return [f"session 1: {begin} {limit}", *again, *(f"then: {text}" for text in last)]
