"""A finished study as a page of Markdown, one figure and one JSON document: every number in them comes from the runs."""

import importlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from tunix_rt import datasets, errors, runs, studies, values
from tunix_rt.reports import telling
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings
from tunix_rt.studies import BASE, Cell, Contrast, Findings, Plan, Study

PAGE, FIGURE, DATA = "study.md", "images/study.svg", "results/study.json"


class Facts(NamedTuple):
    """`trained` are the runs of each arm, by seed; `environment` is that of the first."""

    plan: Plan
    cells: tuple[Cell, ...]
    findings: Findings
    trained: dict[str, list[Trained]]
    counts: dict[str, int]
    environment: dict[str, Any]

    @property
    def study(self) -> Study:
        return self.plan.study

    @property
    def arms(self) -> tuple[str, ...]:
        return (BASE, *self.study.arms)


def write_study(settings: Settings, study: Study, place: Path) -> dict[str, Any]:
    """Write page, figure and data below `place`; returns what the data file holds."""
    facts = gather(settings, study)
    figures = importlib.import_module("tunix_rt.reports.figures")  # matplotlib: 30 MB that no other command needs
    values.write_bytes(place / FIGURE, str(figures.arms(facts.findings, facts.study, facts.arms)).encode())
    data = {
        "plan": facts.plan.model_dump(mode="json"),
        "cells": [one.model_dump(mode="json") for one in facts.cells],
        "runs": [run.model_dump(mode="json", exclude={"dir"}) for made in facts.trained.values() for run in made],
        "environment": facts.environment,
        **facts.findings.model_dump(mode="json"),
    }
    values.write_json(place / DATA, data)
    values.write_bytes(place / PAGE, page(facts).encode())
    return data


def gather(settings: Settings, study: Study) -> Facts:
    cells = studies.cells(settings, study)
    trained: dict[str, list[Trained]] = {arm: [] for arm in study.arms}
    for one in cells:
        if one.run_id is not None:
            trained[one.arm].append(runs.find(settings, one.run_id))
    first = next(run for made in trained.values() for run in made)
    return Facts(
        plan=studies.lock(settings, study),
        cells=cells,
        findings=studies.analyse(settings, study),
        trained=trained,
        counts={name: datasets.manifest(settings, name).count for name in study.datasets},
        environment=values.read_json(Path(first.dir) / "environment.json"),
    )


def page(facts: Facts) -> str:
    parts = [
        f"# Study: {facts.study.name}",
        facts.study.about,
        _made(facts),
        "## In plain words",
        _listed(telling.answers(facts.findings, facts.study)),
        f"![Right answers of every arm, with 95 % intervals]({FIGURE})",
        "## What was done",
        _done(facts),
        _arms(facts),
        *[part for name in facts.study.questions for part in _question(facts, name)],
        "## What cannot be told",
        _listed(telling.limits(facts.findings, facts.study)),
        "## Check it",
        _checking(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _made(facts: Facts) -> str:
    name, last = facts.study.name, max(one.finished_at for one in facts.cells)
    where = facts.environment
    machine = ", ".join(str(where[key]) for key in ("platform", "processor", "cpus", "device") if where.get(key))
    return (
        f"Written by `tunix-rt study report {name} --out docs`. `tunix-rt study run {name}` does everything again. "
        f"The plan `{facts.plan.study_digest[:16]}` was locked on {_day(facts.plan.locked_at)}, before anything ran; the last "
        f"run was finished on {_day(last)}. Machine: {machine}."
    )


def _done(facts: Facts) -> str:
    config, study = facts.study.config, facts.study
    tokens = (config.steps or 0) * config.batch.step_rows * config.batch.row_tokens
    return _listed(
        [
            f"{config.model}, {config.tuning.method}; every arm has the same {config.steps} optimizer steps of "
            f"{config.batch.step_rows * config.batch.row_tokens} tokens ({tokens:,} in all, padding included), and the seeds "
            f"{', '.join(map(str, study.seeds))}. How many of the tokens carry a loss depends on the data and is in the table.",
            "Loss falls on replies alone. An attempt that is to be reviewed stands in the prompt, with its mistake: nothing is "
            "ever trained to be written wrong.",
            "Every arm is asked the same, greedily. No prompt of an evaluation set, and no problem in one, is in any training "
            "set: the study would not have begun.",
        ]
    )


def _arms(facts: Facts) -> str:
    rows = []
    for arm, made in facts.trained.items():
        chosen, first = facts.study.arms[arm], made[0]
        sizes = ", then ".join(f"{name} ({facts.counts[name]})" for name in chosen.stages)
        rows.append(
            (
                arm,
                f"{chosen.about}: {sizes}",
                f"{fmean(run.examples for run in made):.0f}",
                f"{fmean(run.tokens for run in made):,.0f}",
                f"{fmean(run.trained_tokens for run in made):,.0f}",
                f"{fmean(run.loss for run in made):.3f}",
                str(first.steps),
            )
        )
    return _table(("arm", "trained on (traces)", "examples met", "tokens", "with a loss", "last loss", "steps"), rows)


def _question(facts: Facts, name: str) -> list[str]:
    question, found = facts.study.questions[name], facts.findings
    first = found.measure(name, question.metric, BASE)
    head = f"## {name.capitalize()}: {question.about}"
    about = f"`{question.evalset}`, {first.n} items of {first.groups} template groups; compared by `{question.metric}`."
    tables = [_detection(facts, name), _by_part(facts, name)] if question.metric == "detection" else [_problems(facts, name)]
    return [head, about, *filter(None, tables), _contrasts(facts, name)]


def _problems(facts: Facts, name: str) -> str:
    metrics = facts.study.questions[name].metrics
    header = ("arm", "n", *(f"{metric}, 95 %" for metric in metrics), f"{metrics[0]} by seed", "right steps of those checked")
    rows = [
        (
            arm,
            str(facts.findings.measure(name, metrics[0], arm).n),
            *(_rate(facts.findings, name, metric, arm) for metric in metrics),
            _seeds(facts.findings.measure(name, metrics[0], arm).by_seed),
            _step_accuracy(facts.findings, arm),
        )
        for arm in facts.arms
    ]
    return _table(header, rows)


def _step_accuracy(findings: Findings, arm: str) -> str:
    known = [100 * value for value in findings.step_accuracy.get(arm, ()) if value is not None]
    return f"{fmean(known):.1f} %" if known else "nothing could be checked"


def _detection(facts: Facts, name: str) -> str:
    header = (
        "arm",
        "balanced accuracy, 95 %",
        "by seed",
        "mistakes seen",
        "false alarms",
        "first wrong step exact",
        "unanswered",
    )
    shown = ("sensitivity", "false alarms", "first wrong step exact", "unanswered")
    rows = [
        (
            arm,
            _rate(facts.findings, name, "detection", arm),
            _seeds(facts.findings.measure(name, "detection", arm).by_seed),
            *(_rate(facts.findings, name, metric, arm) for metric in shown),
        )
        for arm in facts.arms
    ]
    usual = facts.findings.most_frequent_step
    rows.append(("always the same step", "50.0", "", "100.0", "100.0", "-" if usual is None else f"{100 * usual:.1f}", "0.0"))
    rows.append(("always none", "50.0", "", "0.0", "0.0", "0.0", "0.0"))
    return _table(header, rows)


def _by_part(facts: Facts, name: str) -> str:
    metric = facts.study.questions[name].metric
    parts = dict.fromkeys(one.part for one in facts.findings.measures if (one.question, one.metric) == (name, metric))
    if len(parts) < 2:
        return ""
    sizes = {part: facts.findings.measure(name, metric, BASE, part).n for part in parts}
    rows = [(arm, *(_rate(facts.findings, name, metric, arm, part) for part in parts)) for arm in facts.arms]
    return _table(("arm", *(f"{part} (n = {size})" for part, size in sizes.items())), rows)


def _contrasts(facts: Facts, name: str) -> str:
    made = [one for one in facts.findings.contrasts if one.question == name]
    header = ("arm", "against", "points", "95 %", "by seed", "p (Holm)", "could be seen", "verdict")
    return f"Planned comparisons, {len(made)} in one family:\n\n" + _table(header, [_contrast(one) for one in made])


def _contrast(one: Contrast) -> tuple[str, ...]:
    return (
        one.arm,
        one.reference,
        f"{100 * one.difference:+.1f}",
        f"{100 * one.ci95[0]:+.1f} to {100 * one.ci95[1]:+.1f}",
        " ".join(f"{100 * value:+.1f}" for value in one.by_seed),
        f"{one.p_adjusted:.3f}" if one.p_adjusted >= 0.001 else "< 0.001",
        f"{100 * one.minimum_detectable_effect:.1f}",
        one.verdict,
    )


def _rate(findings: Findings, question: str, metric: str, arm: str, part: str = "all") -> str:
    try:
        found = findings.measure(question, metric, arm, part)
    except errors.NotFound:
        return "no such item"
    return f"{100 * found.value:.1f} ({100 * found.ci95[0]:.1f} to {100 * found.ci95[1]:.1f})"


def _seeds(by_seed: Sequence[float]) -> str:
    return " ".join(f"{100 * value:.1f}" for value in by_seed)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _checking(facts: Facts) -> str:
    rows = [(one.arm, str(one.seed), name, f"`{bundle[:16]}`") for one in facts.cells for name, bundle in one.bundles.items()]
    return (
        "Each run has a bundle for every question, verified to depth 1 when it was packed, in `evidence/` of the study's "
        f"folder (`<home>/studies/{facts.study.name}-{facts.plan.study_digest[:12]}`); `tunix-rt evidence verify BUNDLE "
        "--depth 2` makes the datasets again as well. A bundle is named by the sha256 of its manifest:\n\n"
        + _table(("arm", "seed", "question", "bundle"), rows)
    )
