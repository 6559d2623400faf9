"""`tunix-rt rescore` and `tunix-rt evals`: what stored answers say by another scorer, cut by kind, held against training."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tunix_rt import evals, traces, values
from tunix_rt.cli import judging
from tunix_rt.cli.app import app, command, noun
from tunix_rt.cli.console import Surface, interval, percent, table
from tunix_rt.evals import Checked, Contamination, Rescored, Wanted, imports
from tunix_rt.jobs import Device
from tunix_rt.scoring import scorers
from tunix_rt.workbench.building import obtain

group = noun("evals", "Evaluations and evaluation sets, looked at closely; nothing is generated.")
Evaluation = Annotated[str, typer.Argument(metavar="EVAL", help="Evaluation id or folder.")]
Metric = Annotated[str, typer.Option(help="strict, lenient, or a scorer this evaluation was rescored by.")]


@command(app)
def rescore(
    surface: Surface,
    evaluation: Evaluation,
    scorer: Annotated[
        str, typer.Option(help=f"One of: {', '.join(scorers.NAMES)}, or a plug-in's. A judge needs --judge-model.")
    ],
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the scorer; repeatable.")] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The judge: a model's name at --judge-url, else a base model or a run here."),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Base URL of an OpenAI-compatible endpoint; its key is in TUNIX_RT_JUDGE_KEY."),
    ] = None,
    judge_seconds: Annotated[float, typer.Option(min=0.1, help="Longest wait for one reply of the endpoint.")] = 120.0,
    judge_parallel: Annotated[int, typer.Option(min=1, max=64, help="Questions the endpoint is asked at once.")] = 4,
    device: Annotated[Device, typer.Option(help="Where a judge of this workspace runs; refused if absent.")] = "auto",
) -> None:
    """Score stored predictions again, without generating. Only with --scorer judge is another model asked about them."""
    folder = evals.find(surface.settings, evaluation)
    if scorer == scorers.JUDGE:
        asked = judging.Asked(judge_model, judge_url, judge_seconds, judge_parallel, device)
        made, out = judging.judged(surface, folder, asked, _options(option or []))
    elif judge_model or judge_url:
        raise typer.BadParameter(f"{scorer} asks no model; --judge-model and --judge-url belong to --scorer judge")
    else:
        chosen = scorers.named(scorer, _options(option or []))
        with surface.progress("grading") as update:
            made, out = evals.rescore(surface.settings, folder, chosen, lambda done, of: update(done, of, "items"))
    surface.emit({**made.model_dump(mode="json"), "dir": str(out)}, f"{describe(made)}\n  folder {out}")


def _options(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise typer.BadParameter(f"{bad[0]!r} is not KEY=VALUE", param_hint="--option")
    return {key: value for key, _, value in pairs}


@command(group)
def accept(
    surface: Surface,
    evaluation: Evaluation,
    out: Annotated[Path, typer.Option(help="JSONL file to write, for `tunix-rt data ingest`.")],
    scorer: Annotated[str, typer.Option(help="Which scorer decides; `steps` looks at the reasoning too.")] = "exact",
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the scorer; repeatable.")] = None,
) -> None:
    """Keep the replies that a scorer accepts, of all samples, as traces to train on. Evaluation prompts are refused."""
    folder = evals.find(surface.settings, evaluation)
    chosen = scorers.named(scorer, _options(option or []))
    with surface.progress("grading") as update:
        made = evals.accepted(surface.settings, folder, chosen, lambda done, of: update(done, of, "attempts"))
    values.write_jsonl(out, (trace.line() for trace in made.traces))
    items = len({trace.meta["source"]["item"] for trace in made.traces})
    gone = ", ".join(f"{code} {count}" for code, count in made.left_out.items()) or "none"
    data = {"attempts": made.attempts, "kept": len(made.traces), "items": items, "left_out": made.left_out, "file": str(out)}
    surface.emit(data, f"{len(made.traces)} of {made.attempts} replies, to {items} items, in {out}\n  left out: {gone}")


def describe(made: Rescored) -> str:
    lines = [
        f"{made.evaluation_id} by {made.scorer}: {percent(made.accuracy)} correct, 95 % {interval(made.ci95)} Wilson, "
        f"{interval(made.ci95_clustered)} clustered by {made.groups} template groups",
        f"  {made.n} items: {made.correct} correct, {made.wrong} wrong, {made.unparseable} unparseable, "
        f"{made.truncated} truncated; {made.skipped} left out, {made.refused} beyond the limits",
    ]
    lines += [f"  scorer of {made.plugin}"] if made.plugin else []
    if made.scorer == scorers.JUDGE:
        return "\n".join([*lines, *judging.described(made)])
    lines += [f"  {name.replace('_', ' ')}: {_shown(value)}" for name, value in made.measures.items()]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"step {key}: {count}" for key, count in value.items()) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@command(group)
def check(
    surface: Surface,
    file: Annotated[Path, typer.Argument(help="JSONL file of items: traces with meta.group, section, category, difficulty.")],
) -> None:
    """Is a file fit to be an evaluation set? Exit code 1 when it has an error; warnings are only told."""
    made = evals.check_file(file)
    surface.emit(made.model_dump(mode="json"), _checked_text(made))
    if not made.ok:
        raise typer.Exit(1)


def _checked_text(made: Checked) -> str:
    lines = [
        f"{problem.severity:7} {problem.code:13} {'' if problem.line is None else f'line {problem.line}: '}{problem.message}"
        for problem in made.problems
    ]
    seen = "" if made.detectable is None else f"; they can show a difference of {percent(made.detectable)} or more"
    verdict = "fit" if made.ok else "NOT fit"
    lines.append(f"{made.file}: {verdict}; {made.items} items in {made.groups} template groups{seen}")
    lines += [f"  {key}: {', '.join(f'{value} {n}' for value, n in counts.items())}" for key, counts in made.labels.items()]
    return "\n".join(lines)


@command(group, "import")
def import_log(
    surface: Surface,
    file: Annotated[Path, typer.Argument(help="A log of Inspect (.eval or .json) or of lm-eval (samples_*.jsonl).")],
    on: Annotated[str, typer.Option(help="The evaluation set whose items were asked.")],
    log_format: Annotated[str, typer.Option("--format", help=f"auto, or one of: {', '.join(imports.FORMATS)}.")] = "auto",
    model: Annotated[str | None, typer.Option(help="Which model answered, where the log does not say.")] = None,
    attempt: Annotated[int, typer.Option(min=1, help="Which of several answers to each item is scored.")] = 1,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out items that the log has no answer to.")] = False,
) -> None:
    """Take in an outside evaluation of the same items, and score its answers as ours; its own scores are kept beside."""
    wanted = Wanted(format=log_format, model=model, attempt=attempt, partial=partial)
    summary, folder = evals.import_log(surface.settings, file, obtain(surface, on), wanted)
    told = [
        f"{summary['evaluation_id']}: {summary['label']} on {on}, {summary['n']} items, {percent(summary['accuracy'])} "
        f"correct, {percent(summary['lenient']['accuracy'])} by the lenient reading"
    ]
    for name, theirs in summary["theirs"].items():
        same = " and ".join(f"{percent(theirs[reading]['share'])} with our {reading}" for reading in ("strict", "lenient"))
        told.append(f"  their {name}: {percent(theirs['accuracy'])}; agrees {same} reading")
    surface.emit({**summary, "dir": str(folder)}, "\n".join([*told, f"  folder {folder}"]))


@command(group)
def scorecard(surface: Surface, evaluation: Evaluation, metric: Metric = "strict") -> None:
    """One evaluation by section, category, difficulty, level and template group."""
    lines = evals.scorecard(surface.settings, evals.find(surface.settings, evaluation), metric)
    rows = [
        (line.facet, line.value, str(line.n), str(line.groups), percent(line.accuracy), interval(line.ci95)) for line in lines
    ]
    data = {"metric": metric, "data": [line.model_dump(mode="json") for line in lines], "next": None}
    surface.emit(data, table(rows, ("cut", "value", "items", "groups", "correct", "95 % (Wilson)")))


@command(group)
def contamination(
    surface: Surface,
    evaluation: Evaluation,
    train: Annotated[str, typer.Option(help="The dataset that was trained on.")],
    metric: Metric = "strict",
) -> None:
    """The score with and without the items that overlap with a training set."""
    folder = evals.find(surface.settings, evaluation)
    made = evals.contamination(surface.settings, folder, traces.read(obtain(surface, train).path), metric)
    surface.emit({"train": train, "metric": metric, **made.model_dump(mode="json")}, _contamination_text(made, train))


def _contamination_text(made: Contamination, train: str) -> str:
    parts = (
        ("all items", made.all),
        ("without exact copies", made.without_exact),
        ("without exact and close", made.without_overlap),
        ("without shared wording too", made.without_skeleton),
        ("the overlapping alone", made.overlapping),
    )
    rows = [
        (name, str(part.n), "-" if part.accuracy is None else percent(part.accuracy), interval(part.ci95) if part.ci95 else "-")
        for name, part in parts
    ]
    told = (
        f"against {made.trained} traces of {train}: {made.exact} exact, {made.close} with {percent(made.threshold)} of their "
        f"5-word n-grams, {made.skeleton} with the same wording up to digits"
    )
    return f"{told}\n{table(rows, ('items', 'n', 'correct', '95 % (Wilson)'))}"


@command(group)
def looks(surface: Surface, on: Annotated[str | None, typer.Option(help="Only looks at this evaluation set.")] = None) -> None:
    """The look ledger: every question that was put to an evaluation set."""
    found = [look for look in evals.looks(surface.settings) if on in (None, look.evalset)]
    rows = [(look.evalset, look.evalset_digest[:12], look.evaluation_id, look.model, look.run_id or "base") for look in found]
    counts: dict[str, dict[str, int]] = {}
    for look in found:
        counts.setdefault(look.evalset, {"looks": 0, "at_runs": 0})
        counts[look.evalset]["looks"] += 1
        counts[look.evalset]["at_runs"] += look.run_id is not None
    told = [f"{name}: {count['looks']} looks, {count['at_runs']} of them at trained runs" for name, count in counts.items()]
    data = {"data": [look.model_dump(mode="json") for look in found], "counts": counts, "next": None}
    surface.emit(data, "\n".join([table(rows, ("set", "digest", "evaluation", "model", "run")), *told]))


@command(group)
def attempts(
    surface: Surface,
    evaluation: Evaluation,
    k: Annotated[list[int] | None, typer.Option(min=1, help="pass@k for this k; repeatable (default: powers of two).")] = None,
) -> None:
    """pass@k, mean@k and maj@k of an evaluation with several samples an item."""
    made = evals.attempts(surface.settings, evals.find(surface.settings, evaluation), k)
    rows = [
        (name, percent(measure["value"]), interval(measure["ci95_clustered"])) for name, measure in made["measures"].items()
    ]
    told = f"{made['items']} items, {made['attempts']} attempts each, {made['groups']} template groups"
    surface.emit(made, f"{told}\n{table(rows, ('measure', 'value', '95 % (clustered)'))}")
