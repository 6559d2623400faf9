"""Rows of the ledger as values: submit, get, list, cancel, resume, delete. The only function that changes a state is `change`.

Surfaces hand in the connection and commit. Time is the database's.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects import postgresql, sqlite

from tunix_rt import errors, values
from tunix_rt.runs import specs
from tunix_rt.runs.specs import EvalSpec, Spec
from tunix_rt.runs.states import ENDED, MOVES, RESUMABLE, Reason, State
from tunix_rt.runs.tables import ATTEMPTS, RUNS
from tunix_rt.runs.trained import new_id
from tunix_rt.settings import Settings
from tunix_rt.store import clock
from tunix_rt.values import Value

LARGEST_PAGE = 1_000
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Run(Value):
    """A run as the ledger has it. `spec` is what was asked, as JSON; `asked` reads it.

    `folder` is relative to the workspace unless the run was given one of its own; `result` holds the facts of a completed
    run; `attempts_before` are attempts from before the last resume, which `max_attempts` does not count.
    """

    run_id: str
    kind: str
    state: State
    reason: Reason | None
    message: str | None
    priority: int
    spec: Any
    dedup_key: str | None
    folder: str
    parent: str | None
    timeout: float | None
    max_attempts: int
    dry_run: bool
    attempt: int
    attempts_before: int
    owner: str | None
    lease_until: datetime | None
    launcher: str | None
    host: str | None
    cancel_requested: datetime | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    result: dict[str, Any] | None

    @property
    def asked(self) -> Spec:
        """The spec; `errors.Invalid` when the row does not hold one."""
        return specs.parse(self.spec, source=f"run {self.run_id}")

    def dir(self, settings: Settings) -> Path:
        """The run's folder on this machine."""
        return settings.home / self.folder


class Page(NamedTuple):
    """`next` continues the list; None at its end."""

    data: tuple[Run, ...]
    next: str | None


class Attempt(Value):
    """One process that worked on a run, and how it ended; `handle` is the launcher's word for it."""

    run_id: str
    n: int
    worker: str
    handle: Any
    started: datetime
    ended: datetime | None
    exit_code: int | None
    reason: str | None


def submit(
    connection: Connection,
    spec: Spec,
    *,
    priority: int = 0,
    dedup_key: str | None = None,
    timeout: float | None = None,
    max_attempts: int = 3,
    dry_run: bool = False,
    folder: Path | None = None,
    parent: str | None = None,
) -> Run:
    """Queue a run, or return the one that was queued under the same `dedup_key`.

    A higher `priority` is claimed first. `timeout` is in seconds for each attempt; `max_attempts` is how often it is begun
    again after its process was lost. An evaluation's key is its question unless it has one. `folder` is for a foreground run
    on this machine. Raises `errors.Invalid` for a spec without digests, `errors.Conflict` for a `dedup_key` that names
    another spec.
    """
    specs.pinned(spec)
    _check_timeout(timeout)
    if not 1 <= max_attempts <= 100:
        raise errors.Invalid(f"'max_attempts' is {max_attempts!r}; it is between 1 and 100.", field="max_attempts")
    if not -1_000_000 <= priority <= 1_000_000:
        raise errors.Invalid(f"'priority' is {priority!r}; it is between -1000000 and 1000000.", field="priority")
    if isinstance(spec, EvalSpec):
        dedup_key = dedup_key or f"eval:{spec.evaluation_id}"
    run_id = new_id()
    row: dict[str, Any] = {
        "run_id": run_id,
        "kind": spec.kind,
        "state": "queued",
        "priority": priority,
        "spec": _text(spec.model_dump(mode="json", exclude_none=True)),
        "dedup_key": dedup_key,
        "folder": str(folder.absolute()) if folder else _folder(spec, run_id),
        "parent": parent,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "dry_run": dry_run,
        "attempt": 0,
        "attempts_before": 0,
    }
    statement = _INSERT[connection.dialect.name](RUNS).values(**row, created=clock())
    made = connection.execute(
        statement.on_conflict_do_nothing(index_elements=["dedup_key"]).returning(*RUNS.c)
    ).mappings().first()  # fmt: skip
    if made is not None:
        return read(made)
    return _submitted_before(connection, str(dedup_key), row["spec"])


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not 0 < timeout < 1e9:
        raise errors.Invalid(f"'timeout' is {timeout!r}; it is a positive number of seconds.", field="timeout")


def _folder(spec: Spec, run_id: str) -> str:
    return f"evals/{spec.evaluation_id}" if isinstance(spec, EvalSpec) else f"runs/{run_id}"


def _submitted_before(connection: Connection, dedup_key: str, spec: str) -> Run:
    there = connection.execute(select(RUNS).where(RUNS.c.dedup_key == dedup_key)).mappings().one()
    if there["spec"] != spec:
        raise errors.Conflict(
            f"dedup_key {dedup_key!r} already names run {there['run_id']}, which asks for something else.",
            dedup_key=dedup_key,
            run=there["run_id"],
        )
    return read(there)


def get(connection: Connection, run_id: str) -> Run:
    row = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id)).mappings().first()
    if row is None:
        known = connection.scalars(select(RUNS.c.run_id).order_by(RUNS.c.seq.desc()).limit(200))
        raise errors.NotFound(f"no run {run_id!r}.{errors.nearest(run_id, known)}", run=run_id)
    return read(row)


def listed(
    connection: Connection,
    *,
    after: str | None = None,
    limit: int = 50,
    state: State | None = None,
    kind: str | None = None,
    parent: str | None = None,
) -> Page:
    """A page of runs, newest first, of one state, kind or parent if asked for."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.Invalid(f"a page holds 1 to {LARGEST_PAGE} runs, not {limit}.", field="limit")
    query = select(RUNS).order_by(RUNS.c.seq.desc()).limit(limit + 1)
    for column, wanted in ((RUNS.c.state, state), (RUNS.c.kind, kind), (RUNS.c.parent, parent)):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(RUNS.c.seq < _cursor(after))
    rows = connection.execute(query).mappings().all()
    data = tuple(read(row) for row in rows[:limit])
    return Page(data, str(rows[limit - 1]["seq"]) if len(rows) > limit else None)


def _cursor(after: str) -> int:
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise errors.Invalid(f"{after!r} is no cursor; use the 'next' of the page before.", field="after")
    return int(after)


def counts(connection: Connection) -> dict[str, int]:
    """How many runs are in each state."""
    return {row[0]: row[1] for row in connection.execute(select(RUNS.c.state, func.count()).group_by(RUNS.c.state))}


def attempts(connection: Connection, run_id: str) -> tuple[Attempt, ...]:
    rows = connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.run_id == run_id).order_by(ATTEMPTS.c.n)).mappings()
    return tuple(Attempt(**{**row, "handle": _json(row["handle"])}) for row in rows)


def change(connection: Connection, before: State, after: State, fence: list[ColumnElement[bool]], **changes: Any) -> Run | None:
    """Move the run that the fence names from one state to another; None when it is not there any more: leave it alone."""
    if after not in MOVES[before]:
        raise errors.Conflict(f"a run that is {before} does not become {after}.", before=before, after=after)
    statement = update(RUNS).where(RUNS.c.state == before, *fence).values(state=after, **changes).returning(*RUNS.c)
    row = connection.execute(statement).mappings().first()
    return None if row is None else read(row)


def _this(run: Run) -> list[ColumnElement[bool]]:
    return [RUNS.c.run_id == run.run_id, RUNS.c.attempt == run.attempt]


def cancel(connection: Connection, run_id: str) -> Run:
    """Ask a run to stop: a queued one is cancelled at once, a running one when its process is gone.

    Asking again changes nothing; a run that ended otherwise is an `errors.Conflict`.
    """
    while True:
        run = get(connection, run_id)
        made: Run | None = None
        match run.state:
            case "queued":
                at = clock()
                made = change(connection, "queued", "cancelled", _this(run), reason="cancelled", cancel_requested=at, ended=at)
            case "running":
                made = change(connection, "running", "cancelling", _this(run), cancel_requested=clock())
            case "cancelling" | "cancelled":
                return run
            case _:
                raise errors.Conflict(f"run {run_id} is {run.state} already; there is nothing to cancel.", state=run.state)
        if made is not None:
            return made


def resume(connection: Connection, run_id: str, *, timeout: float | None = None) -> Run:
    """Queue a new attempt of a run that ended without completing; it goes on from the last verified checkpoint.

    `timeout` is in seconds for each attempt from now on; None leaves it as it was.
    """
    _check_timeout(timeout)
    run = get(connection, run_id)
    if run.state in RESUMABLE:
        made = change(
            connection,
            run.state,
            "queued",
            _this(run),
            reason=None,
            message=None,
            ended=None,
            cancel_requested=None,
            attempts_before=run.attempt,
            timeout=run.timeout if timeout is None else timeout,
        )
        if made is not None:
            return made
        run = get(connection, run_id)
    raise errors.Conflict(f"run {run_id} is {run.state}; only a run that ended without completing is resumed.", state=run.state)


def delete(connection: Connection, run_id: str) -> None:
    """Forget a run that has ended; its folder stays. A run that has not is an `errors.Conflict`."""
    gone = connection.execute(
        sql_delete(RUNS).where(RUNS.c.run_id == run_id, RUNS.c.state.in_(ENDED)).returning(RUNS.c.run_id)
    ).first()
    if gone is None:
        run = get(connection, run_id)
        raise errors.Conflict(f"run {run_id} is {run.state}; cancel it first.", state=run.state)


def read(row: RowMapping) -> Run:
    """A row as a value. What a hand has written into it may be anything: it is kept as it is, for `asked` to refuse."""
    return Run(**{**{key: row[key] for key in Run.model_fields}, "spec": _json(row["spec"]), "result": _json(row["result"])})


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except json.JSONDecodeError:
        return text


def _text(data: Any) -> str:
    return values.canonical(data).decode()
