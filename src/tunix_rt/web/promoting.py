"""`/runs/{id}/promote`: what a gate says of a run, before anything is promoted; then promote it, or force it for a reason."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, registry
from tunix_rt.api.models import PATTERN, Reason, admitted, trained
from tunix_rt.api.runs import RunId
from tunix_rt.api.service import Here, Who
from tunix_rt.comparisons import Decision, Gate
from tunix_rt.registry import CHAMPION, Criterion
from tunix_rt.web import marks, queries, rendering, wording
from tunix_rt.web.marks import Interval
from tunix_rt.web.verdicts import Kind

router = APIRouter(include_in_schema=False)
KINDS: dict[Decision, Kind] = {"pass": "ok", "fail": "wrong", "inconclusive": "unsure"}
ModelName = Annotated[str, Field(pattern=PATTERN)]
BaselineName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Margin = Annotated[float, Field(gt=0, lt=1)]


class PromoteQuery(queries.Query):
    baseline: BaselineName | None = None
    margin: Margin = 0.05


class ToPromote(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    baseline: BaselineName
    margin: Margin = 0.05
    champion: bool = False

    @property
    def alias(self) -> str | None:
        return CHAMPION if self.champion else None


class ToForce(BaseModel):
    """The gate is asked all the same if one is named, and what it says is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    reason: Reason
    baseline: BaselineName | None = None
    margin: Margin = 0.05
    champion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a gate said; `mark` is the gain with its one-sided bounds, from -100 to 100 points."""

    decision: Decision
    kind: Kind
    sentence: str
    mark: Interval
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    run_id: str
    name: str
    query: PromoteQuery
    choices: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    suggested: str
    decided: Decided | None
    problem: str
    may_promote: bool
    may_force: bool


@router.get("/runs/{run_id}/promote")
def show(request: Request, here: Here, who: Who, run_id: RunId, query: Annotated[PromoteQuery, Query()]) -> Response:
    run = trained(here, run_id)
    choices = registry.choices(here.settings, run)
    decided, problem = None, ""
    if query.baseline is not None:
        try:
            with here.heavy():
                decided = gate(registry.decide(here.settings, run, Criterion(baseline=query.baseline, margin=query.margin)))
        except (errors.Invalid, errors.NotFound) as mistake:
            problem = mistake.message
    with here.store.reading() as connection:
        names = tuple(model.name for model in registry.listed(connection, limit=200).data)
    view = View(
        run_id=run_id,
        name=run.name,
        query=query,
        choices=choices,
        names=names,
        suggested=names[0] if names else "",
        decided=decided,
        problem=problem,
        may_promote=who.may("runner"),
        may_force=who.may("admin"),
    )
    given = {"baseline": query.baseline or "BASELINE", "margin": query.margin}
    command = wording.command("models", "promote", run_id, "--as", "NAME", **given)
    return rendering.page(request, "promote.html", view, title=f"Promote {run.name}", command=command, up=f"/runs/{run_id}")


def gate(found: Gate) -> Decided:
    """A gate's decision for a page."""
    low, high = found.bounds
    gain = found.difference if found.direction == "higher_is_better" else -found.difference
    told = f"gain {wording.points(gain)} points, one-sided bounds {wording.points(low)} and {wording.points(high)}"
    return Decided(
        decision=found.decision,
        kind=KINDS[found.decision],
        sentence=f"{found.reason[0].upper()}{found.reason[1:]}.",
        mark=marks.interval(gain, (low, high), told, -1.0, 1.0),
        facts=(
            ("Metric", f"{found.metric}, {'more' if found.direction == 'higher_is_better' else 'less'} is better"),
            ("Candidate", f"{wording.percent(found.candidate_value)} ({found.candidate})"),
            ("Baseline", f"{wording.percent(found.baseline_value)} ({found.baseline_name or found.baseline_label})"),
            ("Evaluation set", f"{found.evalset}, {wording.plural(found.n, 'item')} in {found.groups} template groups"),
            ("Margin", f"{100 * found.margin:g} points, alpha {found.alpha:g} one-sided"),
            ("Gain, one-sided bounds", f"{wording.points(low)} to {wording.points(high)} points"),
            ("Changed items", f"{found.fixed} fixed, {found.broken} broken"),
            ("Looks at this set", f"{found.looks}, {found.looks_at_runs} of them at trained runs"),
            ("Criterion", "exploratory: not locked before" if found.exploratory else f"locked, {str(found.lock_digest)[:12]}"),
        ),
    )


@router.post("/runs/{run_id}/promote")
def promote(here: Here, who: Who, run_id: RunId, form: Annotated[ToPromote, Form()]) -> Response:
    run = trained(here, run_id)
    with here.heavy():
        decided = registry.decide(here.settings, run, Criterion(baseline=form.baseline, margin=form.margin))
        made, _ = admitted(here, form.name, run, decided, None, who=who.name, alias=form.alias)
    return RedirectResponse(f"/models/{made.name}/{made.version}", 303)


@router.post("/runs/{run_id}/promote/forced")
def force(here: Here, who: Who, run_id: RunId, form: Annotated[ToForce, Form()]) -> Response:
    run, decided = trained(here, run_id), None
    with here.heavy():
        if form.baseline is not None:
            decided = registry.decide(here.settings, run, Criterion(baseline=form.baseline, margin=form.margin))
        alias = CHAMPION if form.champion else None
        made, _ = admitted(here, form.name, run, decided, form.reason, who=who.name, alias=alias)
    return RedirectResponse(f"/models/{made.name}/{made.version}", 303)
