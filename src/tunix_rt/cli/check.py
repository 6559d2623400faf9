"""`tunix-rt check`: a verdict for every step of every trace.

What is found waits in a temporary file, so that a mistake in the last line leaves no half of a document on stdout.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import checking
from tunix_rt.checking import Mode, TraceCheck
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, table
from tunix_rt.cli.data import judged
from tunix_rt.traces import Trace
from tunix_rt.workbench import judging

_CELL = 72  # characters of a step or value that a table shows


@command(app)
def check(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="FILE_OR_DATASET", help="A JSONL file of traces, or a dataset.")],
    mode: Annotated[
        Mode, typer.Option(help="free: the trace alone; anchored: against each line's 'reference'; hybrid: both.")
    ] = "hybrid",
    everything: Annotated[bool, typer.Option("--all", help="Print the table of every trace, not only of wrong ones.")] = False,
    fail_on_wrong: Annotated[bool, typer.Option("--fail-on-wrong", help="Exit with 1 if a step or answer is wrong.")] = False,
) -> None:
    """Judge every step of every trace. A line may carry its own "reference" trace; without one, hybrid is free."""
    totals = checking.Totals()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told, surface.progress("checking") as update:
        for path, trace, row in judging.judged(surface, what, mode):
            totals.add(row)
            if surface.as_json:
                told.write(
                    f"{',' if totals.traces > 1 else ''}\n    {json.dumps(row.model_dump(mode='json'), ensure_ascii=False)}"
                )
            elif everything or row.wrong:
                told.write(_table(path, trace, row, everything=everything) + "\n\n")
            update(totals.traces, 0, "traces")
        summary = totals.summary
        told.seek(0)
        if surface.as_json:
            head = json.dumps(summary.model_dump(mode="json"), ensure_ascii=False)
            surface.copy((f'{{\n  "summary": {head},\n  "traces": [', *told, "\n  ]\n}\n"))
        else:
            surface.copy((*told, judged(summary) + "\n"))
    if fail_on_wrong and summary.wrong_traces:
        raise typer.Exit(1)


def _table(path: Path, trace: Trace, row: TraceCheck, *, everything: bool) -> str:
    """The steps of one trace, or only the wrong ones: which, the verdict, what it says, what it claims, what is true."""
    cells = [
        (f"step {step.i}", check.verdict, *map(_short, (step.content, check.kind or "", check.got or "", check.expected or "")))
        for step, check in zip(trace.steps, row.steps, strict=True)
        if everything or check.verdict == "wrong"
    ]
    if everything or row.answer.verdict == "wrong":
        said = _short(trace.final_answer)
        judged = row.answer.verdict
        cells.append(("answer", judged, said, row.answer.kind or "", said, _short(row.answer.expected or "")))
    head = ("where", "verdict", "text", "kind", "claimed", "true")
    return f"{path}, line {row.line}\n{table(cells, head)}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _CELL else flat[: _CELL - 3] + "..."
