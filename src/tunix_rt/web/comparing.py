"""`/compare`: is B better than A, on the same items? And the items that changed, side by side."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import comparisons, errors, runs
from tunix_rt.api.evaluations import ID
from tunix_rt.api.runs import RUN_ID
from tunix_rt.api.service import Here
from tunix_rt.comparisons import Block, Comparison, Evaluation, EvaluationSummary
from tunix_rt.evals.looks import counted
from tunix_rt.scoring import Prediction, ScoreRow
from tunix_rt.settings import Settings
from tunix_rt.web import curves, evaluations, marks, mistakes, queries, rendering, run_files, wording
from tunix_rt.web import runs as run_pages
from tunix_rt.web.evaluations import AnswerView
from tunix_rt.web.marks import Interval

router = APIRouter(include_in_schema=False)
PAGE = 20
Named = Annotated[str, Field(pattern=f"{ID}|{RUN_ID}")]
TOLD = {
    "better": "The candidate is better",
    "worse": "The candidate is worse",
    "equivalent": "They are as good within the margin",
    "cannot tell": "These items cannot tell",
}


class CompareQuery(queries.Query):
    """`run` twice: the baseline and the candidate, each a run or an evaluation; a run alone is held against its base."""

    run: list[Named] = Field(default=[], max_length=2)
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05


class ItemsQuery(CompareQuery):
    show: comparisons.Change = "fixed"
    after: Annotated[int, Field(ge=0, le=10**9)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    reading: str
    difference: str
    interval: str
    mark: Interval
    p: str
    fixed: int
    broken: int
    least: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    id: str
    label: str
    accuracy: str
    interval: str
    mark: Interval
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    verdict: str
    kind: str
    sentence: str
    sides: tuple[Side, Side]
    blocks: tuple[BlockView, ...]
    format_gain: str
    counts: tuple[tuple[str, int, str], ...]
    changes: tuple[tuple[str, str, str], ...]
    island: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareView:
    choices: tuple[Choice, ...]
    baseline: str | None
    candidate: str | None
    margin: float
    problem: str
    result: Result | None


@router.get("/compare")
def compare(request: Request, here: Here, query: Annotated[CompareQuery, Query()]) -> Response:
    found = run_pages.summaries(here.settings)
    one, other, problem, result = None, None, "", None
    if query.run:
        try:
            one, other = pair(here.settings, query.run)
            with here.heavy():
                result = _result(here, one, other, query)
        except (errors.Invalid, errors.NotFound) as mistake:
            problem = mistakes.said(mistake, str(here.settings.home))
    view = CompareView(
        choices=tuple(
            Choice(id=each.evaluation_id, text=f"{each.label} on {each.evalset}, {wording.percent(each.accuracy)}")
            for each in found
        ),
        baseline=one,
        candidate=other,
        margin=query.margin,
        problem=problem,
        result=result,
    )
    command = wording.command("compare", one or "BASELINE", other or "CANDIDATE", margin=query.margin)
    status = 422 if problem else 200
    return rendering.page(request, "compare.html", view, title="Compare", command=command, status=status)


def pair(settings: Settings, named: Sequence[str]) -> tuple[str, str]:
    """The ids of the two evaluations; a run stands for its newest evaluation, alone for that against its base."""
    if len(named) == 1:
        if re.fullmatch(ID, named[0]):
            raise errors.Invalid("two evaluations are compared; choose another beside this one.", field="run")
        return evaluations.pair_of(settings, named[0])
    one, other = (_evaluation(settings, name) for name in named)
    return one, other


def _evaluation(settings: Settings, name: str) -> str:
    if re.fullmatch(ID, name):
        return name
    found = run_pages.of_run(settings, name)
    if not found:
        raise errors.NotFound(f"run {name} has no finished evaluation yet: tunix-rt eval {name} --on EVALSET", run=name)
    return found[0].evaluation_id


def _result(here: Here, one: str, other: str, query: CompareQuery) -> Result:
    before, after = evaluations.load(here.settings, one), evaluations.load(here.settings, other)
    made = comparisons.compare(before, after, query.margin)
    specs, lines = [], []
    for summary in (before.summary, after.summary):
        if summary.run_id:
            with here.store.reading() as connection:
                run = runs.get(connection, summary.run_id)
            specs.append(run.spec)
            lines.append(curves.read(run.dir(here.settings) / "metrics.jsonl").points)
    view = result_view(before, after, made, specs, lines)
    return replace(view, sentence=f"{view.sentence} {counted(here.settings, made.evalset_digest)}.")


def result_view(before: Evaluation, after: Evaluation, made: Comparison, specs: Sequence[Any], lines: Sequence[Any]) -> Result:
    kinds = {"better": "ok", "worse": "wrong", "equivalent": "ok", "cannot tell": "unsure"}
    gain = (
        f"Of the strict difference, {100 * made.format_gain:+.1f} points are format: answers the lenient reading found anyway."
    )
    changes = run_files.differences(*specs) if len(specs) == 2 else ()
    return Result(
        verdict=TOLD[made.verdict],
        kind=kinds[made.verdict],
        sentence=_sentence(made),
        sides=(_side(before.summary), _side(after.summary)),
        blocks=(_block("Strict", made), _block("Lenient", made.lenient)),
        format_gain=gain if made.format_share is not None else "",
        counts=tuple(_counts(before, after)),
        changes=tuple(change for change in changes if change[0].startswith(("config.", "dataset", "max_steps"))),
        island={"series": lines} if len(lines) == 2 else None,
    )


def _sentence(made: Comparison) -> str:
    told = f"{wording.points(made.difference)} points ({wording.interval(made.ci95)})"
    told += f" over {made.n:,} items in {made.groups} groups"
    least = wording.percent(made.minimum_detectable_effect)
    return f"{told}; with so many changed answers, {least} or more can be seen."


def _side(summary: EvaluationSummary) -> Side:
    row = run_pages.evaluation_row(summary)
    return Side(
        id=summary.evaluation_id,
        label=summary.label,
        accuracy=row.accuracy,
        interval=row.interval,
        mark=row.mark,
        run_id=summary.run_id,
    )


def _block(reading: str, block: Block) -> BlockView:
    told = f"{wording.points(block.difference)} points, 95 % interval {wording.interval(block.ci95)}"
    return BlockView(
        reading=reading,
        difference=wording.points(block.difference),
        interval=wording.interval(block.ci95),
        mark=marks.interval(block.difference, block.ci95, told, -1.0, 1.0),
        p=f"{block.p_value:.2g}" if block.p_value >= 1e-12 else "< 1e-12",
        fixed=block.fixed,
        broken=block.broken,
        least=wording.percent(block.minimum_detectable_effect),
    )


def _counts(before: Evaluation, after: Evaluation) -> Iterable[tuple[str, int, str]]:
    """(change, how many items, where they are)."""
    found = [comparisons.change_of(one.strict, other.strict) for (one, other), _ in matched(before, after)]
    for name in comparisons.CHANGES:
        ids = (before.summary.evaluation_id, after.summary.evaluation_id)
        link = ItemsQuery(run=list(ids)).link("/compare/items", run=list(ids), show=name)
        yield name, found.count(name), link


def matched(before: Evaluation, after: Evaluation) -> list[tuple[tuple[ScoreRow, ScoreRow], tuple[Prediction, Prediction]]]:
    """Scores and predictions of each item in both, in the order of the first."""
    there = {score.item: (score, said) for score, said in zip(after.scores, after.predictions, strict=True)}
    return [
        ((score, there[score.item][0]), (said, there[score.item][1]))
        for score, said in zip(before.scores, before.predictions, strict=True)
        if score.item in there
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    before: AnswerView
    after: AnswerView


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsView:
    labels: tuple[str, str]
    tabs: tuple[tuple[str, int, str], ...]
    show: str
    back: str
    pairs: tuple[PairView, ...]
    found: int
    first: str | None
    further: str | None


@router.get("/compare/items")
def compare_items(request: Request, here: Here, query: Annotated[ItemsQuery, Query()]) -> Response:
    if not query.run:
        raise errors.Invalid("name the two runs or evaluations: /compare/items?run=A&run=B", field="run")
    one, other = pair(here.settings, query.run)
    before, after = evaluations.load(here.settings, one), evaluations.load(here.settings, other)
    comparisons.compare(before, after, query.margin)  # refuses what cannot be compared
    view = items_view(before, after, query)
    command = wording.command("compare", one, other)
    return rendering.page(request, "compare_items.html", view, title=f"Items: {query.show}", command=command, up=view.back)


def items_view(before: Evaluation, after: Evaluation, query: ItemsQuery) -> ItemsView:
    kept = [
        (scores, said)
        for scores, said in matched(before, after)
        if comparisons.change_of(scores[0].strict, scores[1].strict) == query.show
    ]
    shown = kept[query.after : query.after + PAGE]
    path = "/compare/items"
    return ItemsView(
        labels=(before.summary.label, after.summary.label),
        tabs=tuple(_counts(before, after)),
        show=query.show,
        back=CompareQuery(run=query.run).link("/compare", run=query.run),
        pairs=tuple(
            PairView(before=evaluations.answer_view(scores[0], said[0]), after=evaluations.answer_view(scores[1], said[1]))
            for scores, said in shown
        ),
        found=len(kept),
        first=query.link(path, after=None) if query.after else None,
        further=query.link(path, after=query.after + PAGE) if len(kept) > query.after + PAGE else None,
    )
