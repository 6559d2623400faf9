"""`/datasets/{name}/examination`: what reading a whole dataset tells, alone or beside a held-out one."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import datasets, errors, traces
from tunix_rt.api.datasets import Name
from tunix_rt.api.service import Here
from tunix_rt.datasets import Examination, Leakage, Manifest
from tunix_rt.settings import Settings
from tunix_rt.web import items, marks, queries, rendering, wording
from tunix_rt.web.datasets import manifests
from tunix_rt.web.marks import Bar

router = APIRouter(include_in_schema=False)
LARGEST = 5_000  # traces that are read through while a page waits


class ExaminationQuery(queries.Query):
    held_out: Annotated[str, Field(pattern=items.PATTERN)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    jaccard: str
    ids: tuple[str, str]
    positions: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminationView:
    """`leak` is None when no held-out set was named."""

    name: str
    count: int
    check: tuple[tuple[str, str], ...]
    repeats: tuple[tuple[str, int, int, int], ...]
    threshold: str
    pairs: tuple[Pair, ...]
    steps: tuple[Bar, ...]
    percentiles: tuple[int, ...]
    lengths: tuple[tuple[str, tuple[int, ...]], ...]
    held_out: str | None
    others: tuple[str, ...]
    leak: tuple[tuple[str, str, str], ...] | None
    examples: tuple[str, ...]


@router.get("/datasets/{name}/examination")
def examination(request: Request, here: Here, name: Name, query: Annotated[ExaminationQuery, Query()]) -> Response:
    """Reads the whole dataset, so it takes one of the seats for large work."""
    for wanted in filter(None, (name, query.held_out)):
        _small_enough(datasets.manifest(here.settings, wanted), name, query.held_out)
    with here.heavy():
        found = datasets.examine(traces.read(datasets.find(here.settings, name).path))
        leak = leakage(here.settings, name, query.held_out) if query.held_out else None
    others = tuple(manifest.name for manifest in manifests(here.settings) if manifest.name != name)
    view = examination_view(name, found, others, query.held_out, leak)
    command = f"tunix-rt data leak {name} {query.held_out}" if query.held_out else f"tunix-rt data stats {name}"
    title = f"{name}: read through"
    return rendering.page(request, "examination.html", view, title=title, command=command, up=f"/datasets/{name}")


def _small_enough(manifest: Manifest, name: str, held_out: str | None) -> None:
    if manifest.count > LARGEST:
        command = f"tunix-rt data leak {name} {held_out}" if held_out else f"tunix-rt data stats {name}"
        raise errors.Invalid(
            f"{manifest.name!r} has {manifest.count:,} traces; a page reads at most {LARGEST:,}. "
            f"The command line reads all of them: {command}",
            dataset=manifest.name,
        )


def leakage(settings: Settings, name: str, held_out: str) -> Leakage:
    train, items_held = (traces.read(datasets.find(settings, wanted).path) for wanted in (name, held_out))
    return datasets.leakage(train, items_held)


def examination_view(
    name: str, found: Examination, others: tuple[str, ...], held_out: str | None, leak: Leakage | None
) -> ExaminationView:
    duplicates = found.duplicates
    kinds = (
        ("Prompt, steps and answer", duplicates.content),
        ("Prompt", duplicates.prompt),
        ("Prompt but for its numbers", duplicates.skeleton),
        ("Nearly the same prompt", duplicates.near),
    )
    names = {"steps": "Steps", "prompt_words": "Words of the prompt", "trace_words": "Words in all"}
    return ExaminationView(
        name=name,
        count=duplicates.traces,
        check=_checked(found),
        repeats=tuple((what, kind.distinct, kind.duplicates, kind.largest) for what, kind in kinds),
        threshold=f"{duplicates.threshold:g}",
        pairs=tuple(
            Pair(jaccard=f"{pair.jaccard:.2f}", ids=(pair.ids[0][:8], pair.ids[1][:8]), positions=pair.positions)
            for pair in duplicates.pairs
        ),
        steps=marks.bars({str(count): traces_ for count, traces_ in found.steps.items()}),
        percentiles=datasets.PERCENTILES,
        lengths=tuple((words, found.percentiles[key]) for key, words in names.items()),
        held_out=held_out,
        others=others,
        leak=_leak_rows(leak) if leak else None,
        examples=leak.examples if leak else (),
    )


def _checked(found: Examination) -> tuple[tuple[str, str], ...]:
    check = found.check
    if check is None:
        return ()
    return (
        ("Steps", wording.whole(check.steps)),
        ("Checked", wording.percent(check.coverage)),
        ("Of those verified", "none" if check.step_accuracy is None else wording.percent(check.step_accuracy)),
        ("Wrong steps", wording.whole(check.wrong_steps)),
        ("Wrong answers", wording.whole(check.wrong_answers)),
        ("Traces with either", wording.whole(check.wrong_traces)),
        ("Unsure steps", wording.whole(check.ungrounded)),
    )


def _leak_rows(leak: Leakage) -> tuple[tuple[str, str, str], ...]:
    def share(count: int) -> str:
        return wording.percent(count / leak.items) if leak.items else "-"

    return (
        ("The same prompt", wording.whole(leak.exact), share(leak.exact)),
        ("Nearly the same prompt", wording.whole(leak.near), share(leak.near)),
        ("The same but for its numbers", wording.whole(leak.skeletons), share(leak.skeletons)),
        (f"Shares most {leak.ngram}-word pieces", wording.whole(leak.ngram_close), share(leak.ngram_close)),
    )
