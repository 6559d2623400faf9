"""A gate's decision, and the two files that it leaves."""

from pathlib import Path

from tunix_rt import comparisons, values
from tunix_rt.comparisons import Gate
from tunix_rt.workbench.desk import Desk


def gate(
    desk: Desk,
    candidate: str,
    baseline: str,
    margin: float = 0.05,
    *,
    metric: str | None = None,
    alpha: float = 0.05,
    seed: int | None = None,
    out: Path | None = None,
) -> tuple[Gate, Path]:
    """The decision and the folder with gate.md and gate.json, by default one of the workspace."""
    made = comparisons.judge(desk.settings, candidate, baseline, margin, metric=metric, alpha=alpha, seed=seed)
    folder = out or desk.settings.home / "gates" / f"{made.candidate}-{made.criterion_digest[:12]}"
    values.write_bytes(folder / "gate.md", comparisons.page(made).encode())
    values.write_json(folder / "gate.json", made.model_dump(mode="json"))
    return made, folder
