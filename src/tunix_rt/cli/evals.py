"""`tunix-rt eval` and `tunix-rt compare`: how good a model is, and whether another is better."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tunix_rt import comparisons, evals, values
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, interval, percent, table
from tunix_rt.comparisons import Block, Comparison, Evaluation, OverSeeds, Row
from tunix_rt.evals.looks import counted
from tunix_rt.jobs import Device, Drawn
from tunix_rt.scoring import ReplyFormat
from tunix_rt.workbench import evaluating


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
    if like is not None and form is not None:
        raise typer.BadParameter("the run says in which format", param_hint="--format")
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "samples": samples, "seed": seed}
    folder = evaluating.evaluate(
        surface,
        what,
        on,
        like=like,
        form=form,
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        drawn=Drawn.parse(drawn, source="command line"),
    )
    summary = values.read_json(folder / "summary.json")
    surface.emit({**summary, "dir": str(folder)}, f"{describe(summary)}\n  folder {folder}")


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
    candidates: Annotated[list[str], typer.Argument(metavar="CANDIDATE...", help="Evaluation ids or folders.")],
    margin: Annotated[float, typer.Option(min=0.0, max=1.0, help="Differences within this count as equivalent.")] = 0.05,
    any_instruction: Annotated[
        bool,
        typer.Option(
            "--any-instruction",
            help="Compare although they were told different things, as outside results are, or drawn in different ways.",
        ),
    ] = False,
    seeds: Annotated[
        bool,
        typer.Option("--seeds", help="The candidates are one recipe with several seeds: also their mean, seeds at random."),
    ] = False,
) -> None:
    """Is the candidate better than the baseline on the same items? Several are one table, adjusted as a whole (Holm)."""
    a, *others = (comparisons.load(evals.find(surface.settings, name)) for name in (baseline, *candidates))
    about, seen = _about(surface, a, others)
    if len(others) == 1 and not seeds:
        made = comparisons.compare(a, others[0], margin, any_instruction=any_instruction)
        surface.emit({**made.model_dump(mode="json"), **about}, f"{describe_comparison(made)}\n{seen}")
        return
    rows = comparisons.table(a, dict(zip(candidates, others, strict=True)), margin, any_instruction=any_instruction)
    over = comparisons.over_seeds(a, others, any_instruction=any_instruction) if seeds else None
    data = {
        "data": [row.model_dump(mode="json") for row in rows],
        "over_seeds": over and over.model_dump(mode="json"),
        "next": None,
    }
    surface.emit({**data, **about}, f"{_table(rows)}\n{'' if over is None else _over_seeds(over)}{seen}")


def _about(surface: Surface, baseline: Evaluation, others: Sequence[Evaluation]) -> tuple[dict[str, Any], str]:
    """What a reader of a comparison has to know beside its numbers, as data and in words."""
    seen = counted(surface.settings, baseline.summary.evalset_digest)
    told = any(one.summary.instruction_digest != baseline.summary.instruction_digest for one in others)
    drawn = any(None not in (one.limits, baseline.limits) and one.limits != baseline.limits for one in others)
    note = "  they were told different things: a difference is of models and instructions together\n" if told else ""
    note += "  they were drawn in different ways: a difference is of models and limits together\n" if drawn else ""
    return {**seen._asdict(), "instructions_differ": told, "limits_differ": drawn}, f"{note}  {seen}"


def _table(rows: Sequence[Row]) -> str:
    cells = [
        (
            row.name,
            f"{100 * row.comparison.difference:+.1f}",
            interval(row.comparison.ci95),
            str(row.comparison.fixed),
            str(row.comparison.broken),
            f"{row.p_adjusted:.2g}",
            row.verdict,
        )
        for row in rows
    ]
    return table(cells, ("candidate", "points", "95 % clustered", "fixed", "broken", "p (Holm)", "verdict"))


def _over_seeds(made: OverSeeds) -> str:
    return (
        f"  over {made.seeds} seeds: {100 * made.difference:+.1f} points, 95 % {interval(made.ci95)} with the seed as a random "
        f"effect; between seeds a standard deviation of {100 * made.between:.1f} points\n"
    )


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
