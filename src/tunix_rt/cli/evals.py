"""`tunix-rt eval` and `tunix-rt compare`: how good a model is, and whether another is better."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tunix_rt import comparisons, evals, models, runs, values
from tunix_rt.cli import following, foreground, registering
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, interval, percent
from tunix_rt.cli.data import obtain
from tunix_rt.comparisons import Block, Comparison
from tunix_rt.jobs import INSTRUCTIONS, Device, Drawn
from tunix_rt.runs import RESUMABLE, Posed, Trained
from tunix_rt.scoring import ReplyFormat


@command(app, "eval")
def evaluate(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="A run (id or folder), a base model, or NAME[@WHICH].")],
    on: Annotated[str, typer.Option(help="Evaluation set: a dataset; a built-in recipe of that name is built if needed.")],
    like: Annotated[str | None, typer.Option(metavar="RUN", help="Ask a base model as this run was trained.")] = None,
    form: Annotated[
        ReplyFormat | None, typer.Option("--format", help="What a base model is asked to write (default: numbered).")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many items, spread over the set.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer; a longer one counts as truncated.")] = 160,
    temperature: Annotated[float, typer.Option(min=0.0, max=10.0, help="0 takes the best token; above, one is drawn.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k best tokens.")] = None,
    top_p: Annotated[float, typer.Option(max=1.0, help="Draw from the fewest tokens that hold this probability.")] = 1.0,
    samples: Annotated[int, typer.Option(min=1, max=1024, help="Answers to each item; the first is scored.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to run; refused if absent.")] = "auto",
) -> None:
    """Answer every item of an evaluation set and score the answers. `evals attempts` reads several samples of an item."""
    run = None if what in models.known(surface.settings) else registering.trained(surface, what)
    if run is not None and (like or form):
        raise typer.BadParameter("a run is asked as it was trained", param_hint="--like" if like else "--format")
    if like is not None and form is not None:
        raise typer.BadParameter("the run says in which format", param_hint="--format")
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "samples": samples, "seed": seed}
    folder = evaluation(
        surface,
        run.model if run else what,
        run,
        on,
        posed=_posed(registering.trained(surface, like) if like else run, form),
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        drawn=Drawn.parse(drawn, source="command line"),
    )
    summary = values.read_json(folder / "summary.json")
    surface.emit({**summary, "dir": str(folder)}, f"{describe(summary)}\n  folder {folder}")


def evaluation(
    surface: Surface,
    model: str,
    run: Trained | None,
    evalset: str,
    *,
    posed: Posed | None = None,
    limit: int | None = None,
    max_new_tokens: int = 160,
    device: Device = "auto",
    drawn: Drawn = Drawn(),  # noqa: B008  # frozen
) -> Path:
    """The folder of the evaluation, made now unless the same question was answered before. `posed` is as the run was
    trained, unless it is given."""
    items = obtain(surface, evalset)
    base = models.prepare(surface.settings, model, surface.say)
    form, instruction = posed or _posed(run)
    asked = evals.question(
        base,
        items,
        run=run,
        format=form,
        instruction=instruction,
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        drawn=drawn,
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


def _posed(run: Trained | None, form: ReplyFormat | None = None) -> Posed:
    """As the run was trained; a base model in the format, with the format's own instruction."""
    return runs.posed(run) if run else Posed(form or "numbered", INSTRUCTIONS[form or "numbered"])


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
