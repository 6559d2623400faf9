"""The figures of a report, as SVG text drawn by matplotlib without a display; the same numbers give the same bytes."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from tunix_rt.studies import BASE, Findings, Study

INK, TEAL, RUST, FAINT = "#1d2125", "#0b6464", "#b3340b", "#c9cbc8"
STYLE = {
    "svg.hashsalt": "tunix-rt",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
}


def losses(metrics: Sequence[dict[str, Any]]) -> Markup:
    """Loss at every optimizer step, with the learning rate faint behind it."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(6.4, 2.6)
        steps = [row["step"] for row in metrics]
        rate = axes.twinx()
        rate.plot(steps, [row["lr"] for row in metrics], color=FAINT, linewidth=1)
        rate.set_yticks([])
        rate.spines["right"].set_visible(False)
        axes.plot(steps, [row["loss"] for row in metrics], color=TEAL, linewidth=1.6, marker="o", markersize=2.5)
        axes.set_zorder(rate.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss (nats per trained token)")
        axes.set_ylim(bottom=0)
        axes.text(0.99, 0.95, "faint: learning rate", transform=axes.transAxes, ha="right", va="top", fontsize=8)
        return _svg(figure)


def accuracies(base: dict[str, Any], tuned: dict[str, Any]) -> Markup:
    """Share of right answers of both models by both readings, with 95 % intervals."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(6.4, 1.9)
        rows = [
            ("base, strict", base, RUST),
            ("base, lenient", base["lenient"], RUST),
            ("tuned, strict", tuned, TEAL),
            ("tuned, lenient", tuned["lenient"], TEAL),
        ]
        for y, (_, row, colour) in enumerate(reversed(rows)):
            low, high = (100 * end for end in row["ci95"])
            axes.plot([low, high], [y, y], color=colour, linewidth=3, alpha=0.35, solid_capstyle="butt")
            axes.plot([100 * row["accuracy"]], [y], color=colour, marker="o", markersize=6)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in reversed(rows)])
        axes.set_xlim(-1, 101)
        axes.margins(y=0.15)
        axes.set_xlabel(f"right answers of {base['n']}, per cent, with 95 % interval")
        return _svg(figure)


def arms(findings: Findings, study: Study, names: Sequence[str]) -> Markup:
    """A panel for every question: each arm's rate by the question's metric with its 95 % interval, and its seeds as dots."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.3 * len(names) * len(study.questions) + 1.2), layout="constrained")
        figure.patch.set_alpha(0)
        panels = figure.subplots(len(study.questions), squeeze=False)[:, 0]
        for axes, (question, asked) in zip(panels, study.questions.items(), strict=True):
            for y, name in enumerate(reversed(names)):
                found = findings.measure(question, asked.metric, name)
                colour = RUST if name == BASE else TEAL
                axes.plot(
                    [100 * end for end in found.ci95], [y, y], color=colour, linewidth=3, alpha=0.35, solid_capstyle="butt"
                )
                axes.plot([100 * value for value in found.by_seed], [y] * len(found.by_seed), "o", color=INK, markersize=2)
                axes.plot([100 * found.value], [y], color=colour, marker="o", markersize=6)
            if asked.metric == "detection":
                axes.axvline(50, color=FAINT, linewidth=1, zorder=0)
            axes.set_yticks(range(len(names)), list(reversed(names)))
            axes.set_xlim(-1, 101)
            axes.margins(y=0.12)
            axes.set_xlabel(f"{question}: {asked.metric}, per cent, with 95 % interval; small dots are seeds")
        return _svg(figure)


def times(phases: Sequence[tuple[str, float]]) -> Markup:
    """Seconds spent on each part of the job."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(6.4, 0.34 * len(phases) + 0.6)
        names = [name for name, _ in reversed(phases)]
        axes.barh(names, [seconds for _, seconds in reversed(phases)], color=TEAL, height=0.55)
        for y, (_, seconds) in enumerate(reversed(phases)):
            axes.text(seconds, y, f" {seconds:.0f} s", va="center", fontsize=8)
        axes.set_xticks([])
        axes.margins(x=0.1)
        axes.spines["bottom"].set_visible(False)
        return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    return figure, figure.subplots()


def _svg(figure: Figure) -> Markup:
    """The <svg> element alone, fit for putting into a page; matplotlib escapes its text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return Markup(text[text.index("<svg") :])
