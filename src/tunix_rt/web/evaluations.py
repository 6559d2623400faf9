"""`/leaderboard`, one evaluation with its answers, and asking for another."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import checking, comparisons, errors, evals, models, runs
from tunix_rt.api.evaluations import EvaluationId
from tunix_rt.api.runs import RUN_ID, RunId
from tunix_rt.api.service import Here
from tunix_rt.comparisons import Board, Entry, Evaluation, EvaluationSummary, Filters
from tunix_rt.evals.looks import Counted
from tunix_rt.jobs import Device
from tunix_rt.runs import EvalSpec, Run
from tunix_rt.scoring import Outcome, Prediction, ScoreRow
from tunix_rt.settings import Settings
from tunix_rt.traces import Step, Trace
from tunix_rt.web import items, marks, queries, rendering, verdicts, wording
from tunix_rt.web import runs as run_pages
from tunix_rt.web.marks import Interval, Strip
from tunix_rt.web.verdicts import Judged

router = APIRouter(include_in_schema=False)
PAGE = 50
OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong", "unparseable", "truncated")


class BoardQuery(queries.Query):
    evalset: Annotated[str, Field(max_length=200)] | None = None


class PredictionQuery(queries.Query):
    outcome: Outcome | None = None
    item: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None = None
    after: Annotated[int, Field(ge=0, le=10**9)] = 0


class NewQuery(queries.Query):
    evalset: Annotated[str, Field(pattern=items.PATTERN)] | None = None
    run: Annotated[str, Field(pattern=RUN_ID)] | None = None


class OfRun(BaseModel):
    """Evaluate a run, and its base model on the same items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evalset: str = Field(pattern=items.PATTERN)
    limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_new_tokens: Annotated[int, Field(ge=1, le=8_192)] = 160
    device: Device = "auto"


class Asked(OfRun):
    what: str = Field(max_length=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """`rank` is shared by what cannot be told apart; `tied` counts those that this one cannot be told apart from."""

    rank: str
    label: str
    evaluation_id: str
    run_id: str | None
    bundle: str | None
    accuracy: str
    interval: str
    mark: Interval
    lenient: str
    tied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOf:
    """One question: rows of one instruction and the same items, best first."""

    evalset: str
    digest: str
    n: int
    looks: str
    rows: tuple[BoardRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    evalsets: tuple[str, ...]
    evalset: str | None
    boards: tuple[BoardOf, ...]


@router.get("/leaderboard")
def leaderboard(request: Request, here: Here, query: Annotated[BoardQuery, Query()]) -> Response:
    found = comparisons.leaderboard(here.settings, Filters(evalset=query.evalset))
    view = BoardView(
        evalsets=tuple(sorted({one.evalset for one in run_pages.summaries(here.settings)})),
        evalset=query.evalset,
        boards=tuple(board_of(here.settings, board) for board in found),
    )
    command = wording.command("leaderboard", on=query.evalset) if query.evalset else wording.command("leaderboard")
    return rendering.page(request, "leaderboard.html", view, title="Leaderboard", command=command)


def board_of(settings: Settings, board: Board) -> BoardOf:
    return BoardOf(
        evalset=board.evalset,
        digest=board.evalset_digest[:12],
        n=board.n,
        looks=str(Counted(board.looks, board.looks_at_runs)),
        rows=tuple(_board_row(settings, entry) for entry in board.entries),
        left_out=board.left_out,
    )


def _board_row(settings: Settings, entry: Entry) -> BoardRow:
    packed = entry.run_id is not None and (settings.evidence / f"{entry.run_id}.zip").is_file()
    accuracy, ends = wording.percent(entry.accuracy), wording.interval(entry.ci95_clustered)
    return BoardRow(
        rank=f"{entry.rank}=" if entry.tied else str(entry.rank),
        label=entry.label,
        evaluation_id=entry.evaluation_id,
        run_id=entry.run_id,
        bundle=entry.run_id if packed else None,
        accuracy=accuracy,
        interval=ends,
        mark=marks.interval(entry.accuracy, entry.ci95_clustered, f"{accuracy}, 95 % interval {ends}"),
        lenient=wording.percent(entry.lenient_accuracy),
        tied=len(entry.tied),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    href: str
    item: str
    prompt: str
    strip: Strip | None
    expected: str
    answer: str
    outcome: Outcome
    tokens: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """One item with all that was said to it."""

    item: str
    prompt: str
    output: str
    expected: str
    answer: str
    outcome: Outcome
    lenient: Outcome
    finish: str
    judged: Judged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    evaluation_id: str
    label: str
    evalset: str
    run_id: str | None
    counts: tuple[tuple[str, int], ...]
    readings: tuple[tuple[str, str, str, Interval], ...]
    facts: tuple[tuple[str, str], ...]
    outcome: str | None
    item: AnswerView | None
    rows: tuple[AnswerRow, ...]
    found: int
    first: str | None
    further: str | None


@router.get("/evaluations/{evaluation_id}")
def show(request: Request, here: Here, evaluation_id: EvaluationId, query: Annotated[PredictionQuery, Query()]) -> Response:
    evaluation = load(here.settings, evaluation_id)
    view = evaluation_view(evaluation, query)
    what = evaluation.summary.run_id or evaluation.summary.model
    command = wording.command("eval", what, on=evaluation.summary.evalset)
    return rendering.page(
        request, "evaluation.html", view, title=f"{view.label} on {view.evalset}", command=command, up="/leaderboard"
    )


def load(settings: Settings, evaluation_id: str) -> Evaluation:
    """Not by `evals.find`: what comes from an address is no path."""
    folder = settings.evals / evaluation_id
    if not (folder / "summary.json").is_file():
        raise errors.NotFound(f"no finished evaluation {evaluation_id!r}.", evaluation=evaluation_id)
    return comparisons.load(folder)


def evaluation_view(evaluation: Evaluation, query: PredictionQuery) -> EvaluationView:
    summary = evaluation.summary
    path = f"/evaluations/{summary.evaluation_id}"
    pairs = [
        pair for pair in zip(evaluation.scores, evaluation.predictions, strict=True) if query.outcome in (None, pair[0].strict)
    ]
    shown = pairs[query.after : query.after + PAGE]
    more = len(pairs) > query.after + PAGE
    one = next((pair for pair in pairs if query.item and pair[0].item.startswith(query.item)), None)
    return EvaluationView(
        evaluation_id=summary.evaluation_id,
        label=summary.label,
        evalset=summary.evalset,
        run_id=summary.run_id,
        counts=tuple((outcome, getattr(summary, outcome)) for outcome in OUTCOMES),
        readings=tuple(_readings(summary)),
        facts=_facts(summary),
        outcome=query.outcome,
        item=answer_view(*one) if one else None,
        rows=tuple(_answer_row(path, query, *pair) for pair in shown),
        found=len(pairs),
        first=query.link(path, after=None, item=None) if query.after else None,
        further=query.link(path, after=query.after + PAGE, item=None) if more else None,
    )


def _readings(summary: EvaluationSummary) -> Iterable[tuple[str, str, str, Interval]]:
    """(reading, share, its interval in words, its mark)."""
    for name, accuracy, ends in (
        ("Strict, clustered by template", summary.accuracy, summary.ci95_clustered),
        ("Strict, items on their own", summary.accuracy, summary.ci95),
        ("Lenient, items on their own", summary.lenient.accuracy, summary.lenient.ci95),
    ):
        told = f"{wording.percent(accuracy)}, 95 % interval {wording.interval(ends)}"
        yield name, wording.percent(accuracy), wording.interval(ends), marks.interval(accuracy, ends, told)


def _facts(summary: EvaluationSummary) -> tuple[tuple[str, str], ...]:
    return (
        ("Items", wording.whole(summary.n)),
        ("Template groups", wording.whole(summary.groups)),
        ("Model digest", summary.model_digest[:12] if summary.model_digest else "not known: imported"),
        ("Adapter digest", summary.adapter_digest[:12] if summary.adapter_digest else "none: the base"),
        ("Set digest", summary.evalset_digest[:12]),
        ("Tokens", "not recorded" if summary.tokens is None else wording.whole(summary.tokens)),
        ("Took", "not recorded" if summary.seconds is None else wording.seconds(summary.seconds)),
    )


def _answer_row(path: str, query: PredictionQuery, score: ScoreRow, said: Prediction) -> AnswerRow:
    trace = as_trace(score, said)
    return AnswerRow(
        href=query.link(path, item=score.item[:16]),
        item=score.item[:8],
        prompt=wording.short(said.prompt, 110),
        strip=verdicts.strip(checking.check(trace)) if trace else None,
        expected=wording.short(score.expected, 24),
        answer=wording.short(score.answer or "", 24),
        outcome=score.strict,
        tokens="" if said.tokens is None else str(said.tokens),
    )


def answer_view(score: ScoreRow, said: Prediction) -> AnswerView:
    trace = as_trace(score, said)
    return AnswerView(
        item=score.item,
        prompt=said.prompt,
        output=said.output,
        expected=score.expected,
        answer=score.answer or "",
        outcome=score.strict,
        lenient=score.lenient,
        finish=said.finish,
        judged=verdicts.judged(trace) if trace else None,
    )


def as_trace(score: ScoreRow, said: Prediction) -> Trace | None:
    """What was said, as the checker reads it; None when no steps were read from it."""
    steps = [text for text in said.steps if text.strip() and "\x00" not in text][:1_000]
    answer = score.answer if score.answer and score.answer.strip() else "-"
    if not steps or "\x00" in said.prompt + answer:
        return None
    numbered = tuple(Step(i=i, type="compute", content=text[:20_000]) for i, text in enumerate(steps, start=1))
    return Trace(prompt=said.prompt[:50_000], steps=numbered, final_answer=answer[:50_000])


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    choices: tuple[tuple[str, str], ...]
    chosen: str | None
    evalsets: tuple[str, ...]
    evalset: str | None
    problem: str


@router.get("/evaluations/new")
def new(request: Request, here: Here, query: Annotated[NewQuery, Query()]) -> Response:
    return _form(request, here, query.run, query.evalset)


def _form(
    request: Request, here: Here, chosen: str | None, evalset: str | None, problem: str = "", status: int = 200
) -> Response:
    with here.store.reading() as connection:
        trained = runs.listed(connection, state="completed", kind="train", limit=200).data
    base = [(name, f"{name} (base)") for name in models.SOURCES]
    tuned = [(run.run_id, f"{run_pages.name(run)}, {run_pages.about(run)} ({run.run_id})") for run in trained]
    there = sorted(path.parent.name for path in here.settings.datasets.glob("*/manifest.json"))
    view = NewView(
        choices=(*tuned, *base),
        chosen=chosen,
        evalsets=tuple(sorted(there, key=lambda name: "eval" not in name)),
        evalset=evalset,
        problem=problem,
    )
    command = wording.command("eval", chosen or "RUN_OR_MODEL", on=evalset or "EVALSET")
    return rendering.page(
        request, "evaluation_form.html", view, title="New evaluation", command=command, up="/leaderboard", status=status
    )


@router.post("/evaluations")
def create(request: Request, here: Here, form: Annotated[Asked, Form()]) -> Response:
    try:
        if form.what in models.SOURCES:
            made = submit(here, spec(here, form, form.what, None))
        else:
            with here.store.reading() as connection:
                run = runs.get(connection, form.what)
            made = submit(here, spec(here, form, None, run))
    except (errors.Invalid, errors.NotFound, errors.Missing) as mistake:
        return _form(request, here, form.what, form.evalset, mistake.message, mistake.status)
    return RedirectResponse(f"/runs/{made.run_id}", 303)


@router.post("/runs/{run_id}/evaluate")
def evaluate_run(here: Here, run_id: RunId, form: Annotated[OfRun, Form()]) -> Response:
    """Queues two evaluations of one question, of the base model and of the run; leads to the run's own."""
    with here.store.reading() as connection:
        run = runs.get(connection, run_id)
    tuned = spec(here, form, None, run)
    submit(here, tuned.model_copy(update={"run_id": None, "adapter_digest": None, "tuned_by": None}))
    return RedirectResponse(f"/runs/{submit(here, tuned).run_id}", 303)


def spec(here: Here, form: OfRun, model: str | None, run: Run | None) -> EvalSpec:
    """The question, with the instruction that the run was trained with."""
    rest = {key: value for key, value in form.model_dump(exclude={"what"}).items() if value is not None}
    if run is None:
        models.source(str(model))
        if not (here.settings.models / str(model) / "manifest.json").is_file():
            with here.heavy():
                models.prepare(here.settings, str(model))
        asked = EvalSpec(model=str(model), **rest)
    else:
        folder = run.dir(here.settings)
        if not (folder / "run.json").is_file():
            raise errors.NotFound(f"run {run.run_id} has not finished, so there is nothing to evaluate.", run=run.run_id)
        trained = runs.load(folder)
        asked = EvalSpec(
            model=trained.model,
            model_digest=trained.model_digest,
            run_id=trained.run_id,
            adapter_digest=trained.adapter_digest,
            tuned_by=trained.name,
            **runs.posed(trained)._asdict(),
            **rest,
        )
    found = runs.resolve(here.settings, asked)
    assert isinstance(found, EvalSpec)
    return found


def submit(here: Here, asked: EvalSpec) -> Run:
    """The same question is answered once; one that ended without an answer is asked again."""
    with here.store.unit_of_work() as connection:
        run = runs.submit(connection, asked, dedup_key=f"eval:{asked.evaluation_id}")
        return runs.resume(connection, run.run_id) if run.state in runs.RESUMABLE else run


def pair_of(settings: Settings, run_id: str) -> tuple[str, str]:
    """The evaluations of a run's base and of the run, by their ids."""
    base, tuned = evals.of_run(settings, runs.load(settings.runs / run_id))
    return base.name, tuned.name
