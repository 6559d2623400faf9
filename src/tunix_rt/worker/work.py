"""What a run's kind means to a worker: the inputs of its attempt folder before, its result after."""

from pathlib import Path
from typing import Any, get_args

from tunix_rt import datasets, errors, evals, jobs, models, runs, values
from tunix_rt.jobs import Inputs, TrainJob
from tunix_rt.launchers import local
from tunix_rt.launchers.handles import Exit
from tunix_rt.runs import EvalSpec, Outcome, ProbeSpec, Reason, Run, TrainSpec
from tunix_rt.settings import Settings
from tunix_rt.store import Store

REASONS = frozenset(get_args(Reason))
UNFINISHED = {"timeout": "timed_out", "sigint": "preempted", "sigterm": "preempted", "sighup": "preempted"}


def prepare(settings: Settings, opened: Store, run: Run) -> None:
    """Check everything the run names and write its attempt folder; a dry run is only checked."""
    folder = run.dir(settings)
    match runs.resolve(settings, run.asked):
        case TrainSpec() as spec:
            model = models.prepare(settings, spec.config.model)
            inputs = training_inputs(settings, spec, model.folder).model_copy(update={"seconds": run.timeout})
            if not run.dry_run:
                jobs.write(folder, spec.job(run.run_id), inputs)
        case EvalSpec() as spec:
            trained_in = _trained_in(settings, opened, spec, folder)
            if not run.dry_run:
                evals.prepare(settings, spec, folder, trained_in)
        case ProbeSpec() as spec:
            if not run.dry_run:
                jobs.write(folder, spec.job(run.run_id), Inputs(model=folder, dataset=folder))


def training_inputs(settings: Settings, spec: TrainSpec, model: Path) -> Inputs:
    """Where what a training names lies in this workspace."""

    def place(name: str) -> Path:
        return datasets.find(settings, name).path.parent

    return Inputs(
        model=model,
        dataset=place(spec.dataset),
        stages=tuple(place(stage.dataset) for stage in spec.config.stages),
        validation=place(spec.config.validation.dataset) if spec.config.validation else None,
        compile_cache=settings.compile_cache,
    )


def _trained_in(settings: Settings, opened: Store, spec: EvalSpec, folder: Path) -> Path | None:
    """Where the run that an evaluation names was trained: the ledger knows, or the folder was prepared by whoever asked, who
    may have its weights from the registry."""
    if spec.run_id is None:
        return None
    adapter = jobs.read(folder)[1].adapter if (folder / "inputs.json").is_file() else None
    try:
        with opened.reading() as connection:
            trained_in = runs.get(connection, spec.run_id).dir(settings)
    except errors.NotFound:
        if adapter is None:
            raise
        return adapter.parent
    return trained_in if adapter is None or (trained_in / "adapter").is_dir() else adapter.parent


def refused(mistake: Exception) -> Outcome:
    """The end of a run that could not be started, or whose result cannot be read."""
    if not isinstance(mistake, errors.Mistake):
        return Outcome("failed", "disk_full" if _full(str(mistake)) else "invalid", f"{type(mistake).__name__}: {mistake}")
    reasons: dict[str, Reason] = {"missing": "missing", "not_found": "missing", "tampered": "tampered", "failed": "exception"}
    told: Any = mistake.details.get("reason")
    reason = told if told in REASONS else "disk_full" if _full(mistake.message) else reasons.get(mistake.code, "invalid")
    return Outcome("failed", reason, mistake.message)


def _full(text: str) -> bool:
    return "No space left on device" in text


def outcome(settings: Settings, run: Run, ended: Exit) -> Outcome:
    """How a run whose process exited ends; a cancelled one that was done already is completed."""
    folder = run.dir(settings)
    if ended.reason == "completed":
        try:
            result = _result(run, folder)
        except (errors.Mistake, KeyError, OSError, ValueError) as mistake:
            return refused(mistake)._replace(exit_code=ended.code)
        return Outcome("completed", result.get("reason", "done"), None, ended.code, result)
    if run.state == "cancelling":
        return Outcome("cancelled", "cancelled", stopped_at(folder), ended.code)
    if ended.reason in UNFINISHED:
        text = f"its time was up: {in_time(folder)}" if ended.reason == "timeout" else stopped_at(folder)
        return Outcome(UNFINISHED[ended.reason], ended.reason, text, ended.code)  # type: ignore[arg-type]
    return _failed(folder, ended)


def _failed(folder: Path, ended: Exit) -> Outcome:
    mistake = local.failure(folder, ended.code)
    told = mistake.details.get("reason")
    known: dict[str, Reason] = {"missing": "missing", "not_found": "missing", "tampered": "tampered", "invalid": "invalid"}
    reason: Any = told if told in REASONS else known.get(str(told), "exception" if told else "unexplained")
    if ended.reason in REASONS:
        reason = ended.reason
    text = mistake.message
    if reason == "sigkill":
        text = local.killed(folder)
    elif not told and reason == "disk_full":
        text = f"the disk is full; free some space and resume the run (folder: {folder})."
    return Outcome("failed", reason, text, ended.code)


def stopped_at(folder: Path) -> str:
    """What is left to go on from; the manifest of a checkpoint is written last."""
    steps = [int(path.parent.name) for path in (folder / "checkpoints").glob("*/sha256.json") if path.parent.name.isdigit()]
    return f"stopped with a checkpoint at step {max(steps)}." if steps else "stopped."


def in_time(folder: Path) -> str:
    """What a run out of time has left; only one that ended by itself had time for the adapter."""
    kept = (folder / "adapter" / "adapter_config.json").is_file()
    return stopped_at(folder) + (" Its adapter, as of that step, is in adapter/." if kept else "")


def _result(run: Run, folder: Path) -> dict[str, Any]:
    job, _ = jobs.read(folder)
    if isinstance(job, TrainJob):
        facts = runs.trained.write(folder, job).model_dump(mode="json")
        return {key: value for key, value in facts.items() if key != "dir"}
    asked = run.asked
    if isinstance(asked, EvalSpec):
        return evals.score(folder, asked.tuned_by)
    result: dict[str, Any] = values.read_json(folder / "result.json")
    return result
