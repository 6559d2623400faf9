"""`/api/evaluations`, the leaderboard, and `/api/comparisons`."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi import Path as FromPath
from pydantic import ConfigDict, Field
from starlette.responses import Response

from tunix_rt import comparisons, errors, runs, values
from tunix_rt.api.datasets import Limit, Offset
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.runs import RUN_ID, RunDocument, queued
from tunix_rt.api.service import Here
from tunix_rt.comparisons import Comparison, EvaluationSummary
from tunix_rt.jobs import MANY_ARE_DRAWN, Device, Drawn, FolderName
from tunix_rt.runs import EvalSpec
from tunix_rt.runs.specs import Name, Tokens
from tunix_rt.scoring import Prediction, ReplyFormat, ScoreRow
from tunix_rt.settings import Settings

router = APIRouter(prefix="/api/evaluations", tags=["evaluations"], route_class=Route)
pairs = APIRouter(prefix="/api/comparisons", tags=["evaluations"], route_class=Route)
ID = "^[0-9a-f]{16}$"
CURSOR = r"^[01]\.[0-9]{1,30}~[0-9a-f]{16}$"
EvaluationId = Annotated[str, FromPath(pattern=ID, description="An evaluation's id.")]
AName = Annotated[str | None, Query(max_length=200, description="Only those.")]


class EvaluationPage(Shown):
    """By accuracy, best first."""

    data: tuple[EvaluationSummary, ...]
    next: str | None


class PredictionPage(Shown):
    data: tuple[Prediction, ...]
    next: str | None


class ScorePage(Shown):
    data: tuple[ScoreRow, ...]
    next: str | None


class ToEvaluate(Drawn, Shown):
    """A base `model`, or what the finished run `run_id` made of one: give either. `format` is a base model's; a run is asked
    as it was trained."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [MANY_ARE_DRAWN],
            "oneOf": [
                {"required": [given], "properties": {given: {"type": "string"}, **{name: {"type": "null"} for name in others}}}
                for given, others in (("model", ("run_id",)), ("run_id", ("model", "format")))
            ],
        }
    )
    model: Name | None = None
    run_id: Annotated[str, Field(pattern=RUN_ID)] | None = None
    evalset: FolderName
    format: ReplyFormat | None = None
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: Tokens = 160
    device: Device = "auto"


class ToCompare(Shown):
    baseline: Annotated[str, Field(pattern=ID)]
    candidate: Annotated[str, Field(pattern=ID)]
    margin: float = Field(default=0.05, ge=0, le=1)


@router.get("", response_model=EvaluationPage, summary="The leaderboard")
def list_evaluations(
    here: Here,
    evalset: AName = None,
    model: AName = None,
    run_id: AName = None,
    after: Annotated[str | None, Query(pattern=CURSOR, description="The `next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """Finished evaluations by strict accuracy, best first; beside each its interval."""
    wanted = {"evalset": evalset, "model": model, "run_id": run_id}
    rows = [
        row for row in _summaries(here.settings) if all(value in (None, getattr(row, key)) for key, value in wanted.items())
    ]
    rows.sort(key=_rank)
    rest = rows if after is None else [row for row in rows if _rank(row) > _behind(after)]
    shown = rest[:limit]
    following = f"{shown[-1].accuracy:.25f}~{shown[-1].evaluation_id}" if len(rest) > limit else None
    return page([encoded(row.model_dump(mode="json")) for row in shown], following)


def _rank(row: EvaluationSummary) -> tuple[float, str]:
    return -row.accuracy, row.evaluation_id


def _behind(cursor: str) -> tuple[float, str]:
    accuracy, _, evaluation_id = cursor.partition("~")
    return -float(accuracy), evaluation_id


@router.post("", response_model=RunDocument, status_code=202, summary="Queue an evaluation")
def create(here: Here, asked: Annotated[ToEvaluate, Body()]) -> Response:
    """Answers with the run that a worker will carry out. The same question is queued once."""
    spec = runs.resolve(here.settings, _spec(here.settings, asked))
    assert isinstance(spec, EvalSpec)
    with here.store.unit_of_work() as connection:
        run = runs.submit(connection, spec, dedup_key=f"eval:{spec.evaluation_id}")
    return queued(here, run)


def _spec(settings: Settings, asked: ToEvaluate) -> EvalSpec:
    if (asked.model is None) == (asked.run_id is None):
        raise errors.Invalid("give either 'model' or 'run_id'.", field="model")
    rest = asked.model_dump(exclude={"model", "run_id", "format"})
    if asked.run_id is None:
        return EvalSpec(model=str(asked.model), format=asked.format or "numbered", **rest)
    if asked.format is not None:
        raise errors.Invalid("'format' is of a base model; a run is asked in the one it was trained in.", field="format")
    folder = settings.runs / asked.run_id
    if not (folder / "run.json").is_file():
        raise errors.NotFound(f"no finished run {asked.run_id!r}.", run=asked.run_id)
    run = runs.load(folder)
    about = {"run_id": run.run_id, "adapter_digest": run.adapter_digest, "tuned_by": run.name, "model_digest": run.model_digest}
    return EvalSpec(model=run.model, **about, **runs.posed(run)._asdict(), **rest)


@router.get("/{evaluation_id}", response_model=EvaluationSummary, summary="One evaluation")
def get(here: Here, evaluation_id: EvaluationId) -> Response:
    """Counts, intervals, and by what it was made."""
    return reply(_summary(folder_of(here.settings, evaluation_id)).model_dump(mode="json"))


@router.get("/{evaluation_id}/predictions", response_model=PredictionPage, summary="What the model said, item by item")
def predictions(here: Here, evaluation_id: EvaluationId, after: Offset = None, limit: Limit = 50) -> Response:
    """Prompt, whole output, the answer that was read from it."""
    return lines_of(folder_of(here.settings, evaluation_id) / "predictions.jsonl", after, limit)


@router.get("/{evaluation_id}/scores", response_model=ScorePage, summary="How each item was judged")
def scores(here: Here, evaluation_id: EvaluationId, after: Offset = None, limit: Limit = 50) -> Response:
    """By the strict and by the lenient reading."""
    return lines_of(folder_of(here.settings, evaluation_id) / "scores.jsonl", after, limit)


@pairs.post("", response_model=Comparison, summary="Is the candidate better?")
def compare(here: Here, asked: Annotated[ToCompare, Body()]) -> Response:
    """Two evaluations of the same items, in pairs; nothing is kept."""
    baseline = comparisons.load(folder_of(here.settings, asked.baseline))
    candidate = comparisons.load(folder_of(here.settings, asked.candidate))
    with here.heavy():
        return reply(comparisons.compare(baseline, candidate, asked.margin).model_dump(mode="json"))


def lines_of(path: Path, after: str | None, limit: int) -> Response:
    found = values.read_lines(path, int(after or 0), limit)
    return page(found.lines, found.next if found.more else None)


def folder_of(settings: Settings, evaluation_id: str) -> Path:
    folder = settings.evals / evaluation_id
    if not (folder / "summary.json").is_file():
        raise errors.NotFound(f"no finished evaluation {evaluation_id!r}.", evaluation=evaluation_id)
    return folder


def _summaries(settings: Settings) -> list[EvaluationSummary]:
    return [_summary(path.parent) for path in settings.evals.glob("*/summary.json")]


def _summary(folder: Path) -> EvaluationSummary:
    path = folder / "summary.json"
    found: dict[str, Any] = values.read_json(path)
    return EvaluationSummary.parse(found, source=str(path))
