"""`/api/baselines`, the evaluations that candidates have to hold against, and `/api/gate`: may this one go out?"""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field
from starlette.responses import Response

from tunix_rt import comparisons, errors
from tunix_rt.api.evaluations import ID, folder_of
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.service import Here
from tunix_rt.comparisons import METRICS, Baseline, Direction, Gate, baselines
from tunix_rt.jobs import FolderName
from tunix_rt.settings import Settings

router = APIRouter(prefix="/api/baselines", tags=["evaluations"], route_class=Route)
gates = APIRouter(prefix="/api/gate", tags=["evaluations"], route_class=Route)
BaselineName = Annotated[str, Field(pattern=f"^{baselines.NAME}$")]
Metric = Annotated[str, Field(json_schema_extra={"enum": [*METRICS]})]


class BaselineList(Shown):
    """By name, evaluation set and dataset."""

    data: tuple[Baseline, ...]
    next: None = None


class ToNameBaseline(Shown):
    """With `dataset` it holds for candidates trained on that alone; `direction` is the metric's own if left out."""

    name: BaselineName
    evaluation_id: Annotated[str, Field(pattern=ID)]
    dataset: FolderName | None = None
    metric: Metric = "strict"
    direction: Direction | None = None


class ToGate(Shown):
    """`baseline` is a name, or an evaluation's id; `seed` the training seed that the candidate must have."""

    candidate: Annotated[str, Field(pattern=ID)]
    baseline: BaselineName
    margin: float = Field(default=0.05, gt=0, lt=1)
    metric: Metric | None = None
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    seed: int | None = None


@router.get("", response_model=BaselineList, summary="Baselines")
def list_baselines(here: Here) -> Response:
    """What each name stands for, within an evaluation set and a dataset."""
    return page([encoded(one.model_dump(mode="json")) for one in baselines.listed(here.settings)], None)


@router.post("", response_model=Baseline, status_code=201, summary="Name a baseline")
def put(here: Here, asked: Annotated[ToNameBaseline, Body()]) -> Response:
    """The evaluation gets the name within its set and the dataset; one that had it there gives way."""
    folder_of(here.settings, asked.evaluation_id)
    made = baselines.put(
        here.settings,
        asked.name,
        asked.evaluation_id,
        dataset=asked.dataset,
        metric=asked.metric,
        better=asked.direction,
    )
    return reply(made.model_dump(mode="json"), 201)


@gates.post("", response_model=Gate, summary="May the candidate go out?")
def gate(here: Here, asked: Annotated[ToGate, Body()]) -> Response:
    """pass, fail, or inconclusive, which is no pass; nothing is kept."""
    folder_of(here.settings, asked.candidate)
    _known(here.settings, asked.baseline)
    rest = asked.model_dump(include={"metric", "alpha", "seed"})
    with here.heavy():
        made = comparisons.judge(here.settings, asked.candidate, asked.baseline, asked.margin, **rest)
    return reply(made.model_dump(mode="json"))


def _known(settings: Settings, name: str) -> None:
    """A word that is neither a baseline's name nor an evaluation's could be taken for a folder's."""
    known = {one.name for one in baselines.listed(settings)}
    if name not in known and not (settings.evals / name / "summary.json").is_file():
        text = f"no baseline and no finished evaluation {name!r}.{errors.nearest(name, known)}"
        raise errors.NotFound(text, name=name)
