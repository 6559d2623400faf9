"""`/datasets`: all of them, one with its splits, lineage and figures, and its items."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as FromPath
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import checking, datasets
from tunix_rt.api.datasets import Name
from tunix_rt.api.service import Here
from tunix_rt.datasets import Manifest
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.web import items, marks, queries, rendering, verdicts, wording
from tunix_rt.web.marks import Bar, Strip
from tunix_rt.web.verdicts import Judged, Told

router = APIRouter(include_in_schema=False)
PAGE = 50
Place = Annotated[int, FromPath(ge=0, le=10**15, description="The byte of the file that the item's line begins at.")]
EXPORTS = ("trl-messages", "trl-preference", "openai-chat", "sharegpt", "alpaca", "hf-parquet")


class ItemQuery(queries.Query):
    after: Annotated[int, Field(ge=0, le=10**15)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    description: str
    origin: str
    version: int
    splits: str
    count: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    rows: tuple[Row, ...]


@router.get("/datasets")
def list_datasets(request: Request, here: Here) -> Response:
    view = ListView(rows=tuple(row(manifest) for manifest in manifests(here.settings)))
    return rendering.page(request, "datasets.html", view, title="Datasets", command="tunix-rt data recipes")


def manifests(settings: Settings) -> list[Manifest]:
    """Of every complete dataset of the workspace, by name."""
    names = sorted(path.parent.name for path in settings.datasets.glob("*/manifest.json"))
    return [datasets.manifest(settings, name) for name in names]


def row(manifest: Manifest) -> Row:
    return Row(
        name=manifest.name,
        description=wording.short(manifest.description),
        origin=origin(manifest),
        version=manifest.version,
        splits=", ".join(manifest.splits),
        count=manifest.count,
        digest=manifest.digest[:12],
    )


def origin(manifest: Manifest) -> str:
    if manifest.recipe:
        return "recipe"
    return "selection" if manifest.selection else "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One way to count the traces of a dataset."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    name: str
    here: bool
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailView:
    name: str
    description: str
    count: int
    version: int
    origin: str
    facts: tuple[tuple[str, str], ...]
    splits: tuple[Bar, ...]
    groups: tuple[Group, ...]
    lengths: tuple[tuple[str, str, str, str], ...]
    lineage: tuple[str, ...]
    parents: tuple[Parent, ...]
    dropped: tuple[tuple[str, int], ...]
    exports: tuple[str, ...]
    digest: str


@router.get("/datasets/{name}")
def show(request: Request, here: Here, name: Name) -> Response:
    manifest = datasets.manifest(here.settings, name)
    known = {path.parent.name for path in here.settings.datasets.glob("*/manifest.json")}
    view = detail_view(manifest, known)
    return rendering.page(request, "dataset.html", view, title=name, command=f"tunix-rt data stats {name}", up="/datasets")


def detail_view(manifest: Manifest, known: Iterable[str]) -> DetailView:
    there = set(known)
    return DetailView(
        name=manifest.name,
        description=manifest.description,
        count=manifest.count,
        version=manifest.version,
        origin=origin(manifest),
        facts=_facts(manifest),
        splits=marks.bars(manifest.splits),
        groups=tuple(_groups(manifest)),
        lengths=tuple(
            (what, wording.whole(spread["min"]), f"{spread['median']:,g}", wording.whole(spread["max"]))
            for what, spread in _spreads(manifest).items()
        ),
        lineage=tuple(_lineage(manifest)),
        parents=tuple(
            Parent(
                name=parent.name,
                here=parent.name in there,
                told=f"{parent.taken:,} of {parent.count:,}, {parent.dataset_digest[:12]}",
            )
            for parent in manifest.parents or ()
        ),
        dropped=tuple((manifest.dropped or {}).items()),
        exports=EXPORTS,
        digest=manifest.digest,
    )


def _facts(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    figures = manifest.statistics
    return (
        ("Licence", manifest.licence),
        ("Version", str(manifest.version)),
        ("Schema", manifest.schema_version),
        ("Distinct prompts", wording.whole(figures.distinct_prompts)),
        ("But for numbers", wording.whole(figures.distinct_skeletons)),
        ("Distinct answers", wording.whole(figures.distinct_answers)),
        ("Claims", wording.whole(figures.claims)),
        ("Merkle root", manifest.merkle_root[:16]),
    )


def _groups(manifest: Manifest) -> Iterable[Group]:
    found: dict[str, Mapping[str, int]] = manifest.composition.model_dump(exclude={"labels"}) | manifest.composition.labels
    for name, counts in found.items():
        if counts:
            yield Group(name=name.replace("_", " "), bars=marks.bars(counts, 16))


def _spreads(manifest: Manifest) -> dict[str, dict[str, Any]]:
    names = {
        "steps": "Steps",
        "prompt_words": "Words of the prompt",
        "trace_words": "Words in all",
        "prompt_chars": "Characters of the prompt",
        "trace_chars": "Characters in all",
    }
    return {words: getattr(manifest.statistics, name).model_dump() for name, words in names.items()}


def _lineage(manifest: Manifest) -> Iterable[str]:
    """Where it comes from, in sentences."""
    if manifest.recipe:
        seed = "" if manifest.seed is None else f", seed {manifest.seed}"
        yield f"Made from recipe {manifest.recipe.name} version {manifest.recipe.version}{seed}."
        yield f"Recipe digest {str(manifest.recipe_digest)[:16]}."
        if manifest.generators:
            yield "Generators: " + ", ".join(f"{name} v{version}" for name, version in manifest.generators.items()) + "."
    for name, version in (manifest.plugins or {}).items():
        yield f"Made with the plug-in {name} {version}."
    if source := manifest.source:
        yield f"Read from {source.file} ({source.format}), sha256 {source.sha256[:16]}."
        yield (
            f"{wording.plural(source.rows, 'row')}: {source.added:,} added, {source.duplicates:,} twice, "
            f"{source.rejected:,} rejected."
        )
        if source.reasoning_absent:
            yield f"{source.reasoning_absent:,} have an answer but no reasoning, which is their only step."
    if manifest.selection:
        yield "Selected from other datasets:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    href: str
    number: str
    prompt: str
    answer: str
    strip: Strip
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsView:
    name: str
    count: int
    rows: tuple[ItemRow, ...]
    first: str | None
    further: str | None


@router.get("/datasets/{name}/items")
def list_items(request: Request, here: Here, name: Name, query: Annotated[ItemQuery, Query()]) -> Response:
    manifest = datasets.manifest(here.settings, name)
    found = items.lines(here.settings, name, query.after, PAGE)
    path = f"/datasets/{name}/items"
    view = ItemsView(
        name=name,
        count=manifest.count,
        rows=item_rows(path, query.after, found.lines),
        first=path if query.after else None,
        further=query.link(path, after=found.next) if found.more else None,
    )
    command = f"tunix-rt check {name} --all"
    return rendering.page(request, "items.html", view, title=f"{name}: items", command=command, up=f"/datasets/{name}")


def item_rows(path: str, start: int, lines: Iterable[bytes]) -> tuple[ItemRow, ...]:
    rows, place = [], start
    for line in lines:
        trace = Trace.model_validate_json(line)
        check = checking.check(trace)
        rows.append(
            ItemRow(
                href=f"{path}/{place}",
                number=trace.id[:8],
                prompt=wording.short(trace.prompt),
                answer=wording.short(trace.final_answer, 24),
                strip=verdicts.strip(check),
                told=verdicts.told(check),
            )
        )
        place += len(line) + 1
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """`facts` are the parts of its meta that are short; `stored` says whether the database has the same trace."""

    name: str
    id: str
    place: int
    prompt: str
    judged: Judged
    facts: tuple[tuple[str, str], ...]
    further: str | None


@router.get("/datasets/{name}/items/{place}")
def show_item(request: Request, here: Here, name: Name, place: Place) -> Response:
    found = items.lines(here.settings, name, place, 1)
    trace = items.trace(here.settings, name, place)
    further = f"/datasets/{name}/items/{found.next}" if found.more else None
    view = ItemView(
        name=name,
        id=trace.id,
        place=place,
        prompt=trace.prompt,
        judged=verdicts.judged(trace),
        facts=short_facts(trace.meta),
        further=further,
    )
    up = f"/datasets/{name}/items"
    return rendering.page(request, "item.html", view, title=f"{name}: item", command=f"tunix-rt check {name} --all", up=up)


def short_facts(meta: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in meta.items() if isinstance(value, str | int) and len(str(value)) <= 80)
