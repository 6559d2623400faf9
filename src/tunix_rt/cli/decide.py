"""`tunix-rt leaderboard`, `baselines` and `gate`: which is best, and may this one go out?"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunix_rt import comparisons, evals
from tunix_rt.cli.app import app, command, noun
from tunix_rt.cli.console import Surface, interval, percent, table
from tunix_rt.comparisons import Baseline, Board, Filters, baselines, boards, gates, locks
from tunix_rt.evals.looks import Counted
from tunix_rt.workbench import deciding

group = noun("baselines", "Evaluations that candidates have to hold against, by name.")
Margin = Annotated[float, typer.Option(min=0.0, max=1.0, help="How much worse still passes: 0.05 is five points.")]
Alpha = Annotated[float, typer.Option(min=0.0, max=0.5, help="One-sided error rate of the decision.")]
Seed = Annotated[int | None, typer.Option(help="The training seed that the candidate must have.")]
MetricName = Annotated[str | None, typer.Option(help=f"One of: {', '.join(comparisons.METRICS)}.")]


@command(app)
def leaderboard(
    surface: Surface,
    dataset: Annotated[str | None, typer.Option(help="Only runs trained on it.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this base model.")] = None,
    config: Annotated[
        str | None, typer.Option(help='Only this training config; "base" for untuned models, "imported" for outside results.')
    ] = None,
    on: Annotated[str | None, typer.Option(help="Only this evaluation set.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Finished on this UTC day or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Finished on this UTC day or earlier.")] = None,
) -> None:
    """Finished evaluations, a board for every question; what cannot be told apart shares a rank."""
    filters = Filters(dataset=dataset, model=model, config=config, evalset=on, since=boards.day(since), until=boards.day(until))
    found = comparisons.leaderboard(surface.settings, filters)
    data = {"data": [board.model_dump(mode="json") for board in found], "next": None}
    surface.emit(data, "\n\n".join(map(_board, found)) or "no evaluation fits")


def _board(board: Board) -> str:
    rows = [
        (
            f"{'=' if entry.tied else ''}{entry.rank}",
            percent(entry.accuracy),
            interval(entry.ci95_clustered),
            entry.label,
            entry.dataset or "-",
            entry.finished[:10],
            entry.evaluation_id,
        )
        for entry in board.entries
    ]
    seen = Counted(board.looks, board.looks_at_runs)
    most = f" of at most {board.limits.max_new_tokens} tokens" if board.limits else ""
    head = f"{board.evalset} {board.evalset_digest[:12]}, {board.n} answers{most}; {seen}"
    left = f"\n{board.left_out} more were not compared" if board.left_out else ""
    return f"{head}\n{table(rows, ('rank', 'strict', '95 % clustered', 'what', 'trained on', 'day', 'evaluation'))}{left}"


@command(group, "set")
def set_baseline(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="The baseline's name.")],
    evaluation: Annotated[str, typer.Argument(metavar="EVAL", help="Evaluation id or folder.")],
    dataset: Annotated[str | None, typer.Option(help="Only for candidates trained on this dataset.")] = None,
    metric: Annotated[str, typer.Option(help=f"One of: {', '.join(comparisons.METRICS)}.")] = "strict",
    better: Annotated[
        Literal["higher_is_better", "lower_is_better"] | None, typer.Option(help="Direction (default: the metric's own).")
    ] = None,
) -> None:
    """Name an evaluation as the baseline of its set."""
    made = baselines.put(surface.settings, name, evaluation, dataset=dataset, metric=metric, better=better)
    surface.emit(made.model_dump(mode="json"), _baselines([made]))


@command(group, "list")
def list_baselines(surface: Surface) -> None:
    """Every baseline with its scope."""
    found = baselines.listed(surface.settings)
    surface.emit({"data": [one.model_dump(mode="json") for one in found], "next": None}, _baselines(found))


def _baselines(found: list[Baseline]) -> str:
    rows = [(one.name, one.evalset, one.dataset or "any", one.metric, one.direction, one.evaluation_id) for one in found]
    return table(rows, ("name", "evaluation set", "dataset", "metric", "direction", "evaluation"))


@command(group)
def lock(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="The baseline's name.")],
    margin: Margin,
    alpha: Alpha = 0.05,
    seed: Seed = None,
) -> None:
    """Write down what will count as passing, before the candidate is evaluated; publish the digest to convince others."""
    made = [locks.put(surface.settings, one) for one in gates.lockable(surface.settings, name, margin, alpha, seed)]
    told = [f"{one.criterion_digest}  {_metric(one.criterion)} on {one.criterion.evalset}, margin {margin:g}" for one in made]
    surface.emit({"data": [one.model_dump(mode="json") for one in made], "next": None}, "\n".join(told))


def _metric(criterion: locks.Criterion) -> str:
    return f"{criterion.metric} {criterion.scorer[:12]}" if criterion.scorer else criterion.metric


@command(app)
def gate(
    surface: Surface,
    candidate: Annotated[str, typer.Argument(help="Evaluation id or folder.")],
    baseline: Annotated[str, typer.Option(help="A baseline's name, or an evaluation's id or folder.")],
    margin: Margin = 0.05,
    metric: MetricName = None,
    alpha: Alpha = 0.05,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Folder for gate.md and gate.json (default: <home>/gates/...).")] = None,
) -> None:
    """May the candidate go out? Exit code 0 pass, 1 fail, 3 inconclusive; leaves one page of Markdown and one JSON."""
    made, folder = deciding.gate(surface, candidate, baseline, margin, metric=metric, alpha=alpha, seed=seed, out=out)
    surface.emit({**made.model_dump(mode="json"), "dir": str(folder)}, f"{comparisons.page(made)}\nfolder {folder}")
    raise typer.Exit(gates.EXIT_CODES[made.decision])


@command(app)
def flips(
    surface: Surface,
    baseline: Annotated[str, typer.Argument(help="Evaluation id or folder.")],
    candidate: Annotated[str, typer.Argument(help="Evaluation id or folder.")],
) -> None:
    """Item by item what changed between two evaluations, and the first step at which they part ways."""
    loaded = [comparisons.load(evals.find(surface.settings, name)) for name in (baseline, candidate)]
    found = comparisons.flips(loaded[0], loaded[1])
    rows = [
        (flip.change, flip.item[:12], flip.group, str(flip.diverges_at or "-"), flip.step_before or "-", flip.step_after or "-")
        for flip in found
    ]
    data = {"data": [flip.model_dump(mode="json") for flip in found], "next": None}
    surface.emit(data, table(rows, ("change", "item", "group", "step", "before", "after")))
