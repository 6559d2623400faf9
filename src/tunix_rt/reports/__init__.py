"""7b A run told on one page: the claim with its uncertainty, the curves, examples, and what proves it.

The page is one file that asks nothing of any server; model output is always shown as text. `studies` tells a whole study.
"""

import importlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tunix_rt import values
from tunix_rt.comparisons import Comparison, Example
from tunix_rt.runs import Trained
from tunix_rt.values import Value

_TEMPLATES = Environment(
    loader=PackageLoader("tunix_rt.reports", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Facts(Value):
    """What the page shows. `phases` is (what, seconds) in order; `metrics` are the rows of `metrics.jsonl`."""

    run: Trained
    base: dict[str, Any]
    tuned: dict[str, Any]
    comparison: Comparison
    examples: tuple[Example, ...]
    metrics: tuple[dict[str, Any], ...]
    phases: tuple[tuple[str, float], ...]
    bundle: str
    bundle_root: str
    verified: str


def write(facts: Facts, path: Path) -> None:
    """Render the page to `path`."""
    figures = importlib.import_module("tunix_rt.reports.figures")  # matplotlib: 30 MB that no other command needs
    page = _TEMPLATES.get_template("report.html.j2").render(
        facts=facts,
        losses=figures.losses(facts.metrics),
        accuracies=figures.accuracies(facts.base, facts.tuned),
        times=figures.times(facts.phases),
    )
    values.write_bytes(path, page.encode())
