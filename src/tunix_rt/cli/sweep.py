"""`tunix-rt sweep`: the best of many trainings."""

from typing import Annotated

import typer

from tunix_rt import errors, runs, sweeps
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, interval, table
from tunix_rt.sweeps import Standing, State, Trial
from tunix_rt.workbench import foreground, sweeping

group = noun("sweep", "Search: many trainings, the best of them confirmed once.")
SweepId = Annotated[str, typer.Argument(metavar="SWEEP", help="Sweep id.")]


@command(group)
def start(
    surface: Surface,
    file: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A sweep as TOML, or the name of one that ships.")],
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Worker processes for as long as it lasts (default: as it is parallel).")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Only begin it; workers that are there carry it out.")] = False,
) -> None:
    """Begin a sweep, or go on with it, and follow it to its end. The same file is the same sweep."""
    found = sweeping.sweep(surface, file, workers, detach=detach)
    surface.emit(sweeps.document(found), describe(found))


@command(group, "list")
def list_sweeps(
    surface: Surface,
    state: Annotated[State | None, typer.Option(help="Only sweeps in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Sweeps in a page.")] = 50,
    after: Annotated[str | None, typer.Option(help="The 'next' of the page before.")] = None,
) -> None:
    """Sweeps, newest first."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        page = sweeps.listed(connection, after=after, limit=limit, state=state)
    rows = [
        (
            one.sweep_id,
            one.state,
            f"{len(one.trials)} of {sweeps.most(one.spec)}",
            one.spec.objective.metric,
            _value(one.best),
            f"{one.created:%Y-%m-%d %H:%M}",
        )
        for one in page.data
    ]
    text = table(rows, ("sweep", "state", "trials", "metric", "best", "created")) if rows else "no sweeps yet"
    surface.emit({"data": [sweeps.summary(one) for one in page.data], "next": page.next}, text)


@command(group)
def show(surface: Surface, sweep: SweepId) -> None:
    """A sweep, its trials, what matters, and its confirmation."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        found = sweeps.get(connection, sweep)
    surface.emit(sweeps.document(found), describe(found))


@command(group)
def stop(surface: Surface, sweep: SweepId) -> None:
    """Begin no further trial and cancel those under way. The test set is not asked; `sweep start` goes on."""
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        found = sweeps.stop(connection, sweep)
    surface.emit(sweeps.document(found), f"sweep {found.sweep_id}: {found.state}")


@command(group)
def best(surface: Surface, sweep: SweepId) -> None:
    """The best trial so far, with the training config it stands for."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        found = sweeps.get(connection, sweep)
        chosen = found.best
        if chosen is None:
            raise errors.NotFound(f"sweep {sweep} has no completed trial yet.", sweep=sweep)
        asked = runs.get(connection, chosen.run_id).spec
    data = {**sweeps.trial_document(found, chosen), "config": asked["config"], "confirmed": sweeps.summary(found)["confirmed"]}
    lines = [
        f"trial {chosen.number} of {found.sweep_id}: {found.spec.objective.metric} {_value(chosen)} on {found.spec.val.evalset}"
    ]
    lines += [f"  {key} = {value}" for key, value in chosen.params.items()]
    surface.emit(data, "\n".join([*lines, f"  run {chosen.run_id}", *_confirmation(found)]))


def describe(found: Standing) -> str:
    objective = found.spec.objective
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items()) or "none yet"
    lines = [
        f"sweep {found.sweep_id}: {found.state}, {len(found.trials)} of {sweeps.most(found.spec)} trials ({counts})",
        f"  chosen by {objective.metric} on {found.spec.val.evalset}, {objective.better.replace('_', ' ')}",
    ]
    lines += [f"  {found.message}"] if found.message else []
    keys = list(found.spec.space)
    header = ("trial", "state", objective.metric, *keys, "run")
    if found.trials:
        lines.append(table([_row(trial, keys) for trial in found.trials], header))
    if found.importance:
        lines.append("what matters: " + ", ".join(f"{key} {100 * share:.0f} %" for key, share in sweeps.ranked(found)))
    if found.best is not None:
        beside = f"; the config as it was: {_value(found.default)}" if found.default and found.default is not found.best else ""
        lines.append(f"best: trial {found.best.number} with {_value(found.best)}{beside}")
    return "\n".join([*lines, *_confirmation(found)])


def _row(trial: Trial, keys: list[str]) -> tuple[str, ...]:
    values = [sweeps.shown(trial.params[key]) if key in trial.params else "-" for key in keys]
    return (str(trial.number), trial.state, _value(trial), *values, trial.run_id)


def _value(trial: Trial | None) -> str:
    return "-" if trial is None or trial.value is None else f"{trial.value:.4f}"


def _confirmation(found: Standing) -> list[str]:
    """The value on the test set with its interval, and how often trained runs have been asked it."""
    made = found.confirmed
    if made is None:
        return []
    ends = interval(made.ci95) + " Wilson, " if made.ci95 else ""
    value = f"{found.spec.objective.metric} {100 * made.value:.1f} %"
    return [
        f"confirmed on {found.spec.test.evalset}: trial {found.chosen} has {value}, "
        f"95 % {ends}{interval(made.ci95_clustered)} clustered, {made.n} items in {made.groups} groups; "
        f"look {made.looks} of a trained run at this set"
    ]
