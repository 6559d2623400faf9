"""What a worker does to the ledger: claim under a lease, renew it, end what it holds. Every write carries the fence.

A claim is one UPDATE whose row is picked by a subquery with `=`: with IN, PostgreSQL may run the subquery again and claim
more than one. SQLite has one writer at a time, so there the statement is atomic as it is.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, insert, or_, select, update

from tunix_rt.runs import ledger, specs
from tunix_rt.runs.ledger import Run, change, read
from tunix_rt.runs.specs import TrainSpec
from tunix_rt.runs.states import ENDED, LEASED, Reason, State
from tunix_rt.runs.tables import ATTEMPTS, RUNS, WORKERS
from tunix_rt.store import clock


class Outcome(NamedTuple):
    """How an attempt ended. `result` holds the facts of a completed run."""

    state: State
    reason: Reason
    message: str | None = None
    exit_code: int | None = None
    result: dict[str, Any] | None = None


def waiting(connection: Connection, only: str | None = None, *, launcher: str = "local") -> bool:
    """Whether there is anything to claim; a look that takes no lock."""
    expired = [and_(*_silent(state, launcher)) for state in LEASED]
    query = select(RUNS.c.seq).where(or_(RUNS.c.state == "queued", *expired)).limit(1)
    return connection.scalar(query if only is None else query.where(RUNS.c.run_id == only)) is not None


def _silent(state: State, launcher: str) -> list[ColumnElement[bool]]:
    """True for a row whose worker has fallen silent; only that kind of launcher can say what became of its process."""
    return [RUNS.c.state == state, RUNS.c.lease_until < clock(), or_(RUNS.c.launcher.is_(None), RUNS.c.launcher == launcher)]


def claim(
    connection: Connection,
    worker: str,
    *,
    lease: float = 30.0,
    host: str = "",
    only: str | None = None,
    launcher: str = "local",
) -> Run | None:
    """Take a run whose worker has fallen silent, else the first in the queue: highest priority, then oldest.

    The run is that launcher's from here on, until it is queued again. `only` looks at that run alone. Returns None when there
    is nothing to do.
    """
    until = clock() + lease
    for state in LEASED:
        silent = _silent(state, launcher)
        picked = _pick(connection, silent, only)
        statement = update(RUNS).where(RUNS.c.seq == picked, *silent)
        row = connection.execute(statement.values(owner=worker, lease_until=until, host=host).returning(*RUNS.c)).mappings()
        if (adopted := row.first()) is not None:
            return read(adopted)
    run = change(
        connection,
        "queued",
        "running",
        [RUNS.c.seq == _pick(connection, [RUNS.c.state == "queued"], only)],
        owner=worker,
        lease_until=until,
        host=host,
        launcher=launcher,
        attempt=RUNS.c.attempt + 1,
        started=clock(),
    )
    if run is not None:
        connection.execute(insert(ATTEMPTS).values(run_id=run.run_id, n=run.attempt, worker=worker, started=clock()))
    return run


def _pick(connection: Connection, where: list[ColumnElement[bool]], only: str | None) -> Any:
    query: Select[Any] = select(RUNS.c.seq).where(*where).order_by(RUNS.c.priority.desc(), RUNS.c.seq).limit(1)
    if only is not None:
        query = query.where(RUNS.c.run_id == only)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    return query.scalar_subquery()


def fence(run: Run) -> list[ColumnElement[bool]]:
    """True for the row as its owner last saw it, and for no other."""
    return [RUNS.c.run_id == run.run_id, RUNS.c.owner == run.owner, RUNS.c.attempt == run.attempt]


def renew(connection: Connection, run: Run, lease: float = 30.0) -> Run | None:
    """Hold on to a run; None when it is no longer ours."""
    leased = or_(*(RUNS.c.state == state for state in LEASED))
    statement = update(RUNS).where(*fence(run), leased).values(lease_until=clock() + lease).returning(*RUNS.c)
    row = connection.execute(statement).mappings().first()
    return None if row is None else read(row)


def mine(connection: Connection, worker: str) -> tuple[Run, ...]:
    """The runs that a worker holds."""
    return tuple(read(row) for row in connection.execute(select(RUNS).where(RUNS.c.owner == worker)).mappings())


def launched(connection: Connection, run: Run, launcher: str, handle: dict[str, Any]) -> None:
    """Note where the attempt's process is."""
    connection.execute(update(RUNS).where(*fence(run)).values(launcher=launcher))
    text = ledger._text({"launcher": launcher, **handle})
    connection.execute(update(ATTEMPTS).where(*_attempt(run), ATTEMPTS.c.ended.is_(None)).values(handle=text))


def _attempt(run: Run) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ATTEMPTS.c.run_id == run.run_id, ATTEMPTS.c.n == run.attempt


def _end_attempt(connection: Connection, run: Run, reason: Reason, exit_code: int | None) -> None:
    statement = update(ATTEMPTS).where(*_attempt(run)).values(ended=clock(), reason=reason, exit_code=exit_code)
    connection.execute(statement)


def finish(connection: Connection, run: Run, outcome: Outcome) -> Run | None:
    """End a run, and queue the evaluation that a completed training asked for, in one transaction.

    None when the run is no longer as its owner last saw it.
    """
    assert outcome.state in ENDED
    done = change(
        connection,
        run.state,
        outcome.state,
        fence(run),
        reason=outcome.reason,
        message=outcome.message,
        ended=clock(),
        owner=None,
        lease_until=None,
        result=None if outcome.result is None else ledger._text(outcome.result),
    )
    if done is None:
        return None
    _end_attempt(connection, run, outcome.reason, outcome.exit_code)
    if done.state == "completed" and not done.dry_run and done.kind == "train":
        _queue_evaluation(connection, done)
    return done


def _queue_evaluation(connection: Connection, run: Run) -> None:
    asked = run.asked
    if isinstance(asked, TrainSpec) and run.result is not None:
        spec = specs.evaluation_of(asked, run.run_id, run.result["adapter_digest"])
        if spec is not None:
            ledger.submit(connection, spec, priority=run.priority, parent=run.run_id)


def requeue(connection: Connection, run: Run, reason: Reason, exit_code: int | None = None) -> Run | None:
    """End the attempt and put the run back into the queue for another."""
    again = change(connection, run.state, "queued", fence(run), owner=None, lease_until=None)
    if again is not None:
        _end_attempt(connection, run, reason, exit_code)
    return again


def may_retry(run: Run) -> bool:
    return run.state == "running" and run.attempt - run.attempts_before < run.max_attempts


def register(connection: Connection, worker: str, *, host: str, boot_id: str, pid: int, slots: int) -> None:
    """Note a worker process; `worker` is a fresh uuid for each."""
    row = {"worker_id": worker, "host": host, "boot_id": boot_id, "pid": pid, "slots": slots}
    connection.execute(insert(WORKERS).values(**row, started=clock(), heartbeat=clock()))


def beat(connection: Connection, worker: str) -> None:
    connection.execute(update(WORKERS).where(WORKERS.c.worker_id == worker).values(heartbeat=clock()))


def retire(connection: Connection, worker: str) -> None:
    """Note that a worker has stopped, and let go of its runs, whose processes work on: the next worker adopts them at once."""
    leased = or_(*(RUNS.c.state == state for state in LEASED))
    connection.execute(update(RUNS).where(RUNS.c.owner == worker, leased).values(lease_until=clock()))
    connection.execute(update(WORKERS).where(WORKERS.c.worker_id == worker).values(stopped=clock()))


def workers(connection: Connection, within: float = 60.0) -> list[dict[str, Any]]:
    """Workers that have shown themselves in the last seconds and have not stopped."""
    query = select(WORKERS).where(WORKERS.c.stopped.is_(None), WORKERS.c.heartbeat > clock() - within)
    return [dict(row) for row in connection.execute(query.order_by(WORKERS.c.started)).mappings()]


def registered(connection: Connection, host: str, boot_id: str) -> list[str]:
    """The workers of a machine that have not stopped, as far as the ledger knows."""
    here = (WORKERS.c.host == host, WORKERS.c.boot_id == boot_id, WORKERS.c.stopped.is_(None))
    return list(connection.scalars(select(WORKERS.c.worker_id).where(*here)))
