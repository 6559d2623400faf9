"""What a version is, and how it is found again: by number, alias or digest.

A version's content is a value: the facts and the job of the run that made it, and the stored files by their sha256. Its digest
is its identity, so the same run promoted again is the same version. What decided about it, and which aliases it has, can change
and is no part of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, func, select

from tunix_rt import errors, runs
from tunix_rt.comparisons import Gate
from tunix_rt.jobs import TrainJob
from tunix_rt.registry.tables import HISTORY, MODELS, VERSIONS
from tunix_rt.values import Value, fits

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
ALIAS = r"[a-z][a-z0-9-]{0,31}"
CHAMPION = "champion"
LEAST_DIGEST = 8  # digits of a digest that name a version
LARGEST_PAGE = 1_000
Action = Literal["promoted", "set", "rolled back"]
Standing = Literal["passed", "forced"]


class Stored(Value):
    """A file of the artifact store."""

    sha256: str
    bytes: int


class Content(Value):
    """`facts` are those of the run, without the folder it lay in; `files` are its weights: an adapter, or every tensor."""

    job: TrainJob
    facts: dict[str, Any]
    files: dict[str, Stored]

    @property
    def run(self) -> runs.Trained:
        """The facts as a value that lies nowhere."""
        return runs.Trained.parse({**self.facts, "dir": ""}, source="a version's facts")

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())


class Measured(Value):
    """An evaluation of the run, in short."""

    evaluation_id: str
    evalset: str
    evalset_digest: str
    n: int
    accuracy: float
    ci95_clustered: tuple[float, float]


class Admission(Value):
    """Why a version was let in: the gate it passed; or that somebody forced it, whatever a gate said. `evaluations` are those
    that there were of the run then."""

    standing: Standing
    gate: Gate | None = None
    evaluations: tuple[Measured, ...] = ()


class Happening(NamedTuple):
    """A line of a model's history; `version` is the one that was promoted, or that the alias names from then on."""

    seq: int
    version: int
    action: Action
    alias: str | None
    who: str
    at: datetime
    reason: str | None
    admission: Admission | None

    def document(self) -> dict[str, Any]:
        told = self._asdict()
        admission = told.pop("admission")
        gate = admission.gate if admission else None
        return {
            **told,
            "at": self.at.isoformat(),
            "standing": admission and admission.standing,
            "decision": gate and gate.decision,
        }


class Entry(NamedTuple):
    """A version as it is registered now. `admission` is the one that stands: passing a gate later outweighs being forced."""

    name: str
    version: int
    digest: str
    created: datetime
    content: Content
    aliases: tuple[str, ...]
    admitted: Happening

    @property
    def admission(self) -> Admission:
        assert self.admitted.admission is not None
        return self.admitted.admission

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    def document(self) -> dict[str, Any]:
        """In short, as JSON."""
        run, gate = self.content.run, self.admission.gate
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "aliases": list(self.aliases),
            "created": self.created.isoformat(),
            "who": self.admitted.who,
            "standing": self.admission.standing,
            "reason": self.admitted.reason,
            "decision": gate.decision if gate else None,
            "run_id": run.run_id,
            "method": run.method,
            "model": run.model,
            "model_digest": run.model_digest,
            "dataset": run.dataset,
            "dataset_digest": run.dataset_digest,
            "config_digest": run.config_digest,
            "adapter_digest": run.adapter_digest,
            "bytes": self.content.bytes,
        }


class Model(NamedTuple):
    """A name with the number of its versions and what its aliases mean."""

    name: str
    created: datetime
    versions: int
    newest: int
    aliases: dict[str, int]

    def document(self) -> dict[str, Any]:
        return {**self._asdict(), "created": self.created.isoformat()}


class ModelPage(NamedTuple):
    data: tuple[Model, ...]
    next: str | None


class EntryPage(NamedTuple):
    data: tuple[Entry, ...]
    next: str | None


def check_name(name: str) -> None:
    if not fits(NAME, name):
        raise errors.Invalid(f"a model's name is up to 64 of a-z, 0-9 and ._-, not {name!r}.", field="name")


def listed(connection: Connection, *, after: str | None = None, limit: int = 50) -> ModelPage:
    """The registered models by name."""
    _check_limit(limit)
    counted = select(VERSIONS.c.name, func.count().label("versions"), func.max(VERSIONS.c.version).label("newest"))
    counts = counted.group_by(VERSIONS.c.name).subquery()
    query = select(MODELS.c.name, MODELS.c.created, counts.c.versions, counts.c.newest).join(
        counts, counts.c.name == MODELS.c.name
    )
    if after is not None:
        query = query.where(MODELS.c.name > after)
    rows = connection.execute(query.order_by(MODELS.c.name).limit(limit + 1)).all()
    told = _histories(connection, [row.name for row in rows[:limit]])
    data = tuple(Model(row.name, row.created, row.versions, row.newest, current(told[row.name])) for row in rows[:limit])
    return ModelPage(data, rows[limit - 1].name if len(rows) > limit else None)


def versions(connection: Connection, name: str, *, after: str | None = None, limit: int = 50) -> EntryPage:
    """The versions of a model, newest first; `errors.NotFound` for a name that nothing is registered under."""
    _check_limit(limit)
    known(connection, name)
    query = select(VERSIONS).where(VERSIONS.c.name == name).order_by(VERSIONS.c.version.desc()).limit(limit + 1)
    if after is not None:
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise errors.Invalid(f"{after!r} is no cursor; use the 'next' of the page before.", field="after")
        query = query.where(VERSIONS.c.version < int(after))
    rows = connection.execute(query).all()
    return EntryPage(_entries(connection, rows[:limit]), str(rows[limit - 1].version) if len(rows) > limit else None)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.Invalid(f"a page holds 1 to {LARGEST_PAGE}, not {limit}.", field="limit")


def every(connection: Connection, name: str | None = None) -> tuple[Entry, ...]:
    """All versions of all models, or of one."""
    query = select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.version)
    return _entries(connection, connection.execute(query if name is None else query.where(VERSIONS.c.name == name)).all())


def of_run(connection: Connection, run_id: str) -> tuple[Entry, ...]:
    """What a run has been promoted to, under whatever names."""
    query = select(VERSIONS).where(VERSIONS.c.run_id == run_id).order_by(VERSIONS.c.name, VERSIONS.c.version)
    return _entries(connection, connection.execute(query).all())


def is_known(connection: Connection, name: str) -> bool:
    """Whether something is registered under the name."""
    return connection.execute(select(MODELS.c.name).where(MODELS.c.name == name)).first() is not None


def known(connection: Connection, name: str) -> None:
    """`errors.NotFound` unless something is registered under the name."""
    if not is_known(connection, name):
        names = connection.scalars(select(MODELS.c.name).order_by(MODELS.c.name).limit(200))
        text = f"no registered model {name!r}.{errors.nearest(name, names)} `tunix-rt models promote` registers one."
        raise errors.NotFound(text, model=name)


def get(connection: Connection, reference: str) -> Entry:
    """The version that `NAME`, `NAME@3`, `NAME@ALIAS` or `NAME@DIGEST` names (a digest by its first 8 digits or more).

    A bare name means its champion, or the newest version while it has none.
    """
    name, at, which = reference.partition("@")
    known(connection, name)
    aliases = current(history(connection, name))
    query = select(VERSIONS).where(VERSIONS.c.name == name)
    if not at:
        number = aliases.get(CHAMPION)
        query = query.order_by(VERSIONS.c.version.desc()) if number is None else query.where(VERSIONS.c.version == number)
    elif which in aliases:
        query = query.where(VERSIONS.c.version == aliases[which])
    elif which.isascii() and which.isdigit() and len(which) < LEAST_DIGEST:
        query = query.where(VERSIONS.c.version == int(which))
    elif fits(f"[0-9a-f]{{{LEAST_DIGEST},64}}", which):
        query = query.where(VERSIONS.c.digest.startswith(which))
    else:
        query = query.where(VERSIONS.c.version == -1)
    row = connection.execute(query.limit(1)).first()
    if row is None:
        text = (
            f"{name!r} has no version {which!r}.{errors.nearest(which, aliases)} `tunix-rt models versions {name}` lists them."
        )
        raise errors.NotFound(text, model=name, version=which)
    return _entries(connection, [row])[0]


def history(connection: Connection, name: str) -> list[Happening]:
    """Everything that happened under the name, oldest first."""
    return _histories(connection, [name])[name]


def _histories(connection: Connection, names: Sequence[str]) -> dict[str, list[Happening]]:
    told: dict[str, list[Happening]] = {name: [] for name in names}
    for row in connection.execute(select(HISTORY).where(HISTORY.c.name.in_(names)).order_by(HISTORY.c.seq)):
        admission = row.admission and Admission.parse(row.admission, source=f"history of {row.name}")
        told[row.name].append(
            Happening(row.seq, row.version, row.action, row.alias, row.who, row.at, row.reason, admission or None)
        )
    return told


def current(told: Iterable[Happening]) -> dict[str, int]:
    """Alias -> version, by the whole history of a name."""
    return {alias: stack[-1] for alias, stack in sorted(stacks(told).items())}


def stacks(told: Iterable[Happening]) -> dict[str, list[int]]:
    """Alias -> the versions it can go back through, the present one last: setting adds one, rolling back takes one off."""
    found: dict[str, list[int]] = {}
    for one in told:
        if one.alias is not None and one.action == "set":
            found.setdefault(one.alias, []).append(one.version)
        elif one.alias is not None:
            found[one.alias].pop()
    return found


def _entries(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[Entry, ...]:
    told = _histories(connection, sorted({row.name for row in rows}))
    return tuple(_entry(row, told[row.name], current(told[row.name])) for row in rows)


def _entry(row: Row[Any], told: Sequence[Happening], aliases: Mapping[str, int]) -> Entry:
    admissions = [one for one in told if one.admission is not None and one.version == row.version]
    return Entry(
        name=row.name,
        version=row.version,
        digest=row.digest,
        created=row.created,
        content=Content.parse(row.content, source=f"{row.name}@{row.version}"),
        aliases=tuple(alias for alias, version in aliases.items() if version == row.version),
        admitted=admissions[-1],
    )
