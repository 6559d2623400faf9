"""`/models/{name}/{version}`: one version, the way back to its data, why it was let in, and where its aliases have been."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query
from fastapi import Path as FromPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import registry
from tunix_rt.api.models import PATTERN, AnAlias, Reason
from tunix_rt.api.service import Here, Who
from tunix_rt.registry import CHAMPION, Entry, Happening, Link, Problem
from tunix_rt.web import promoting, queries, rendering, wording
from tunix_rt.web.promoting import Decided
from tunix_rt.web.verdicts import Kind, Told

router = APIRouter(include_in_schema=False)
ModelName = Annotated[str, FromPath(pattern=PATTERN, description="A registered model.")]
Version = Annotated[int, FromPath(ge=1, le=9_999_999, description="A version's number.")]
STATES: dict[registry.State, Kind] = {"here": "ok", "changed": "wrong", "absent": "unchecked"}
SAID: dict[registry.State, str] = {"here": "here", "changed": "not the same any more", "absent": "not in this workspace"}


class VersionQuery(queries.Query):
    """`check=1` reads every byte."""

    check: Literal["1"] | None = None


class ToName(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1, le=9_999_999)]
    alias: AnAlias = CHAMPION
    reason: Reason | None = None


class ToRollBack(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    alias: AnAlias = CHAMPION
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing on the way to the data; `href` is empty where there is no page of it here."""

    what: str
    name: str
    digest: str
    told: Told
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    evaluation_id: str
    evalset: str
    n: int
    accuracy: str
    interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`whole` tells of the stored files: read through, or only looked at."""

    name: str
    version: int
    digest: str
    aliases: tuple[str, ...]
    promoted: str
    who: str
    reason: str
    forced: bool
    decided: Decided | None
    steps: tuple[Step, ...]
    evaluations: tuple[Evaluated, ...]
    files: tuple[tuple[str, str, str], ...]
    whole: Told
    problems: tuple[str, ...]
    versions: tuple[tuple[int, tuple[str, ...], str, str], ...]
    history: tuple[tuple[str, str, str, str], ...]
    may_name: bool
    can_go_back: bool


@router.get("/models/{name}")
def find(here: Here, name: ModelName) -> Response:
    """Leads to the champion, or to the newest version while there is none."""
    with here.store.reading() as connection:
        return RedirectResponse(f"/models/{name}/{registry.get(connection, name).version}", 303)


@router.post("/models/{name}/alias")
def move(here: Here, who: Who, name: ModelName, form: Annotated[ToName, Form()]) -> Response:
    with here.store.unit_of_work() as connection:
        registry.move(connection, f"{name}@{form.version}", form.alias, who=who.name, reason=form.reason)
    return RedirectResponse(f"/models/{name}/{form.version}", 303)


@router.post("/models/{name}/rollback")
def roll_back(here: Here, who: Who, name: ModelName, form: Annotated[ToRollBack, Form()]) -> Response:
    with here.store.unit_of_work() as connection:
        made = registry.roll_back(connection, name, form.alias, who=who.name, reason=form.reason)
    return RedirectResponse(f"/models/{name}/{made.version}", 303)


@router.get("/models/{name}/{version}")
def show(
    request: Request, here: Here, who: Who, name: ModelName, version: Version, query: Annotated[VersionQuery, Query()]
) -> Response:
    with here.store.reading() as connection:
        entry = registry.get(connection, f"{name}@{version}")
        links = registry.walk(here.settings, connection, entry)
        told = registry.history(connection, name)
        beside = registry.versions(connection, name, limit=50).data
        problems = None
        if query.check:
            with here.heavy():
                problems = registry.problems(here.settings, connection, [entry])
    view = version_view(entry, links, told, beside, problems, may_name=who.may("runner"))
    verb = "check" if query.check else "show"
    command = wording.command("models", verb, name if query.check else entry.reference)
    return rendering.page(request, "version.html", view, title=f"{name} version {version}", command=command, up="/models")


def version_view(
    entry: Entry,
    links: tuple[Link, ...],
    told: list[Happening],
    beside: tuple[Entry, ...],
    problems: list[Problem] | None,
    *,
    may_name: bool,
) -> View:
    moves = [one for one in told if one.alias == CHAMPION]
    gate = entry.admission.gate
    return View(
        name=entry.name,
        version=entry.version,
        digest=entry.digest,
        aliases=entry.aliases,
        promoted=wording.when(entry.admitted.at),
        who=entry.admitted.who,
        reason=entry.admitted.reason or "",
        forced=entry.admission.standing == "forced",
        decided=promoting.gate(gate) if gate else None,
        steps=tuple(map(_step, links)),
        evaluations=tuple(
            Evaluated(
                evaluation_id=one.evaluation_id,
                evalset=one.evalset,
                n=one.n,
                accuracy=wording.percent(one.accuracy),
                interval=wording.interval(one.ci95_clustered),
            )
            for one in entry.admission.evaluations
        ),
        files=tuple((file, wording.size(kept.bytes), kept.sha256) for file, kept in entry.content.files.items()),
        whole=_whole(links, problems),
        problems=tuple(f"{one.file}: {one.problem}" for one in problems or ()),
        versions=tuple((one.version, one.aliases, one.admission.standing, wording.when(one.created)) for one in beside),
        history=tuple(map(_happened, reversed(told))),
        may_name=may_name,
        can_go_back=len([one for one in moves if one.action == "set"]) > len([one for one in moves if one.action != "set"]) + 1,
    )


def _step(link: Link) -> Step:
    pages = {"run": f"/runs/{link.name}", "dataset": f"/datasets/{link.name}"}
    return Step(
        what=link.what,
        name=link.name,
        digest=link.digest[:12],
        told=Told(kind=STATES[link.state], text=SAID[link.state]),
        href=pages.get(link.what, "") if link.state == "here" else "",
    )


def _whole(links: tuple[Link, ...], problems: list[Problem] | None) -> Told:
    if problems is not None:
        return Told(kind="wrong", text="not what was promoted") if problems else Told(kind="ok", text="every byte verified")
    there = next(link for link in links if link.what == "weights").state == "here"
    return Told(kind="unchecked", text="there, not read") if there else Told(kind="wrong", text="missing or cut short")


def _happened(one: Happening) -> tuple[str, str, str, str]:
    if one.admission is not None:
        what = f"version {one.version} promoted, {one.admission.standing}"
    else:
        what = f"{one.alias} {one.action} to version {one.version}"
    return wording.when(one.at), what, one.who, one.reason or ""
