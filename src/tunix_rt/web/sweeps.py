"""`/sweeps`: searches, and one as parallel coordinates whose ranges are in the address."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, sweeps
from tunix_rt.api.service import Here, Service
from tunix_rt.api.sweeps import SweepId
from tunix_rt.comparisons import METRICS
from tunix_rt.jobs import FolderName
from tunix_rt.redaction import Redactor
from tunix_rt.sweeps import Axis, Standing, State, Trial
from tunix_rt.web import marks, queries, rendering, wording
from tunix_rt.web.marks import Bar, Interval

router = APIRouter(include_in_schema=False)
PAGE = 50
WIDE, HIGH, LEFT, TOP = 1000, 230, 60, 34  # of the parallel coordinates, in the picture's own units
ABSENT = TOP + HIGH + 16
BUCKETS = 4


class SweepQuery(queries.Query):
    state: State | None = None
    after: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None


class RangesQuery(queries.Query):
    """`range` is KEY:LOW:HIGH, places on the key's axis from 0 to 1; several keys all have to fit."""

    range: list[Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,60}:[01](\.[0-9]{1,6})?:[01](\.[0-9]{1,6})?$")]] = Field(
        default=[], max_length=40
    )


class Wanted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: FolderName


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    sweep_id: str
    state: str
    trials: str
    metric: str
    best: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    rows: tuple[Row, ...]
    recipes: tuple[str, ...]
    problem: str
    newest: str | None
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A part of an axis as a bar that can be asked for; `share` is of the largest, `on` that it is."""

    text: str
    count: int
    share: float
    href: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisView:
    """`x` is where it stands; ticks are (height, text); `bands` are (top, height) of the ranges that are asked for."""

    key: str
    x: float
    ticks: tuple[tuple[float, str], ...]
    bands: tuple[tuple[float, float], ...]
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    number: int
    state: str
    value: str
    values: tuple[str, ...]
    run_id: str
    evaluation_id: str | None
    note: str
    best: bool
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    sweep_id: str
    state: str
    message: str
    live: bool
    stoppable: bool
    startable: bool
    about: str
    done: int
    total: int
    tiles: tuple[tuple[str, str], ...]
    confirmed: tuple[str, str, Interval] | None
    axes: tuple[AxisView, ...]
    lines: tuple[tuple[str, str], ...]
    shown: int
    clear: str | None
    keys: tuple[str, ...]
    trials: tuple[TrialRow, ...]
    importance: tuple[Bar, ...]


@router.get("/sweeps")
def list_sweeps(request: Request, here: Here, query: Annotated[SweepQuery, Query()]) -> Response:
    return _listed(request, here, query)


def _listed(request: Request, here: Service, query: SweepQuery, problem: str = "", status: int = 200) -> Response:
    with here.store.reading() as connection:
        found = sweeps.listed(connection, after=query.after, limit=PAGE, state=query.state)
    view = ListView(
        rows=tuple(map(_row, found.data)),
        recipes=tuple(sweeps.names()),
        problem=problem,
        newest=query.link("/sweeps", after=None) if query.after else None,
        older=query.link("/sweeps", after=found.next) if found.next else None,
    )
    command = wording.command("sweep", "list", state=query.state, after=query.after)
    return rendering.page(request, "sweeps.html", view, title="Sweeps", command=command, status=status)


def _row(found: Standing) -> Row:
    return Row(
        sweep_id=found.sweep_id,
        state=found.state,
        trials=f"{len(found.trials)} of {sweeps.most(found.spec)}",
        metric=found.spec.objective.metric,
        best=_value(found, found.best),
        when=wording.when(found.created),
    )


@router.post("/sweeps")
def start(request: Request, here: Here, form: Annotated[Wanted, Form()]) -> Response:
    """One that ships; the datasets and the model have to be there."""
    try:
        with here.heavy():
            resolved = sweeps.resolve(here.settings, sweeps.shipped(form.recipe))
        with here.store.unit_of_work() as connection:
            found = sweeps.start(connection, resolved)
    except (errors.Invalid, errors.NotFound, errors.Missing, errors.Conflict) as mistake:
        return _listed(request, here, SweepQuery(), here.redact(mistake.message), mistake.status)
    return RedirectResponse(f"/sweeps/{found.sweep_id}", 303)


@router.post("/sweeps/{sweep_id}/stop")
def stop(here: Here, sweep_id: SweepId) -> Response:
    with here.store.unit_of_work() as connection:
        sweeps.stop(connection, sweep_id)
    return RedirectResponse(f"/sweeps/{sweep_id}", 303)


@router.get("/sweeps/{sweep_id}")
def show(request: Request, here: Here, sweep_id: SweepId, query: Annotated[RangesQuery, Query()]) -> Response:
    with here.store.reading() as connection:
        found = sweeps.get(connection, sweep_id)
    view = sweep_view(found, query, here.redact)
    title = f"Sweep {found.spec.name}"
    return rendering.page(request, "sweep.html", view, title=title, command=f"tunix-rt sweep show {sweep_id}", up="/sweeps")


def sweep_view(found: Standing, query: RangesQuery, redact: Redactor) -> SweepView:
    axes = sweeps.axes(found)
    asked = [_range(text) for text in query.range]
    inside = [all(_within(axes, one, number) for one in asked) for number in range(len(found.trials))]
    spec = found.spec
    step = (WIDE - 2 * LEFT) / max(1, len(axes) - 1)
    places = [round(LEFT + step * n, 1) for n in range(len(axes))]
    return SweepView(
        sweep_id=found.sweep_id,
        state=found.state,
        message=redact(found.message or ""),
        live=found.state in sweeps.OPEN,
        stoppable=found.state == "running",
        startable=found.state in ("stopped", "failed"),
        about=f"{spec.config.model} on {spec.dataset}, chosen by {spec.objective.metric} on {spec.val.evalset}",
        done=sum(trial.state != "running" for trial in found.trials),
        total=sweeps.most(spec),
        tiles=_tiles(found),
        confirmed=_confirmed(found),
        axes=tuple(
            _axis(found, axis, x, query, inside, [pair[1:] for pair in asked if pair[0] == axis.key])
            for axis, x in zip(axes, places, strict=True)
        ),
        lines=tuple(_lines(found, axes, places, inside)),
        shown=sum(inside),
        clear=f"/sweeps/{found.sweep_id}" if query.range else None,
        keys=tuple(spec.space),
        trials=tuple(
            _trial(found, trial, list(spec.space), fits, redact) for trial, fits in zip(found.trials, inside, strict=True)
        ),
        importance=marks.bars({key: round(100 * share) for key, share in sweeps.ranked(found)}),
    )


def _tiles(found: Standing) -> tuple[tuple[str, str], ...]:
    counts = [(state.capitalize(), str(count)) for state, count in found.counts.items()]
    metric = found.spec.objective.metric
    best, default = found.best, found.default
    tiles = [(f"Best {metric}", _value(found, best))] if best else []
    tiles += [("The config as it was", _value(found, default))] if default and default.value is not None else []
    return (*tiles, *counts)


def _value(found: Standing, trial: Trial | None) -> str:
    if trial is None or trial.value is None:
        return ""
    assert found.spec.objective.metric in METRICS
    return wording.percent(trial.value)


def _confirmed(found: Standing) -> tuple[str, str, Interval] | None:
    """What is said about the test set: the value, the sentence around it, and the interval as a mark."""
    made = found.confirmed
    if made is None:
        return None
    told = (
        f"trial {found.chosen} on {found.spec.test.evalset}: 95 % {wording.interval(made.ci95_clustered)} clustered by "
        f"template group, {wording.plural(made.n, 'item')} in {wording.plural(made.groups, 'group')}; look {made.looks} of a "
        "trained run at this set"
    )
    label = f"{wording.percent(made.value)}, 95 % interval {wording.interval(made.ci95_clustered)}"
    return wording.percent(made.value), told, marks.interval(made.value, made.ci95_clustered, label)


def _range(text: str) -> tuple[str, float, float]:
    key, low, high = text.split(":")
    return key, float(low), float(high)


def _within(axes: list[Axis], asked: tuple[str, float, float], number: int) -> bool:
    """An axis that is not there fits nothing."""
    key, low, high = asked
    place = next((axis.places[number] for axis in axes if axis.key == key), None)
    return place is not None and low <= place <= high


def _axis(
    found: Standing, axis: Axis, x: float, query: RangesQuery, inside: list[bool], ranges: list[tuple[Any, ...]]
) -> AxisView:
    return AxisView(
        key=axis.key,
        x=x,
        ticks=(*((_y(place), text) for place, text in axis.ticks), *(((ABSENT, "–"),) if _optional(found, axis) else ())),
        bands=tuple((_y(high) - 3, round(_y(low) - _y(high) + 6, 1)) for low, high in ranges),
        buckets=tuple(_buckets(found, axis, query, inside)),
    )


def _buckets(found: Standing, axis: Axis, query: RangesQuery, inside: list[bool]) -> list[Bucket]:
    """The values of a choice, or the quarters of a range, with how many of the shown trials lie there."""
    dimension = found.spec.space.get(axis.key)
    if dimension is not None and dimension.kind == "choice":
        parts = [(place, place, text) for place, text in axis.ticks]
    else:
        edges = [round(k / BUCKETS, 6) for k in range(BUCKETS + 1)]
        parts = [(low, high, _part(axis, low, high)) for low, high in pairwise(edges)]
    shown = [place for place, fits in zip(axis.places, inside, strict=True) if fits and place is not None]
    counts = Counter({n: sum(_in(place, low, high) for place in shown) for n, (low, high, _) in enumerate(parts)})
    top = max(counts.values(), default=1) or 1
    made = []
    for n, (low, high, text) in enumerate(parts):
        name = f"{axis.key}:{low:g}:{high:g}"
        on = name in query.range
        others = [one for one in query.range if not one.startswith(f"{axis.key}:")]
        href = query.link(f"/sweeps/{found.sweep_id}", range=(others if on else [*others, name]) or None)
        made.append(Bucket(text=text, count=counts[n], share=round(100 * counts[n] / top, 1), href=href, on=on))
    return made


def _in(place: float, low: float, high: float) -> bool:
    return low <= place < high or (place == high and high in (low, 1.0))


def _part(axis: Axis, low: float, high: float) -> str:
    words = {0.0: f"from {axis.ticks[0][1]}", 1.0: f"to {axis.ticks[-1][1]}"}
    return words.get(low) or words.get(high) or f"{100 * low:.0f} to {100 * high:.0f} % of the range"


def _optional(found: Standing, axis: Axis) -> bool:
    """Whether the key counts only beside some values of others."""
    dimension = found.spec.space.get(axis.key)
    return dimension is not None and bool(dimension.when)


def _lines(found: Standing, axes: list[Axis], places: list[float], inside: list[bool]) -> list[tuple[str, str]]:
    """(class, path) of each trial, those to be seen best last. A key that did not count is passed below its axis; a line ends
    where its trial has no result."""
    drawn, best = [], found.best
    for trial, fits in zip(found.trials, inside, strict=True):
        points = []
        for axis, x in zip(axes, places, strict=True):
            place = axis.places[trial.number]
            if place is not None or _optional(found, axis):
                points.append(f"{x} {ABSENT if place is None else _y(place)}")
        kind = "out" if not fits else "best" if best is not None and trial.number == best.number else trial.state
        drawn.append((kind, "M" + "L".join(points)))
    return sorted(
        drawn, key=lambda line: ("out", "failed", "cancelled", "running", "pruned", "completed", "best").index(line[0])
    )


def _y(place: float) -> float:
    return round(TOP + HIGH * (1 - place), 1)


def _trial(found: Standing, trial: Trial, keys: list[str], fits: bool, redact: Redactor) -> TrialRow:
    pruned = f"stopped after {trial.pruned_at:,} tokens" if trial.state == "pruned" else ""
    return TrialRow(
        number=trial.number,
        state=trial.state,
        value=_value(found, trial),
        values=tuple(sweeps.shown(trial.params[key]) if key in trial.params else "" for key in keys),
        run_id=trial.run_id,
        evaluation_id=trial.evaluation_id,
        note=pruned or wording.short(redact(trial.message or ""), 120),
        best=found.best is not None and trial.number == found.best.number,
        inside=fits,
    )
