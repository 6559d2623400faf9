"""`/`: what runs now, what has ended lately, what needs a look; for a new workspace, the first steps."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import runs
from tunix_rt.api.health import LIVE_SECONDS
from tunix_rt.api.service import Here
from tunix_rt.redaction import Redactor
from tunix_rt.runs import Run
from tunix_rt.traces import stored
from tunix_rt.web import rendering, wording
from tunix_rt.web import runs as run_pages
from tunix_rt.web.runs import EvaluationRow, Row

router = APIRouter(include_in_schema=False)
LATELY = 8
LOOK = ("failed", "timed_out", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """A step of the way for whoever starts here."""

    done: bool
    text: str
    href: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    run_id: str
    name: str
    state: str
    why: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    running: tuple[Row, ...]
    ended: tuple[Row, ...]
    troubles: tuple[Trouble, ...]
    counts: tuple[tuple[str, int, str], ...]
    best: tuple[EvaluationRow, ...]
    workers: int
    waiting: int
    steps: tuple[First, ...]


@router.get("/")
def show(request: Request, here: Here) -> Response:
    with here.store.reading() as connection:
        newest = runs.listed(connection, limit=100).data
        counts = runs.counts(connection)
        kept = stored.count(connection)
        workers = len(runs.workers(connection, LIVE_SECONDS))
    there = len(list(here.settings.datasets.glob("*/manifest.json")))
    evaluated = run_pages.summaries(here.settings)
    bundles = len(list(here.settings.evidence.glob("*.zip")))
    view = Overview(
        running=tuple(run_pages.row(run, here.settings) for run in newest if run.state not in runs.ENDED),
        ended=tuple(run_pages.row(run, here.settings) for run in _ended(newest)),
        troubles=tuple(_trouble(run, here.redact) for run in newest if run.state in LOOK)[:LATELY],
        counts=(
            ("traces", kept, "/traces"),
            ("datasets", there, "/datasets"),
            ("runs", sum(counts.values()), "/runs"),
            ("evaluations", len(evaluated), "/leaderboard"),
            ("bundles", bundles, "/evidence"),
        ),
        best=tuple(run_pages.evaluation_row(one) for one in evaluated[:5]),
        workers=workers,
        waiting=counts.get("queued", 0),
        steps=first_steps(there, sum(counts.values()), len(evaluated), bundles),
    )
    return rendering.page(request, "overview.html", view, title="Overview", command="tunix-rt runs list", up=None)


def _ended(newest: Iterable[Run]) -> list[Run]:
    """The last to end first."""
    done = [run for run in newest if run.ended is not None and run.state not in LOOK]
    return sorted(done, key=lambda run: run.ended or run.created, reverse=True)[:LATELY]


def _trouble(run: Run, redact: Redactor) -> Trouble:
    why = redact(run.message or run.reason or "")
    when = wording.ago(run.ended or run.created, datetime.now(UTC))
    return Trouble(run_id=run.run_id, name=run_pages.name(run), state=run.state, why=wording.short(why, 200), when=when)


def first_steps(datasets: int, started: int, evaluated: int, bundles: int) -> tuple[First, ...]:
    """None once somebody has gone all the way."""
    if bundles:
        return ()
    return (
        First(
            done=datasets > 0,
            text="Build a dataset from a recipe, or take in a file",
            href="/datasets/build",
            command="tunix-rt data build tiny-sums",
        ),
        First(
            done=started > 0,
            text="Fine-tune a model on it and watch the curve",
            href="/runs/new",
            command="tunix-rt train --dataset tiny-sums",
        ),
        First(
            done=evaluated > 1,
            text="Evaluate the run and its base on unseen items",
            href="/runs",
            command="tunix-rt eval RUN --on tiny-sums-eval",
        ),
        First(done=False, text="Compare, and pack what proves it", href="/compare", command="tunix-rt evidence pack RUN"),
    )
