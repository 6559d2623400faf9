"""`tunix-rt check`: a verdict for every step of every trace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import checking, errors, values
from tunix_rt.checking import Mode, Summary, TraceCheck
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, percent, table
from tunix_rt.cli.data import obtain
from tunix_rt.traces import Trace

_CELL = 72  # characters of a step or value that a table shows


@command(app)
def check(
    surface: Surface,
    what: Annotated[str, typer.Argument(metavar="FILE_OR_DATASET", help="A JSONL file of traces, or a dataset.")],
    mode: Annotated[
        Mode, typer.Option(help="free: the trace alone; anchored: against each line's 'reference'; hybrid: both.")
    ] = "hybrid",
    fail_on_wrong: Annotated[bool, typer.Option("--fail-on-wrong", help="Exit with 1 if a step or answer is wrong.")] = False,
) -> None:
    """Judge every step of every trace. A line may carry its own "reference" trace; without one, hybrid is free."""
    path = Path(what) if Path(what).is_file() or what.endswith(".jsonl") else obtain(surface, what).path
    traces: list[Trace] = []
    rows: list[TraceCheck] = []
    for number, trace, reference in _read(path):
        if mode == "anchored" and reference is None:
            raise errors.Invalid(
                f"{path}, line {number}: no 'reference'; --mode anchored needs one on every line.", line=number
            )
        traces.append(trace)
        rows.append(checking.check(trace, number, mode, reference))
    summary = checking.summarise(rows)
    wrong = [_table(path, trace, row) for trace, row in zip(traces, rows, strict=True) if row.wrong]
    data = {"summary": summary.model_dump(mode="json"), "traces": [row.model_dump(mode="json") for row in rows]}
    surface.emit(data, "\n\n".join([*wrong, _sentence(summary)]))
    if fail_on_wrong and summary.wrong_traces:
        raise typer.Exit(1)


def _read(path: Path) -> Iterator[tuple[int, Trace, Trace | None]]:
    for number, row in values.read_jsonl(path):
        source = f"{path}, line {number}"
        given = row.pop("reference", None)
        reference = None if given is None else Trace.parse(given, source=f"{source}, reference")
        yield number, Trace.parse(row, source=source), reference


def _table(path: Path, trace: Trace, row: TraceCheck) -> str:
    """The wrong steps of one trace: which, what it says, what it claims, what is true."""
    cells = [
        (f"step {check.i}", _short(step.content), check.kind or "", _short(check.got or ""), _short(check.expected or ""))
        for step, check in zip(trace.steps, row.steps, strict=True)
        if check.verdict == "wrong"
    ]
    if row.answer.verdict == "wrong":
        said = _short(trace.final_answer)
        cells.append(("answer", said, row.answer.kind or "", said, _short(row.answer.expected or "")))
    head = ("where", "text", "kind", "claimed", "true")
    return f"{path}, line {row.line}\n{table(cells, head)}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _CELL else flat[: _CELL - 3] + "..."


def _sentence(summary: Summary) -> str:
    text = f"{summary.traces} traces, {summary.steps} steps, {percent(summary.coverage)} of them checked, "
    text += f"{summary.wrong_traces} traces with a wrong step or answer"
    return text + (f", {summary.ungrounded} steps with a number from nowhere" if summary.ungrounded else "")
