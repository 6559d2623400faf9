"""`tunix-rt demo`: the whole job on a real model, from a seeded dataset to verified evidence."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from tunix_rt import comparisons, datasets, errors, evidence, jobs, recipes, reports, studies, traces, values
from tunix_rt.cli import evals, train
from tunix_rt.cli import study as studying
from tunix_rt.cli.app import app, command
from tunix_rt.cli.console import Surface, size
from tunix_rt.comparisons import Comparison, Evaluation, Example
from tunix_rt.evidence import Manifest
from tunix_rt.runs import Trained
from tunix_rt.workbench import evaluating, training
from tunix_rt.workbench.building import obtain

VERSIONS = ("tunix-rt", "google-tunix", "jax", "flax", "qwix")
QUICK_ITEMS = 60
SHOWN = 700  # characters of a model's output in the terminal


class Clock:
    """Seconds spent on each part of the job, in order."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.parts.append((name, round(time.monotonic() - started, 1)))

    @property
    def total(self) -> float:
        return round(sum(seconds for _, seconds in self.parts), 1)


class Outcome(NamedTuple):
    run: Trained
    base: dict[str, Any]
    tuned: dict[str, Any]
    comparison: Comparison
    examples: tuple[Example, ...]
    bundle: Path
    manifest: Manifest
    report: Path


@command(app)
def demo(
    surface: Surface,
    quick: Annotated[bool, typer.Option("--quick", help="A few steps and items: shows the path, proves less.")] = False,
    study: Annotated[
        bool, typer.Option("--study", help="The study that ships instead: five ways to train, three seeds, about an hour.")
    ] = False,
) -> None:
    """Build a dataset, fine-tune SmolLM2-135M, evaluate it before and after on unseen items, compare, pack and verify."""
    if study:
        if quick:
            raise typer.BadParameter("the study has no short form; its tests train a tiny model", param_hint="--quick")
        studying.conduct(surface, studies.load("reasoning-data"), None)
        return
    clock = Clock()
    outcome = _do(surface, clock, quick)
    surface.emit(_document(outcome, clock), _story(outcome, clock))


def _do(surface: Surface, clock: Clock, quick: bool) -> Outcome:
    config = jobs.read_config(recipes.path("train", "sft_quick" if quick else "sft_demo"))
    trainset, evalset = "dev-reasoning-v2", "dev-reasoning-v2-eval"
    limit = QUICK_ITEMS if quick else None
    with clock.part("build and check the datasets"):
        _no_leak(surface, trainset, evalset)
    with clock.part("evaluate the base model"):
        base = evaluating.evaluation(surface, config.model, None, evalset, limit=limit)
    with clock.part("fine-tune"):
        run = training.train_run(surface, config, trainset)
        surface.say(train.describe(run))
    with clock.part("evaluate the tuned model"):
        tuned = evaluating.evaluation(surface, config.model, run, evalset, limit=limit)
    with clock.part("compare, pack and verify"):
        before, after = comparisons.load(base), comparisons.load(tuned)
        compared = comparisons.compare(before, after)
        bundle = surface.settings.evidence / f"{run.run_id}.zip"
        manifest = evidence.pack_run(surface.settings, run, bundle)
        verdict = evidence.verify(bundle, 1)
        if not verdict.ok:
            raise errors.Failed(f"the bundle {bundle} does not verify: {'; '.join(verdict.failures)}", bundle=str(bundle))
    items = traces.read(obtain(surface, evalset).path)
    examples = telling(comparisons.examples(before, after, items, before.summary.n), before)
    outcome = Outcome(
        run, _json(before), _json(after), compared, examples, bundle, manifest, surface.settings.evidence / f"{run.run_id}.html"
    )
    reports.write(_facts(outcome, clock), outcome.report)
    return outcome


def _no_leak(surface: Surface, trainset: str, evalset: str) -> None:
    train, held_out = (traces.read(obtain(surface, name).path) for name in (trainset, evalset))
    found = datasets.leakage(train, held_out)
    if found.exact:
        raise errors.Invalid(f"{found.exact} prompts of {evalset} are in {trainset}; the evaluation would prove nothing.")
    surface.say(f"{trainset}: {found.trained} traces; {evalset}: {found.items} items, none of them in training")


def telling(examples: list[Example], before: Evaluation) -> tuple[Example, ...]:
    """Two items that were fixed and one that is not: the first of each in the comparison's order.

    Items that the base model had right but for the format come last among the fixed: they show the least.
    """
    right_but_for_format = {row.item for row in before.scores if row.lenient == "correct"}
    fixed = [example for example in examples if example.change == "fixed"]
    fixed.sort(key=lambda example: example.item in right_but_for_format)
    wrong = [example for example in examples if example.change in ("broken", "both wrong")]
    return tuple([*fixed[:2], *wrong[:1], *fixed[2:]][:3])


def _json(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.summary.model_dump(mode="json")


def _facts(outcome: Outcome, clock: Clock) -> reports.Facts:
    metrics = Path(outcome.run.dir) / "metrics.jsonl"
    return reports.Facts(
        run=outcome.run,
        base=outcome.base,
        tuned=outcome.tuned,
        comparison=outcome.comparison,
        examples=outcome.examples,
        metrics=tuple(row for _, row in values.read_jsonl(metrics)),
        phases=tuple(clock.parts),
        bundle=outcome.bundle.name,
        bundle_root=outcome.manifest.merkle_root,
        verified="verified to depth 1 when this page was written",
    )


def _document(outcome: Outcome, clock: Clock) -> dict[str, Any]:
    return {
        "base": outcome.base,
        "tuned": outcome.tuned,
        "comparison": outcome.comparison.model_dump(mode="json"),
        "run_id": outcome.run.run_id,
        "run": outcome.run.model_dump(mode="json"),
        "bundle": str(outcome.bundle),
        "report": str(outcome.report),
        "examples": [example.model_dump(mode="json") for example in outcome.examples],
        "seconds": clock.total,
        "phases": dict(clock.parts),
        "seed": outcome.run.seed,
        "versions": {name: metadata.version(name) for name in VERSIONS},
    }


def _story(outcome: Outcome, clock: Clock) -> str:
    lines = ["", evals.describe(outcome.base), evals.describe(outcome.tuned), "tuned against base, same items:"]
    lines += [evals.describe_comparison(outcome.comparison), ""]
    for example in outcome.examples:
        lines += [f"{example.prompt}  [expected {example.expected}; {example.change}]"]
        lines += _quote("base", example.before) + _quote("tuned", example.after) + [""]
    lines += [f"where the time went ({clock.total:.0f} s in all):"]
    lines += [f"  {seconds:6.1f} s  {name}" for name, seconds in clock.parts]
    lines += ["", f"loss      {curve(outcome.run)}"]
    lines += [f"bundle    {outcome.bundle} ({size(outcome.bundle.stat().st_size)}), verified to depth 1"]
    lines += [f"report    {outcome.report}"]
    return "\n".join(lines)


def _quote(who: str, text: str) -> list[str]:
    shown = text if len(text) <= SHOWN else text[:SHOWN] + " [...]"
    return [
        f"  {who if number == 0 else '':5} | {line}" for number, line in enumerate(shown.strip().splitlines() or ["(nothing)"])
    ]


def curve(run: Trained) -> str:
    """The losses as one line of bars, first and last in numbers."""
    losses = [row["loss"] for _, row in values.read_jsonl(Path(run.dir) / "metrics.jsonl")]
    top = max(losses)
    bars = "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * loss / top))] for loss in losses)
    return f"{losses[0]:.3f} {bars} {losses[-1]:.3f}"
