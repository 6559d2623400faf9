"""`tunix-rt check`: a verdict for every step of every trace."""

from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import checking, values
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, percent
from tunix_rt.cli.data import obtain
from tunix_rt.traces import Trace


@command(app)
def check(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="FILE_OR_DATASET", help="A JSONL file of traces, or a dataset.")],
    fail_on_wrong: Annotated[bool, typer.Option("--fail-on-wrong", help="Exit with 1 if any step is wrong.")] = False,
) -> None:
    """Check the claims of every step. A broken line is an error naming file, line and field."""
    path = Path(what) if Path(what).is_file() or what.endswith(".jsonl") else obtain(surface, what).path
    numbered = [(number, Trace.parse(row, source=f"{path}, line {number}")) for number, row in values.read_jsonl(path)]
    rows = [checking.check(trace, number) for number, trace in numbered]
    summary = checking.summarise(rows)
    lines = [
        f"{path}, line {row.line}, step {step.i}: {step.kind} gives {step.expected}, the step claims {step.got}"
        for row in rows
        for step in row.steps
        if step.verdict == "wrong"
    ]
    lines.append(
        f"{summary.traces} traces, {summary.steps} steps, {percent(summary.coverage)} of them checked, "
        f"{summary.wrong_traces} traces with a wrong step"
    )
    data = {"summary": summary.model_dump(mode="json"), "traces": [row.model_dump(mode="json") for row in rows]}
    surface.emit(data, "\n".join(lines))
    if fail_on_wrong and summary.wrong_traces:
        raise typer.Exit(1)
