"""`tunix-rt runs` and `tunix-rt worker`: the queue, and the process that works it off."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunix_rt import errors, runs, values
from tunix_rt.cli import configuring
from tunix_rt.cli.app import app, command, noun
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.launchers.ray import Ray
from tunix_rt.logs import to_stderr
from tunix_rt.runs import Run, Spec, State, TrainSpec
from tunix_rt.workbench import foreground
from tunix_rt.worker import Worker

group = noun("runs", "Runs of this workspace: queued, running and ended.")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run id.")]


@command(group)
def submit(
    surface: Surface,
    file: Annotated[Path, typer.Argument(help="The spec as JSON: kind, and what that kind names.")],
    priority: Annotated[int, typer.Option(help="Higher is claimed first.")] = 0,
    dedup_key: Annotated[str | None, typer.Option(help="Queue at most one run under this key.")] = None,
    max_hours: Annotated[float | None, typer.Option(min=0.0, help="Each attempt ends as timed out after so long.")] = None,
    max_attempts: Annotated[int, typer.Option(min=1, help="How often a run is begun whose process was lost.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate everything and launch nothing.")] = False,
    seeds: Annotated[str | None, typer.Option(metavar="N,N,...", help="A training, once for each seed, in one group.")] = None,
) -> None:
    """Queue a run for a worker."""
    spec = runs.resolve(surface.settings, runs.parse(values.read_json(file), source=str(file)))
    specs = _seeded(spec, seeds)
    made = []
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        for number, one in enumerate(specs):
            made.append(
                runs.submit(
                    connection,
                    one,
                    priority=priority,
                    dedup_key=f"{dedup_key}:{number}" if dedup_key and seeds else dedup_key,
                    timeout=max_hours * 3600 if max_hours is not None else None,
                    max_attempts=max_attempts,
                    dry_run=dry_run,
                )
            )
    if seeds is None:
        return emit(surface, made[0])
    text = "\n".join(describe(surface, run) for run in made)
    return surface.emit({"data": [document(surface, run) for run in made], "next": None}, text)


def _seeded(spec: Spec, seeds: str | None) -> list[Spec]:
    if seeds is None:
        return [spec]
    if not isinstance(spec, TrainSpec):
        raise typer.BadParameter(f"a run of kind {spec.kind!r} has no seed", param_hint="--seeds")
    return list(configuring.seeded(spec, configuring.seeds(seeds)))


@command(group, "list")
def list_runs(
    surface: Surface,
    state: Annotated[State | None, typer.Option(help="Only runs in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only runs of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Runs in a page.")] = 50,
    after: Annotated[str | None, typer.Option(help="The 'next' of the page before.")] = None,
) -> None:
    """Runs, newest first."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        found, following = runs.listed(connection, after=after, limit=limit, state=state, kind=kind)
    rows = [
        (run.run_id, run.kind, run.state, run.reason or "", str(run.attempt), f"{run.created:%Y-%m-%d %H:%M}") for run in found
    ]
    header = ("run", "kind", "state", "reason", "attempt", "created")
    text = table(rows, header) if rows else "no runs yet; `tunix-rt demo` makes one"
    surface.emit({"data": [document(surface, run) for run in found], "next": following}, text)


@command(group, "show")
def show_run(surface: Surface, run: Annotated[str, typer.Argument(help="Run id, or the folder of a finished run.")]) -> None:
    """The facts of one run."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        try:
            found = runs.get(connection, run)
        except errors.NotFound:
            found = runs.get(connection, runs.find(surface.settings, run).run_id)
    emit(surface, found)


@command(group)
def logs(surface: Surface, run: RunId) -> None:
    """What the run's process printed."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        path = runs.get(connection, run).dir(surface.settings) / "log.txt"
    text = path.read_text(errors="replace") if path.exists() else ""
    surface.emit({"run_id": run, "log": text}, text.rstrip("\n"))


@command(group)
def cancel(surface: Surface, run: RunId) -> None:
    """Ask a run to stop; a running one leaves a checkpoint first."""
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        emit(surface, runs.cancel(connection, run))


@command(group)
def resume(surface: Surface, run: RunId) -> None:
    """Queue another attempt of a run that ended without completing; it goes on from the last verified checkpoint."""
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        emit(surface, runs.resume(connection, run))


@command(group)
def prune(
    surface: Surface,
    run: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Run ids (default: every completed run).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove the checkpoints of completed runs, which nothing reads any more. Adapters, metrics and results stay, and so does
    every checkpoint that a run can be resumed from.
    """
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        found = runs.spare(connection, surface.settings, run or ())
    for one in found if not dry_run else ():
        runs.remove(one)
    total = sum(one.size for one in found)
    lines = [f"{one.run_id}  {size(one.size)}" for one in found]
    done = "would be freed" if dry_run else "freed"
    data = {"runs": [{"run_id": one.run_id, "bytes": one.size} for one in found], "bytes": total, "dry_run": dry_run}
    last = f"{size(total)} {done}: checkpoints of {len(found)} runs" if found else "no completed run has checkpoints"
    surface.emit(data, "\n".join([*lines, last]))


def emit(surface: Surface, run: Run) -> None:
    surface.emit(document(surface, run), describe(surface, run))


def document(surface: Surface, run: Run) -> dict[str, Any]:
    """The ledger's row with the run's facts beside it."""
    row = run.model_dump(mode="json", exclude={"result"})
    return {**(run.result or {}), **row, "dir": str(run.dir(surface.settings))}


def describe(surface: Surface, run: Run) -> str:
    lines = [f"{run.kind} run {run.run_id}: {run.state}{f' ({run.reason})' if run.reason else ''}, attempt {run.attempt}"]
    lines += [f"  {run.message}"] if run.message else []
    facts = {key: value for key, value in (run.result or {}).items() if isinstance(value, int | float | str)}
    width = max(map(len, facts), default=0)
    lines += [f"  {key.ljust(width)}  {value if isinstance(value, str) else json.dumps(value)}" for key, value in facts.items()]
    return "\n".join([*lines, f"  folder {run.dir(surface.settings)}"])


@command(app)
def worker(
    surface: Surface,
    once: Annotated[bool, typer.Option("--once", help="End when there is nothing left to do.")] = False,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Runs at a time.")] = 1,
    launcher: Annotated[
        Literal["local", "ray"], typer.Option(help="Where runs are begun: here, or on a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str, typer.Option(metavar="URL", help="The cluster's dashboard; its token, if it wants one, is in TUNIX_RT_RAY_TOKEN.")
    ] = "http://127.0.0.1:8265",
    ray_cpus: Annotated[float, typer.Option(min=0.0, help="Processors that Ray sets aside for a run.")] = 1.0,
    ray_gpus: Annotated[float, typer.Option(min=0.0, help="GPUs that Ray sets aside for a run.")] = 0.0,
) -> None:
    """Work off the queue. SIGTERM or Ctrl-C ends the worker, not its runs: they go on, and the next worker takes them over."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    with foreground.ledger(surface) as opened:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        to_stderr()
        where = _on_ray(surface, ray_address, ray_cpus, ray_gpus) if launcher == "ray" else None
        made = Worker(surface.settings, opened, slots=slots, launcher=where)
        surface.say(f"worker {made.id} with {slots} slot{'s' if slots > 1 else ''} on {opened.where}")
        try:
            made.work(lambda: stopped, once=once)
        finally:
            made.close()
    surface.emit({"worker_id": made.id, "stopped": stopped}, f"worker {made.id} ended")


def _on_ray(surface: Surface, address: str, cpus: float, gpus: float) -> Ray:
    """Raises `errors.Unavailable` when there is no cluster at the address; one that goes away later is waited for."""
    token = surface.settings.ray_token
    launcher = Ray(address, cpus=cpus, gpus=gpus, token=token.get_secret_value() if token else None)
    launcher.check()
    return launcher
