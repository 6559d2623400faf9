"""A finished run as MLflow's offline file store: a folder of plain text files, written without MLflow.

MLflow keeps that layout in maintenance mode and reads it when `MLFLOW_ALLOW_FILE_STORE` is set (`mlflow migrate-filestore`
moves it into a database), so it changes no more. `tests/submission/test_tracking.py` reads it back with MLflow where that is
installed.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import comparisons, errors, evals, jobs, values
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings

FINISHED, LOCAL = 3, 4  # MLflow's numbers for the state of a run, and for one that was started by hand
LONGEST_PARAMETER = 6000
ARTIFACTS = ("config.json", "environment.json", "metrics.jsonl", "run.json")


class Tracked(NamedTuple):
    """Where the run is in the store; `evaluated` says whether evaluations were there to be written too."""

    experiment_id: str
    run_id: str
    folder: Path
    metrics: int
    evaluated: bool


def track(settings: Settings, run: Trained, store: Path) -> Tracked:
    """Add the run to the store, which is made if it is not there; a run that is in it already is `errors.Conflict`.

    Equal runs give equal files. Paths in the store are relative to it.
    """
    folder = Path(run.dir)
    job = _job(folder)
    experiment = str(int(values.sha256(f"{run.name} on {run.dataset}".encode())[:15], 16))
    run_id = values.sha256(run.run_id.encode())[:32]
    target = store / experiment / run_id
    if target.exists():
        raise errors.Conflict(
            f"run {run.run_id} is in {str(store)!r} already; give another folder with --out.", path=str(target)
        )
    began, measured = _began(run), _evaluations(settings, run)
    lines = {
        **_steps(folder, began),
        **{name: [_line(began + _milliseconds(run.seconds), value, 0)] for name, value in measured},
    }
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".new-") as work:
        made = Path(work) / run_id
        values.write_bytes(made / "meta.yaml", _yaml(_run_meta(run, experiment, run_id, began)))
        for name, value in _parameters(job):
            values.write_bytes(made / "params" / name, value.encode())
        for name, value in _tags(run).items():
            values.write_bytes(made / "tags" / name, value.encode())
        for name, rows in lines.items():
            values.write_bytes(made / "metrics" / name, "".join(rows).encode())
        for name in ARTIFACTS:
            values.write_bytes(made / "artifacts" / name, _artifact(folder, name))
        meta = store / experiment / "meta.yaml"
        if not meta.exists():
            values.write_bytes(meta, _yaml(_experiment_meta(run, experiment, began)))
        made.rename(target)
    return Tracked(experiment, run_id, target, len(lines), bool(measured))


def _job(folder: Path) -> jobs.TrainJob:
    job = jobs.read(folder)[0]
    if not isinstance(job, jobs.TrainJob):
        raise errors.Invalid(f"{folder} holds no training run.", path=str(folder))
    return job


def _began(run: Trained) -> int:
    """Milliseconds since 1970; a run's id begins with the time at which it was made."""
    try:
        at = datetime.strptime("-".join(run.run_id.split("-")[:2]), "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise errors.Invalid(f"run id {run.run_id!r} does not begin with a time.", run=run.run_id) from error
    return _milliseconds(at.timestamp())


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _line(at: int, value: float, step: int) -> str:
    return f"{at} {value!r} {step}\n"


def _steps(folder: Path, began: int) -> dict[str, list[str]]:
    """Every number of `metrics.jsonl` at the time at which its step ended, counted from the run's start."""
    found: dict[str, list[str]] = {}
    passed = 0.0
    for _, row in values.read_jsonl(folder / "metrics.jsonl"):
        passed += float(row["seconds"])
        for name, value in row.items():
            if name != "step" and value is not None:
                found.setdefault(name, []).append(_line(began + _milliseconds(passed), float(value), int(row["step"])))
    return found


def _evaluations(settings: Settings, run: Trained) -> list[tuple[str, float]]:
    """The numbers of the run's newest evaluation, of its base's and of their comparison; none when they are not there."""
    try:
        folders = evals.of_run(settings, run)
    except errors.NotFound:
        return []
    base, tuned = map(comparisons.load, folders)
    compared = comparisons.compare(base, tuned)
    rows = [(f"eval.{side}.{name}", value) for side, of in (("base", base), ("tuned", tuned)) for name, value in _rates(of)]
    names = ("difference", "p_value", "minimum_detectable_effect")
    rows += [(f"compare.{name}", float(getattr(compared, name))) for name in names]
    return [*rows, ("compare.ci95_low", compared.ci95[0]), ("compare.ci95_high", compared.ci95[1])]


def _rates(evaluation: comparisons.Evaluation) -> Iterator[tuple[str, float]]:
    summary = evaluation.summary
    yield "n", float(summary.n)
    yield "strict_accuracy", summary.accuracy
    yield "lenient_accuracy", summary.lenient.accuracy


def _parameters(job: jobs.TrainJob) -> Iterator[tuple[str, str]]:
    def flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
        for key, value in data.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            elif value is not None:
                yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)

    yield "dataset", job.dataset
    for name, value in flat(job.config.model_dump(mode="json"), ""):
        yield name, value[:LONGEST_PARAMETER]


def _tags(run: Trained) -> dict[str, str]:
    names = ("run_id", "model_digest", "dataset_digest", "config_digest", "adapter_digest", "mask_digest", "device")
    return {"mlflow.runName": f"{run.name} {run.run_id}", **{f"tunix_rt.{name}": str(getattr(run, name)) for name in names}}


def _artifact(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise errors.NotFound(f"{path} is missing; the run cannot be exported without it.", path=str(path))
    if name != "run.json":
        return path.read_bytes()
    row = values.read_json(path)
    return values.pretty({key: value for key, value in row.items() if key != "dir"}).encode()


def _yaml(data: Mapping[str, Any]) -> bytes:
    """JSON's scalars are YAML's."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items()).encode()


def _experiment_meta(run: Trained, experiment: str, began: int) -> dict[str, Any]:
    return {
        "artifact_location": f"./{experiment}",
        "creation_time": began,
        "experiment_id": experiment,
        "last_update_time": began,
        "lifecycle_stage": "active",
        "name": f"{run.name} on {run.dataset}",
    }


def _run_meta(run: Trained, experiment: str, run_id: str, began: int) -> dict[str, Any]:
    return {
        "artifact_uri": f"./{experiment}/{run_id}/artifacts",
        "end_time": began + _milliseconds(run.seconds),
        "entry_point_name": "",
        "experiment_id": experiment,
        "lifecycle_stage": "active",
        "run_id": run_id,
        "run_name": f"{run.name} {run.run_id}",
        "run_uuid": run_id,
        "source_name": "tunix-rt train",
        "source_type": LOCAL,
        "source_version": "",
        "start_time": began,
        "status": FINISHED,
        "tags": [],
        "user_id": "",
    }
