"""`/api/evaluations/ID/rescores`: what stored answers say by another scorer."""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi import Path as FromPath
from starlette.responses import Response

from tunix_rt import errors, evals
from tunix_rt.api.datasets import Limit, Offset
from tunix_rt.api.evaluations import EvaluationId, folder_of, lines_of
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.service import Here
from tunix_rt.evals import Rescored, rescoring
from tunix_rt.scoring.scorers import Scored, Scorer

router = APIRouter(prefix="/api/evaluations/{evaluation_id}/rescores", tags=["evaluations"], route_class=Route)
GRADING_SECONDS = 60.0  # for one request
ScorerDigest = Annotated[str, FromPath(pattern="^[0-9a-f]{64}$", description="The `scorer_digest` of a rescoring.")]
AScorer = Annotated[Scorer, Body(json_schema_extra={"required": ["name"]})]


class RescoringList(Shown):
    """By scorer."""

    data: tuple[Rescored, ...]
    next: None = None


class MarkPage(Shown):
    data: tuple[Scored, ...]
    next: str | None


@router.get("", response_model=RescoringList, summary="By what else it was scored")
def list_rescores(here: Here, evaluation_id: EvaluationId) -> Response:
    """What each further scorer found; the evaluation's own scores stay as they are."""
    found = rescoring.listed(folder_of(here.settings, evaluation_id))
    return page([encoded(made.model_dump(mode="json")) for made, _ in found], None)


@router.post(
    "",
    response_model=Rescored,
    status_code=201,
    responses={200: {"model": Rescored, "description": "It was scored so before."}},
    summary="Score stored answers again",
)
def rescore(here: Here, evaluation_id: EvaluationId, scorer: AScorer) -> Response:
    """By another scorer, or by the same with other options. Nothing is generated; each answer is graded in a process that may
    take little time and memory. The same question is answered once."""
    folder = folder_of(here.settings, evaluation_id)
    known = (rescoring.place(folder, scorer) / "summary.json").is_file()
    with here.heavy():
        made, _ = evals.rescore(here.settings, folder, scorer, _within(GRADING_SECONDS))
    return reply(made.model_dump(mode="json"), 200 if known else 201)


def _within(seconds: float) -> Callable[[int, int], None]:
    """Ends what reports its progress to it when that takes longer."""
    until = time.monotonic() + seconds

    def update(done: int, of: int) -> None:
        if done < of and time.monotonic() > until:
            text = f"after {seconds:g} s {done} of {of} answers were graded; `tunix-rt rescore` takes as long as it takes."
            raise errors.Invalid(text, graded=done, of=of)

    return update


@router.get("/{scorer_digest}/scores", response_model=MarkPage, summary="How another scorer judged")
def marks(
    here: Here, evaluation_id: EvaluationId, scorer_digest: ScorerDigest, after: Offset = None, limit: Limit = 50
) -> Response:
    """Item by item, with what the scorer found."""
    for made, out in rescoring.listed(folder_of(here.settings, evaluation_id)):
        if made.scorer_digest == scorer_digest:
            return lines_of(out / "scores.jsonl", after, limit)
    raise errors.NotFound(f"evaluation {evaluation_id} has no rescoring {scorer_digest!r}.", scorer=scorer_digest)
