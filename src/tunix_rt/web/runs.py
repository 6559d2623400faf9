"""`/runs`: the queue; one run as it happens; cancel and resume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, registry, runs, values
from tunix_rt.api.runs import RunId
from tunix_rt.api.service import Here
from tunix_rt.comparisons import EvaluationSummary
from tunix_rt.redaction import Redactor
from tunix_rt.runs import ENDED, RESUMABLE, Run, State
from tunix_rt.settings import Settings
from tunix_rt.web import curves, marks, queries, rendering, wording
from tunix_rt.web.curves import Curve

router = APIRouter(include_in_schema=False)
PAGE = 50
TAIL = 24_000  # bytes of the log that a run's page begins with
LARGEST_SPARK = 4_000_000  # bytes of metrics from which a list still draws a line
PHASES = {
    "loading": "loading the model",
    "training": "training",
    "generating": "answering",
    "saving": "saving",
    "probing": "probing",
}


class RunQuery(queries.Query):
    state: State | None = None
    kind: Literal["train", "eval", "probe"] | None = None
    after: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    run_id: str
    name: str
    kind: str
    state: str
    reason: str
    about: str
    spark: str
    result: str
    when: str
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    query: RunQuery
    rows: tuple[Row, ...]
    states: tuple[tuple[str, int], ...]
    newest: str | None
    older: str | None


@router.get("/runs")
def list_runs(request: Request, here: Here, query: Annotated[RunQuery, Query()]) -> Response:
    with here.store.reading() as connection:
        found = runs.listed(connection, after=query.after, limit=PAGE, state=query.state, kind=query.kind)
        counts = runs.counts(connection)
    view = ListView(
        query=query,
        rows=tuple(row(run, here.settings) for run in found.data),
        states=tuple(sorted(counts.items())),
        newest=query.link("/runs", after=None) if query.after else None,
        older=query.link("/runs", after=found.next) if found.next else None,
    )
    command = wording.command("runs", "list", state=query.state, kind=query.kind, after=query.after)
    return rendering.page(request, "runs.html", view, title="Runs", command=command)


def row(run: Run, settings: Settings) -> Row:
    return Row(
        run_id=run.run_id,
        name=name(run),
        kind=run.kind,
        state=run.state,
        reason=run.reason if run.reason and run.reason not in ("done", run.state) else "",
        about=about(run),
        spark=_spark(run, settings),
        result=outcome(run),
        when=wording.when(run.created),
        took=_took(run),
    )


def name(run: Run) -> str:
    """What a person calls it; a spec that a hand has broken is still listed."""
    spec = run.spec if isinstance(run.spec, dict) else {}
    if run.kind == "train":
        return str(_inside(spec, "config").get("name", run.run_id))
    if run.kind == "eval":
        return f"{spec.get('tuned_by') or spec.get('model')} on {spec.get('evalset')}"
    return f"{run.kind} {spec.get('how', '')}".strip()


def about(run: Run) -> str:
    spec = run.spec if isinstance(run.spec, dict) else {}
    if run.kind == "train":
        return f"{_inside(spec, 'config').get('model', '')} on {spec.get('dataset', '')}"
    if run.kind == "eval":
        return f"{spec.get('model', '')}{', tuned' if spec.get('run_id') else ', base'}"
    return ""


def _inside(spec: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = spec.get(key)
    return found if isinstance(found, dict) else {}


def outcome(run: Run) -> str:
    result = run.result or {}
    if run.kind == "train" and curves.finite(result.get("loss")):
        return f"loss {result['loss']:.4f}"
    if run.kind == "eval" and curves.finite(result.get("accuracy")) and result.get("ci95_clustered"):
        return f"{wording.percent(result['accuracy'])} ({wording.interval(result['ci95_clustered'])})"
    return ""


def _spark(run: Run, settings: Settings) -> str:
    path = run.dir(settings) / "metrics.jsonl"
    if run.kind != "train" or not path.is_file() or path.stat().st_size > LARGEST_SPARK:
        return ""
    return marks.sparkline([loss for _, loss in curves.read(path, 64).points])


def _took(run: Run) -> str:
    if run.started is None:
        return ""
    return wording.seconds(((run.ended or datetime.now(UTC)) - run.started).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    evaluation_id: str
    evalset: str
    label: str
    accuracy: str
    mark: marks.Interval
    interval: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """`island` is what the live chart starts from: points, and the cursors of log, metrics and events."""

    run_id: str
    name: str
    about: str
    kind: str
    state: str
    reason: str
    message: str
    live: bool
    tiles: tuple[tuple[str, str, str], ...]
    done: int
    total: int
    phase: str
    island: dict[str, Any] | None
    log: str
    log_next: int
    facts: tuple[tuple[str, str], ...]
    attempts: tuple[tuple[str, str, str, str], ...]
    evaluations: tuple[EvaluationRow, ...]
    evalsets: tuple[str, ...]
    registered: tuple[tuple[str, int, tuple[str, ...]], ...]
    bundle: bool
    packable: bool
    cancellable: bool
    resumable: bool
    parent: str | None


@router.get("/runs/{run_id}")
def show(request: Request, here: Here, run_id: RunId) -> Response:
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
        happened = runs.events(connection, run_id)
        tries = runs.attempts(connection, run_id)
        made = registry.of_run(connection, run_id) if run.kind == "train" else ()
    view = run_view(here.settings, here.redact, run, happened, tries, made)
    verb = "logs" if run.state in ("running", "queued") else "show"
    return rendering.page(
        request, "run.html", view, title=f"{view.name}, {run.state}", command=f"tunix-rt runs {verb} {run_id}", up="/runs"
    )


def run_view(
    settings: Settings,
    redact: Redactor,
    run: Run,
    happened: Sequence[Any],
    tries: Sequence[runs.Attempt],
    made: Sequence[registry.Entry],
) -> RunView:
    folder = run.dir(settings)
    curve = curves.read(folder / "metrics.jsonl")
    log, log_next = tail(folder / "log.txt", TAIL)
    total, phase = plan(happened)
    done = curve.steps if run.kind == "train" else lines_in(folder / "generations.jsonl")
    evaluations = of_run(settings, run.run_id) if run.kind == "train" and run.state == "completed" else ()
    return RunView(
        run_id=run.run_id,
        name=name(run),
        about=about(run),
        kind=run.kind,
        state=run.state,
        reason=run.reason if run.reason and run.reason not in ("done", run.state) else "",
        message=redact(run.message or ""),
        live=run.state not in ENDED,
        tiles=tuple(_tiles(run, curve, done, total)),
        done=min(done, total) if total else done,
        total=total,
        phase=PHASES.get(phase, phase) if run.state == "running" else "",
        island=_island(curve, total) if run.kind == "train" else None,
        log=redact(log),
        log_next=log_next,
        facts=tuple(_facts(run)),
        attempts=tuple(map(_attempt, tries)),
        evaluations=tuple(evaluation_row(found) for found in evaluations),
        evalsets=evalsets(settings, run),
        registered=tuple((entry.name, entry.version, entry.aliases) for entry in made),
        bundle=(settings.evidence / f"{run.run_id}.zip").is_file(),
        packable=bool(evaluations),
        cancellable=run.state in ("queued", "running"),
        resumable=run.state in RESUMABLE,
        parent=run.parent,
    )


def plan(happened: Sequence[Any]) -> tuple[int, str]:
    """(how much there is to do, what is being done), as the engine's events tell."""
    total, phase = 0, ""
    for event in happened:
        if event.kind == "plan":
            total = int(event.body.get("steps") or event.body.get("items") or 0)
        elif event.kind == "phase":
            phase = str(event.body.get("name", ""))
    return total, phase


def _tiles(run: Run, curve: Curve, done: int, total: int) -> Sequence[tuple[str, str, str]]:
    """(key, name, value); the live page finds a tile by its key."""
    unit = "Step" if run.kind == "train" else "Items"
    tiles = [("step", unit, wording.whole(done)), ("total", "of", wording.whole(total) if total else "-")]
    if run.kind == "train":
        last = curve.last or {}
        loss = last.get("loss")
        rate = last.get("useful_tokens_per_second")
        tiles.append(("loss", "Loss", f"{loss:.4f}" if curves.finite(loss) else str(loss) if loss else "-"))
        tiles.append(("rate", "Tokens/s", wording.whole(round(rate)) if curves.finite(rate) else "-"))
        if run.state == "running":
            left = (total - done) * float(last.get("seconds", 0)) if total else 0
            tiles.append(("left", "Remaining", wording.seconds(left) if left else "-"))
    if run.kind == "probe":
        tiles = []
    tiles.append(("took", "Took" if run.ended else "Since the start", _took(run) or "-"))
    return tiles


def _island(curve: Curve, total: int) -> dict[str, Any]:
    return {"points": curve.points, "total": total, "next": curve.next}


def _facts(run: Run) -> Sequence[tuple[str, str]]:
    facts = [("Run", run.run_id), ("Created (UTC)", wording.when(run.created)), ("Attempt", str(run.attempt))]
    for key, words in (
        ("model", "Model"),
        ("model_digest", "Model digest"),
        ("dataset", "Dataset"),
        ("dataset_digest", "Dataset digest"),
        ("adapter_digest", "Adapter digest"),
        ("method", "Method"),
        ("trained_parameters", "Parameters trained"),
        ("examples", "Examples"),
        ("tokens", "Tokens"),
        ("trained_tokens", "Of them trained on"),
        ("shared_tokens", "Of them shared in their rows"),
        ("padding_share", "Padding"),
        ("peak_memory_bytes", "Peak memory"),
        ("peak_device_memory_bytes", "Peak memory of the device"),
        ("device", "Device"),
    ):
        value = (run.result or {}).get(key)
        if value is not None:
            facts.append((words, _shown(key, value)))
    return facts


def _shown(key: str, value: Any) -> str:
    if key.endswith("memory_bytes"):
        return wording.size(value)
    if key == "padding_share":
        return wording.percent(value)
    if key.endswith("digest"):
        return str(value)[:12]
    return wording.whole(value) if isinstance(value, int) else str(value)


def _attempt(found: runs.Attempt) -> tuple[str, str, str, str]:
    ended = wording.when(found.ended) if found.ended else "-"
    return str(found.n), wording.when(found.started), ended, found.reason or ""


def tail(path: Path, most: int) -> tuple[str, int]:
    """The end of a log in whole lines, and the byte behind it."""
    if not path.is_file():
        return "", 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - most))
        data = file.read()
    if size > most:
        data = data[data.find(b"\n") + 1 :]
    return data.decode(errors="replace"), size


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def of_run(settings: Settings, run_id: str) -> tuple[EvaluationSummary, ...]:
    return tuple(found for found in summaries(settings) if found.run_id == run_id)


def summaries(settings: Settings) -> list[EvaluationSummary]:
    """Of every finished evaluation, the newest first."""
    paths = sorted(settings.evals.glob("*/summary.json"), key=lambda path: -path.stat().st_mtime_ns)
    return [EvaluationSummary.parse(values.read_json(path), source=str(path)) for path in paths]


def evaluation_row(found: EvaluationSummary) -> EvaluationRow:
    ends = found.ci95_clustered
    told = f"{wording.percent(found.accuracy)}, 95 % interval {wording.interval(ends)}"
    return EvaluationRow(
        evaluation_id=found.evaluation_id,
        evalset=found.evalset,
        label=found.label,
        accuracy=wording.percent(found.accuracy),
        mark=marks.interval(found.accuracy, ends, told),
        interval=wording.interval(ends),
        n=found.n,
    )


def evalsets(settings: Settings, run: Run) -> tuple[str, ...]:
    """Datasets a finished run may be evaluated on: any but the one it was trained on, held-out ones first."""
    if run.kind != "train" or run.state != "completed":
        return ()
    trained = run.spec.get("dataset") if isinstance(run.spec, dict) else None
    names = sorted(path.parent.name for path in settings.datasets.glob("*/manifest.json"))
    return tuple(sorted((each for each in names if each != trained), key=lambda each: "eval" not in each))


@router.get("/runs/{run_id}/predictions")
def predictions(here: Here, run_id: RunId) -> Response:
    """Leads to the answers of an evaluation, or to those of the newest evaluation of what a run has trained."""
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
    if run.kind == "eval" and run.state == "completed":
        return RedirectResponse(f"/evaluations/{Path(run.folder).name}", 303)
    found = of_run(here.settings, run_id)
    if not found:
        raise errors.NotFound(f"run {run_id} has no finished evaluation yet: tunix-rt eval {run_id} --on EVALSET", run=run_id)
    return RedirectResponse(f"/evaluations/{found[0].evaluation_id}", 303)


@router.post("/runs/{run_id}/cancel")
def cancel(here: Here, run_id: RunId) -> Response:
    with here.store.unit_of_work() as connection:
        runs.cancel(connection, run_id)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/resume")
def resume(here: Here, run_id: RunId) -> Response:
    with here.store.unit_of_work() as connection:
        runs.resume(connection, run_id)
    return RedirectResponse(f"/runs/{run_id}", 303)
