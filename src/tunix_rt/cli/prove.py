"""`tunix-rt data prove` and `data verify`: that one trace is in a dataset, shown without the dataset."""

from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import datasets, traces, values
from tunix_rt.cli.app import command
from tunix_rt.cli.console import Surface
from tunix_rt.cli.data import group
from tunix_rt.datasets import Proof
from tunix_rt.workbench.building import obtain


@command(group)
def prove(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="Dataset; a built-in recipe of that name is built if needed.")],
    trace: Annotated[str, typer.Argument(help="Trace id, or its beginning.")],
    out: Annotated[Path | None, typer.Option(help="File for the proof.")] = None,
) -> None:
    """Prove that a trace is in a dataset: the hashes from its id up to the Merkle root in the manifest (RFC 6962)."""
    proof = datasets.prove(obtain(surface, name), trace)
    data = proof.model_dump(mode="json")
    if out:
        values.write_json(out, data)
    surface.emit(data, _said(proof) + "".join(f"\n  {sibling}" for sibling in proof.siblings))


@command(group)
def verify(
    surface: Surface,
    proof: Annotated[Path, typer.Argument(help="A proof written by `data prove --out` or `--json`.")],
    dataset: Annotated[str | None, typer.Option(help="Compare the root with the one of this dataset's manifest.")] = None,
    root: Annotated[str | None, typer.Option(help="Compare the root with this one.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="JSONL file whose first line is the trace that the proof is about.")
    ] = None,
) -> None:
    """Check an inclusion proof; exit code 1 when it does not hold. Without --dataset or --root, only that it is consistent."""
    found = Proof.parse(values.read_json(proof), source=str(proof))
    wanted = root or (obtain(surface, dataset).manifest.merkle_root if dataset else None)
    found.verify(wanted or found.root)
    if trace:
        found.about(next(iter(traces.read(trace)), None))
    known = "" if wanted else "\nthe root was compared with nothing; --dataset or --root does that"
    data = {
        "ok": True,
        "leaf": found.leaf,
        "root": found.root,
        "root_compared": wanted is not None,
        "trace_compared": bool(trace),
    }
    surface.emit(data, _said(found) + known)


def _said(proof: Proof) -> str:
    return f"trace {proof.leaf} is number {proof.index + 1} of {proof.count} under root {proof.root}"
