"""Traces of a file or a dataset, each with the checker's verdicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tunix_rt import checking, errors, values
from tunix_rt.checking import Mode, TraceCheck
from tunix_rt.traces import Trace
from tunix_rt.workbench.building import obtain
from tunix_rt.workbench.desk import Desk


class Judged(NamedTuple):
    path: Path
    trace: Trace
    check: TraceCheck


def judged(desk: Desk, what: str, mode: Mode = "hybrid") -> Iterator[Judged]:
    """One at a time. A line of a file may carry its own "reference" trace; without one, hybrid is free."""
    path = Path(what) if Path(what).is_file() or what.endswith(".jsonl") else obtain(desk, what).path
    for number, row in values.read_jsonl(path):
        source = f"{path}, line {number}"
        given = row.pop("reference", None)
        reference = None if given is None else Trace.parse(given, source=f"{source}, reference")
        trace = Trace.parse(row, source=source)
        if mode == "anchored" and reference is None:
            raise errors.Invalid(
                f"{path}, line {number}: no 'reference'; --mode anchored needs one on every line.", line=number
            )
        yield Judged(path, trace, checking.check(trace, number, mode, reference))
