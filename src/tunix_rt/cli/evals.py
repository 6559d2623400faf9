"""`tunix-rt eval` and `tunix-rt compare`: how good a model is, and whether another is better."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tunix_rt import comparisons, errors, evals, models, runs, values
from tunix_rt.cli import following, foreground, registering
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, interval, percent
from tunix_rt.cli.data import obtain
from tunix_rt.comparisons import Block, Comparison
from tunix_rt.jobs import INSTRUCTION, Device, TrainJob, read
from tunix_rt.runs import RESUMABLE, Trained


@command(app, "eval")
def evaluate(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="A run (id or folder), a base model, or NAME[@WHICH].")],
    on: Annotated[str, typer.Option(help="Evaluation set: a dataset; a built-in recipe of that name is built if needed.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many items, spread over the set.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer; a longer one counts as truncated.")] = 160,
    device: Annotated[Device, typer.Option(help="Where to run; refused if absent.")] = "auto",
) -> None:
    """Answer every item of an evaluation set and score the answers."""
    run = None if what in models.known(surface.settings) else registering.trained(surface, what)
    folder = evaluation(surface, run.model if run else what, run, on, limit=limit, max_new_tokens=max_new_tokens, device=device)
    summary = values.read_json(folder / "summary.json")
    surface.emit({**summary, "dir": str(folder)}, f"{describe(summary)}\n  folder {folder}")


def evaluation(
    surface: Surface,
    model: str,
    run: Trained | None,
    evalset: str,
    *,
    limit: int | None = None,
    max_new_tokens: int = 160,
    device: Device = "auto",
) -> Path:
    """The folder of the evaluation, made now unless the same question was answered before."""
    items = obtain(surface, evalset)
    base = models.prepare(surface.settings, model, surface.say)
    asked = evals.question(
        base,
        items,
        run=run,
        instruction=_instruction(run),
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
    )
    what, folder = "tuned model" if run else "base model", surface.settings.evals / asked.evaluation_id
    if (folder / "summary.json").is_file():
        surface.say(f"evaluation of the {what} on {evalset} is there already: {folder}")
        return folder
    surface.say(f"evaluating the {what} on {evalset} ({limit or items.manifest.count} items)")
    evals.prepare(surface.settings, asked, folder, Path(run.dir) if run else None)
    with foreground.ledger(surface) as opened:
        with opened.unit_of_work() as connection:
            queued = runs.submit(connection, asked)
            if queued.state in RESUMABLE:
                runs.resume(connection, queued.run_id)
        with following.generating(surface, folder, what) as follow:
            foreground.finish(surface, opened, queued.run_id, follow)
    return folder


def _instruction(run: Trained | None) -> str:
    if run is None:
        return INSTRUCTION
    job, _ = read(Path(run.dir))
    if not isinstance(job, TrainJob):
        raise errors.Invalid(f"{run.dir} holds no training run.")
    return job.config.instruction


def describe(summary: dict[str, Any]) -> str:
    lines = [f"{summary['label']} on {summary['evalset']}, {summary['n']} items in {summary['groups']} template groups"]
    for name, row in (("strict", summary), ("lenient", summary["lenient"])):
        lines.append(
            f"  {name:8} {percent(row['accuracy'])} correct, 95 % {interval(row['ci95'])} Wilson  "
            f"({row['correct']} correct, {row['wrong']} wrong, {row['unparseable']} unparseable, {row['truncated']} truncated)"
        )
    lines.append(f"  strict, clustered by template group: 95 % {interval(summary['ci95_clustered'])}")
    return "\n".join(lines)


@command(app)
def compare(
    surface: Surface,
    baseline: Annotated[str, typer.Argument(help="Evaluation id or folder.")],
    candidate: Annotated[str, typer.Argument(help="Evaluation id or folder.")],
    margin: Annotated[float, typer.Option(min=0.0, max=1.0, help="Differences within this count as equivalent.")] = 0.05,
) -> None:
    """Is the candidate better than the baseline on the same items?"""
    made = comparisons.compare(
        comparisons.load(evals.find(surface.settings, baseline)),
        comparisons.load(evals.find(surface.settings, candidate)),
        margin,
    )
    surface.emit(made.model_dump(mode="json"), describe_comparison(made))


def describe_comparison(made: Comparison) -> str:
    lines = [_block("strict", made), _block("lenient", made.lenient)]
    if made.format_share is not None:
        lines.append(
            f"  of the strict gain, {100 * made.format_gain:.1f} points are format: answers the lenient reading found anyway"
        )
    seen = percent(made.minimum_detectable_effect)
    lines.append(f"  verdict: {made.verdict} (with so many changed answers, {made.n} items can see {seen} or more)")
    return "\n".join(lines)


def _block(name: str, block: Block) -> str:
    p = f"p = {block.p_value:.2g}" if block.p_value >= 1e-12 else "p < 1e-12"
    return (
        f"  {name:8} {100 * block.difference:+.1f} points, 95 % {interval(block.ci95)}, McNemar mid-{p}, "
        f"{block.fixed} fixed, {block.broken} broken"
    )
