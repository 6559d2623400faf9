"""`tunix-rt data leak`, `diff` and `explain`: look into datasets, at each other and back to their recipes."""

from typing import Annotated, Any

import typer

from tunix_rt import datasets, traces
from tunix_rt.cli.app import command
from tunix_rt.cli.console import Surface, percent, table
from tunix_rt.cli.data import RecipeArgument, group
from tunix_rt.traces import Trace
from tunix_rt.workbench.building import obtain

Name = Annotated[str, typer.Argument(help="Dataset; a built-in recipe of that name is built if needed.")]


@command(group)
def leak(
    surface: Surface,
    train: Name,
    held_out: Name,
    threshold: Annotated[float, typer.Option(min=0.3, max=1, help="Jaccard similarity of near-duplicate prompts.")] = 0.8,
) -> None:
    """What a training set gives away of a held-out set; exit code 1 when a held-out prompt is in it."""
    training, held = obtain(surface, train), obtain(surface, held_out)
    with surface.progress("comparing") as update:
        found = datasets.leakage(
            traces.read(training.path),
            traces.read(held.path),
            threshold,
            lambda done: update(done, training.manifest.count, "training traces"),
        )
    rows = [_overlap("all", found)]
    rows += [_overlap(f"tier {name}", part) for name, part in found.tiers.items()]
    rows += [_overlap(f"section {name}", part) for name, part in found.sections.items()]
    header = ("held out", "items", "exact", "skeleton", "near", f"{found.ngram}-grams: median", "most", "80 % or more")
    lines = [
        f"{found.exact} of {found.items} prompts of {held_out} are among the {found.trained} of {train}",
        table(rows, header),
        *(f"  leaked: {prompt}" for prompt in found.examples),
    ]
    surface.emit(found.model_dump(mode="json"), "\n".join(lines))
    if found.exact:
        raise typer.Exit(1)


def _overlap(name: str, part: datasets.Overlap) -> tuple[str, ...]:
    counts = (part.items, part.exact, part.skeletons, part.near)
    shares = (percent(part.ngram_median), percent(part.ngram_max), str(part.ngram_close))
    return (name, *map(str, counts), *shares)


@command(group)
def diff(surface: Surface, first: Name, second: Name) -> None:
    """Which traces came and went between two datasets, by content."""
    before, after = obtain(surface, first), obtain(surface, second)
    found = datasets.difference(traces.read(before.path), traces.read(after.path))
    lines = [f"{found.common} traces in both, {len(found.removed)} only in {first}, {len(found.added)} only in {second}"]
    for sign, kept in (("-", found.removed), ("+", found.added)):
        lines += [f"  {sign} {trace.id[:12]} {_short(trace.prompt)}" for trace in kept[:10]]
        lines += [f"  {sign} ... and {len(kept) - 10} more"] if len(kept) > 10 else []
    data = {"common": found.common, "removed": [t.id for t in found.removed], "added": [t.id for t in found.added]}
    surface.emit(data, "\n".join(lines))


@command(group)
def explain(
    surface: Surface, recipe: RecipeArgument, trace: Annotated[str, typer.Argument(help="Trace id, or its beginning.")]
) -> None:
    """Make one item of a recipe again, or find it among its written ones, and show it with its claims."""
    found = datasets.explain(datasets.recipe(recipe), trace)
    surface.emit({"id": found.id, **found.line()}, show(found))


def show(trace: Trace) -> str:
    """A trace as people read it: prompt, steps with their types and claims, answer, origin."""
    lines = [f"{trace.id[:12]}  {_origin(trace.meta)}", trace.prompt]
    for step in trace.steps:
        lines.append(f"  {step.i}. [{step.type}] {step.content}")
        lines += [f"       {claim.op}{claim.args} = {claim.result}" for claim in step.claims]
    return "\n".join([*lines, f"  Answer: {trace.final_answer}"])


def _origin(meta: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in meta.items())


def _short(text: str, limit: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
