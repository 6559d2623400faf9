"""Evidence of an evaluated run, packed where the workspace keeps it."""

from pathlib import Path

from tunix_rt import evidence
from tunix_rt.evidence import Manifest
from tunix_rt.workbench import foreground
from tunix_rt.workbench.desk import Desk


def pack(desk: Desk, run: str, out: Path | None = None, sign: Path | None = None) -> tuple[Manifest, Path]:
    """The bundle's manifest and its zip, by default evidence/RUN.zip of the workspace."""
    found = foreground.trained(desk, run)
    target = out or desk.settings.evidence / f"{found.run_id}.zip"
    return evidence.pack_run(desk.settings, found, target, sign), target
