"""`tunix-rt data select`, `dedup`, `split` and `stats`: datasets made from datasets, and what reading one tells."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunix_rt import datasets, traces
from tunix_rt.cli.app import command
from tunix_rt.cli.console import Surface, table
from tunix_rt.cli.data import check_selection, describe, group, judged, summary
from tunix_rt.datasets import DedupKey, Duplicates, Examination, Selection
from tunix_rt.datasets.duplicates import NearPair
from tunix_rt.workbench.building import derive, obtain

_KEYS: tuple[DedupKey, ...] = ("content", "prompt", "skeleton", "near")
_BAR, _ROWS, _SHOWN = 40, 20, 5
NewName = Annotated[str, typer.Argument(help="Name of the new dataset.")]
Existing = Annotated[str, typer.Argument(help="Dataset; a built-in recipe of that name is built if needed.")]
Threshold = Annotated[float, typer.Option(min=0.3, max=1, help="Jaccard similarity from which prompts are near-duplicates.")]
By = Annotated[DedupKey, typer.Option(help="What counts as the same.")]


@command(group)
def select(
    surface: Surface,
    name: NewName,
    parents: Annotated[list[str], typer.Option("--from", help="Dataset to draw from, or NAME@DIGEST; may be repeated.")],
    where: Annotated[
        list[str] | None,
        typer.Option(help="meta.FIELD=VALUE[,VALUE], meta.FIELD>=NUMBER, steps<=NUMBER, prompt_chars, coverage; repeatable."),
    ] = None,
    verdict: Annotated[
        Literal["ok"] | None, typer.Option(help="ok: the checker finds no wrong step and no wrong answer.")
    ] = None,
    dedup: By = "content",
    threshold: Threshold = 0.8,
    sample: Annotated[int | None, typer.Option(min=1, help="Draw this many, whatever their order.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first so many.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Make it again and compare bytes; writes nothing.")] = False,
) -> None:
    """A dataset of the traces of others that pass all filters; what is left out is listed in it with the reason."""
    options: dict[str, Any] = {"verdict": verdict, "sample": sample, "limit": limit, "threshold": threshold, "dedup": dedup}
    chosen = _selection(name, parents, seed, {**datasets.conditions(where or []), **options})
    folder = surface.settings.datasets / name
    if check:
        check_selection(surface, chosen, folder)
        return
    manifest = derive(surface, chosen, folder)
    surface.emit(_derived(manifest, folder), describe(manifest, folder))


@command(group)
def dedup(
    surface: Surface,
    name: Existing,
    by: By = "near",
    threshold: Threshold = 0.8,
    out: Annotated[str | None, typer.Option(help="Name of a new dataset with the first trace of every group.")] = None,
) -> None:
    """What repeats in a dataset, by every key; with --out, a dataset without the repeats by one of them."""
    dataset = obtain(surface, name)
    with surface.progress("comparing") as update:
        found = datasets.duplicates(_counted(dataset, update), threshold)
    text = "\n".join([_repeats(found), *_pairs(dataset.path, found.pairs[:_SHOWN])])
    data = found.model_dump(mode="json")
    if out:
        folder = surface.settings.datasets / out
        manifest = derive(surface, _selection(out, [name], 0, {"dedup": by, "threshold": threshold}), folder)
        data, text = {**data, "made": _derived(manifest, folder)}, f"{text}\n{describe(manifest, folder)}"
    surface.emit(data, text)


@command(group)
def split(
    surface: Surface,
    name: Existing,
    by: Annotated[
        str, typer.Option(help="template (meta.group), problem (the prompt), near (near-duplicates), or meta.FIELD.")
    ],
    eval_share: Annotated[float, typer.Option(help="Share of the groups that goes to the evaluation set.")] = 0.1,
    threshold: Threshold = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another split.")] = 0,
    out: Annotated[str | None, typer.Option(help="What the two names begin with (default: the dataset's name).")] = None,
) -> None:
    """Two datasets, NAME-train and NAME-eval: no group and no prompt is on both sides."""
    made = {}
    for side in ("eval", "train"):
        apart = {"side": side, "by": by, "eval_share": eval_share}
        chosen = _selection(f"{out or name}-{side}", [name], seed, {"apart": apart, "threshold": threshold})
        folder = surface.settings.datasets / chosen.name
        made[side] = (derive(surface, chosen, folder), folder)
    data = {side: _derived(manifest, folder) for side, (manifest, folder) in made.items()}
    surface.emit({"by": by, **data}, "\n".join(describe(manifest, folder) for manifest, folder in made.values()))


@command(group)
def stats(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="Dataset of the workspace, or a folder.")],
    check: Annotated[bool, typer.Option("--check/--no-check", help="Ask the checker, which takes about 1 ms a trace.")] = True,
) -> None:
    """Composition and statistics of a dataset, what the checker says of its steps, what repeats, how lengths are spread."""
    dataset = datasets.open_dataset(Path(name)) if Path(name).is_dir() else obtain(surface, name)
    folder = dataset.path.parent
    with surface.progress("reading") as update:
        found = datasets.examine(_counted(dataset, update), judge=check)
    data = {**summary(dataset.manifest, folder), **dataset.manifest.model_dump(mode="json")}
    text = "\n".join([describe(dataset.manifest, folder), *_examined(found)])
    surface.emit({**data, "examination": found.model_dump(mode="json")}, text)


def _selection(name: str, parents: list[str], seed: int, options: dict[str, Any]) -> Selection:
    given = {key: value for key, value in options.items() if value is not None}
    return Selection.parse({"name": name, "seed": seed, "select": {"from": parents, **given}}, source=f"selection {name!r}")


def _derived(manifest: datasets.Manifest, folder: Path) -> dict[str, object]:
    parents = [parent.model_dump() for parent in manifest.parents or ()]
    return {**summary(manifest, folder), "parents": parents, "dropped": manifest.dropped}


def _counted(dataset: datasets.Dataset, update: Any) -> Any:
    for number, trace in enumerate(traces.read(dataset.path), start=1):
        if number % 200 == 0:
            update(number, dataset.manifest.count, "traces")
        yield trace


def _repeats(found: Duplicates) -> str:
    rows = []
    for key in _KEYS:
        part = getattr(found, key)
        rows.append((key, *(str(number) for number in (part.distinct, part.duplicates, part.repeated, part.largest))))
    return table(rows, ("the same by", "distinct", "duplicates", "groups of several", "largest group"))


def _pairs(path: Path, pairs: tuple[NearPair, ...]) -> list[str]:
    """The most similar prompts that are not the same, in full view."""
    wanted = {position for pair in pairs for position in pair.positions}
    shown = {at: " ".join(trace.prompt.split()) for at, trace in enumerate(traces.read(path), start=1) if at in wanted}
    lines = []
    for pair in pairs:
        lines.append(f"  {pair.jaccard:.2f}  {pair.ids[0][:12]} {shown[pair.positions[0]]}")
        lines.append(f"        {pair.ids[1][:12]} {shown[pair.positions[1]]}")
    return lines


def _examined(found: Examination) -> list[str]:
    lines = [f"checker: {judged(found.check)}" if found.check else "checker: not asked"]
    lines.append(_repeats(found.duplicates))
    header = ("length", *(f"{share} %" for share in datasets.PERCENTILES))
    lines.append(table([(name, *map(str, values)) for name, values in found.percentiles.items()], header))
    most = max(found.steps.values(), default=1)
    lines.append("steps in a trace")
    for count, many in list(found.steps.items())[:_ROWS]:
        lines.append(f"  {count:>4}  {'█' * max(1, round(_BAR * many / most))} {many}")
    beyond = sum(list(found.steps.values())[_ROWS:])
    return [*lines, *([f"  more  {beyond}"] if beyond else [])]
