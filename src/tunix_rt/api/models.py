"""`/api/models`: what runs were promoted to; promote, name, roll back, check, download."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi import Path as FromPath
from pydantic import Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from tunix_rt import comparisons, errors, registry, runs
from tunix_rt.api.datasets import Limit
from tunix_rt.api.parsing import Route
from tunix_rt.api.replies import Shown, encoded, page, reply
from tunix_rt.api.runs import RUN_ID
from tunix_rt.api.service import Here, Service, Who
from tunix_rt.comparisons import Gate
from tunix_rt.registry import Admission, Content, Criterion, Entry
from tunix_rt.runs import Trained
from tunix_rt.store import open_artifacts

router = APIRouter(prefix="/api/models", tags=["models"], route_class=Route)
PATTERN = f"^{registry.NAME}$"
WHICH = f"^([0-9]{{1,7}}|{registry.ALIAS}|[0-9a-f]{{8,64}})$"
FILE = r"^[a-z][a-z0-9_.-]{0,63}$"
Name = Annotated[str, FromPath(pattern=PATTERN, description="A registered model.")]
Which = Annotated[str, FromPath(pattern=WHICH, description="A version, an alias or a digest.")]
Alias = Annotated[str, FromPath(pattern=f"^{registry.ALIAS}$", description="An alias, such as champion.")]
AnAlias = Annotated[str, Field(pattern=f"^{registry.ALIAS}$")]
Reason = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S")]


class ModelDocument(Shown):
    """A registered model; `aliases` maps each to its version."""

    name: str
    created: datetime
    versions: int
    newest: int
    aliases: dict[str, int]


class ModelPage(Shown):
    data: tuple[ModelDocument, ...]
    next: str | None


class VersionDocument(Shown):
    """A version in short. `standing` says whether it passed a gate or was forced, by `who` and for what `reason`."""

    name: str
    version: int
    digest: str
    aliases: tuple[str, ...]
    created: datetime
    who: str
    standing: registry.Standing
    reason: str | None
    decision: comparisons.Decision | None
    run_id: str
    method: str
    model: str
    model_digest: str
    dataset: str
    dataset_digest: str
    config_digest: str
    adapter_digest: str
    bytes: int


class VersionPage(Shown):
    data: tuple[VersionDocument, ...]
    next: str | None


class ProvenanceStep(Shown):
    """`state` says whether this workspace still has that very thing."""

    what: str
    name: str
    digest: str
    state: registry.State


class HistoryLine(Shown):
    seq: int
    version: int
    action: registry.Action
    alias: str | None
    who: str
    at: datetime
    reason: str | None
    standing: registry.Standing | None
    decision: comparisons.Decision | None


class VersionDetail(VersionDocument):
    """With the gate's decision, the files by sha256, and the way back to the data."""

    content: Content
    admission: Admission
    provenance: tuple[ProvenanceStep, ...]
    history: tuple[HistoryLine, ...]


class ToDecide(Shown):
    """What the gate asks of the run: a baseline by name, or an evaluation's id."""

    run_id: Annotated[str, Field(pattern=RUN_ID)]
    baseline: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
    margin: float = Field(default=0.05, gt=0, lt=1)
    metric: Annotated[str, Field(max_length=64)] | None = None
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    evaluation: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None

    @property
    def criterion(self) -> Criterion:
        return Criterion(**self.model_dump(exclude={"run_id", "alias"}))


class ToPromote(ToDecide):
    alias: AnAlias | None = None


class ToForce(Shown):
    run_id: Annotated[str, Field(pattern=RUN_ID)]
    reason: Reason
    alias: AnAlias | None = None


class ToMoveAlias(Shown):
    version: Annotated[str, Field(pattern=WHICH)]
    reason: Reason | None = None


class ToRollBack(Shown):
    reason: Reason | None = None


class FileProblem(Shown):
    name: str
    version: int
    file: str
    digest: str
    problem: str


class Checked(Shown):
    """What reading every byte found."""

    ok: bool
    problems: tuple[FileProblem, ...]


@router.get("", response_model=ModelPage, summary="Registered models, by name")
def list_models(
    here: Here,
    after: Annotated[str | None, Query(pattern=PATTERN, description="The `next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """With their aliases. Base models are not among them."""
    with here.store.reading() as connection:
        found = registry.listed(connection, after=after, limit=limit)
    return page([encoded(one.document()) for one in found.data], found.next)


@router.post("/gate", response_model=Gate, summary="What a gate says of a run")
def decide(here: Here, asked: Annotated[ToDecide, Body()]) -> Response:
    """The decision that promoting would rest on; nothing is kept."""
    with here.heavy():
        return reply(registry.decide(here.settings, trained(here, asked.run_id), asked.criterion).model_dump(mode="json"))


@router.get("/{name}/versions", response_model=VersionPage, summary="The versions of a model, newest first")
def list_versions(
    here: Here,
    name: Name,
    after: Annotated[str | None, Query(pattern="^[0-9]{1,7}$", description="The `next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """Each with the run and the dataset it comes from."""
    with here.store.reading() as connection:
        found = registry.versions(connection, name, after=after, limit=limit)
    return page([encoded(one.document()) for one in found.data], found.next)


@router.post(
    "/{name}/versions",
    response_model=VersionDocument,
    status_code=201,
    responses={200: {"model": VersionDocument, "description": "The same run is this version already."}},
    summary="Promote a run through a gate",
)
def promote(here: Here, who: Who, name: Name, asked: Annotated[ToPromote, Body()]) -> Response:
    """A gate that fails or cannot tell refuses (409), and says why. The same run again is the same version."""
    run = trained(here, asked.run_id)
    with here.heavy():
        decided = registry.decide(here.settings, run, asked.criterion)
        made, new = admitted(here, name, run, decided, None, who=who.name, alias=asked.alias)
    return _version(made, 201 if new else 200)


@router.post(
    "/{name}/forced",
    response_model=VersionDocument,
    status_code=201,
    responses={200: {"model": VersionDocument, "description": "The same run is this version already."}},
    summary="Promote a run by force",
)
def force(here: Here, who: Who, name: Name, asked: Annotated[ToForce, Body()]) -> Response:
    """Without a gate, for a reason, which is kept with the name of whoever asked."""
    run = trained(here, asked.run_id)
    with here.heavy():
        made, new = admitted(here, name, run, None, asked.reason, who=who.name, alias=asked.alias)
    return _version(made, 201 if new else 200)


def trained(here: Service, run_id: str) -> Trained:
    """The facts of a finished training run of the ledger."""
    with here.store.reading() as connection:
        folder = runs.get(connection, run_id).dir(here.settings)
    if not (folder / "run.json").is_file():
        raise errors.Conflict(f"run {run_id} has trained nothing that could be promoted.", run=run_id)
    return runs.load(folder)


def admitted(
    here: Service, name: str, run: Trained, gate: Gate | None, reason: str | None, *, who: str, alias: str | None
) -> tuple[Entry, bool]:
    """Promote by the gate's word; with a reason, whatever it says."""
    admission = registry.admit(here.settings, run, gate, reason, forced=reason is not None)
    content = registry.keep(here.settings, run)
    with here.store.unit_of_work() as connection:
        return registry.record(connection, here.settings, name, content, admission, who=who, reason=reason, alias=alias)


def _version(entry: Entry, status: int) -> Response:
    return reply(entry.document(), status, {"Location": f"/api/models/{entry.name}/versions/{entry.version}"})


@router.get("/{name}/versions/{which}", response_model=VersionDetail, summary="One version")
def get(here: Here, name: Name, which: Which) -> Response:
    """Its files, why it was let in, and the way back to its data."""
    with here.store.reading() as connection:
        entry = registry.get(connection, f"{name}@{which}")
        links = registry.walk(here.settings, connection, entry)
        told = registry.history(connection, name)
    more: dict[str, Any] = {
        "content": entry.content.model_dump(mode="json"),
        "admission": entry.admission.model_dump(mode="json"),
        "provenance": [link._asdict() for link in links],
        "history": [one.document() for one in told],
    }
    return reply(entry.document() | more)


@router.get("/{name}/versions/{which}/check", response_model=Checked, summary="Is a version whole?")
def check(here: Here, name: Name, which: Which) -> Response:
    """Reads every byte of its files and compares it with what was promoted."""
    with here.heavy(), here.store.reading() as connection:
        found = registry.problems(here.settings, connection, [registry.get(connection, f"{name}@{which}")])
    return reply({"ok": not found, "problems": [one._asdict() for one in found]})


@router.get(
    "/{name}/versions/{which}/files/{file}",
    summary="Download a file of a version",
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "The file is the one of If-None-Match."},
        416: {"description": "The file does not have that range."},
    },
    response_class=Response,
)
def download(
    request: Request,
    here: Here,
    name: Name,
    which: Which,
    file: Annotated[str, FromPath(pattern=FILE, description="A name of the version's files.")],
) -> Response:
    """Streamed, with ranges, so that a download can be gone on with. The ETag is the sha256 that was promoted: compare it."""
    with here.store.reading() as connection:
        entry = registry.get(connection, f"{name}@{which}")
    return sent(here, request, entry, file)


def sent(here: Service, request: Request, entry: Entry, file: str) -> Response:
    """The name is looked up in the version's list, never made into a path."""
    files = entry.content.files
    if file not in files:
        raise errors.NotFound(f"{entry.reference} has no file {file!r}.{errors.nearest(file, files)}", file=file)
    tag = f'"{files[file].sha256}"'
    if tag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers={"ETag": tag})
    path = open_artifacts(here.settings).path(files[file].sha256)
    return FileResponse(path, media_type="application/octet-stream", filename=file, headers={"ETag": tag})


@router.post("/{name}/aliases/{alias}", response_model=VersionDocument, summary="Let an alias name a version")
def move(here: Here, who: Who, name: Name, alias: Alias, asked: Annotated[ToMoveAlias, Body()]) -> Response:
    """Where it was before is kept; a move to where it is changes nothing."""
    with here.store.unit_of_work() as connection:
        return reply(registry.move(connection, f"{name}@{asked.version}", alias, who=who.name, reason=asked.reason).document())


@router.post("/{name}/aliases/{alias}/rollback", response_model=VersionDocument, summary="Let an alias go back")
def roll_back(here: Here, who: Who, name: Name, alias: Alias, asked: Annotated[ToRollBack, Body()]) -> Response:
    """To the version that it named before."""
    with here.store.unit_of_work() as connection:
        return reply(registry.roll_back(connection, name, alias, who=who.name, reason=asked.reason).document())
