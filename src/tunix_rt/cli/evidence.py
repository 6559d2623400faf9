"""`tunix-rt evidence`: pack what a claim rests on, and verify what someone packed."""

from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import evidence
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, size
from tunix_rt.evidence import Report, Sample
from tunix_rt.jobs import Device
from tunix_rt.workbench import proving

group = noun("evidence", "Bundles that a stranger can verify.")


@command(group)
def pack(
    surface: Surface,
    run: Annotated[str, typer.Argument(help="An evaluated run: id or folder.")],
    out: Annotated[Path | None, typer.Option(help="The zip to write (default: <home>/evidence/<run id>.zip).")] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign with this private key (tunix-rt evidence key).")
    ] = None,
) -> None:
    """Pack a run, its data, both evaluations and their comparison into one deterministic zip."""
    manifest, target = proving.pack(surface, run, out, sign)
    data = {**manifest.model_dump(mode="json"), "bundle": str(target.absolute()), "bytes": target.stat().st_size}
    surface.emit(
        data, f"{target}: {size(target.stat().st_size)}, {len(manifest.files)} files, root {manifest.merkle_root[:12]}"
    )


@command(group)
def key(
    surface: Surface, out: Annotated[Path, typer.Argument(help="File for the private key; the public one gets .pub.")]
) -> None:
    """Make an Ed25519 key pair for signing bundles."""
    key_id = evidence.new_key(out)
    data = {"key_id": key_id, "private": str(out), "public": f"{out}.pub"}
    surface.emit(data, f"key {key_id}\n  private {out} (keep it)\n  public  {out}.pub (give it away)")


@command(group)
def verify(
    surface: Surface,
    bundle: Annotated[Path, typer.Argument(help="The zip.")],
    depth: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="0: every byte; 1: also every number computed again; 2: also the datasets made and tokenised again; "
            "3: also a sample of items answered again.",
        ),
    ] = 1,
    key: Annotated[Path | None, typer.Option(help="The public key that has to have signed it.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Depth 3: how many items are answered again by each model.")] = 8,
    nonce: Annotated[str, typer.Option(help="Depth 3: draws the items; random unless given.")] = "",
    tolerance: Annotated[float, typer.Option(min=0.0, help="Depth 3: how far a token may be from the best, in logits.")] = 0.05,
    device: Annotated[Device, typer.Option(help="Depth 3: where to answer.")] = "auto",
) -> None:
    """Verify a bundle; exit code 1 when anything does not hold."""
    sample = Sample(items=items, nonce=nonce, tolerance=tolerance, device=device)
    report = evidence.verify(bundle, depth, settings=surface.settings, key=key, sample=sample)
    surface.emit(report.model_dump(mode="json"), describe(bundle, report))
    if not report.ok:
        raise typer.Exit(1)


def describe(bundle: Path, report: Report) -> str:
    lines = [f"{bundle}: {'verified' if report.ok else 'REFUSED'} to depth {report.depth_reached}"]
    lines += [f"  failed     {text}" for text in report.failures]
    lines += [f"  checked    {text}" for text in report.checked]
    lines += [f"  unchecked  {text}" for text in report.unchecked]
    return "\n".join(lines)
