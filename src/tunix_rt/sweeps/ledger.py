"""Rows of sweeps and trials as values: start, get, list, stop. What moves a sweep on is in `driving`.

    running -> confirming -> completed      running -> stopping -> stopped      running, confirming -> failed

Surfaces hand in the connection and commit. A stopped or failed sweep that is started again goes on where it was.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tunix_rt import errors, runs
from tunix_rt.runs import RESUMABLE, Run
from tunix_rt.store import clock
from tunix_rt.sweeps.specs import Sweep
from tunix_rt.sweeps.tables import SWEEPS, TRIALS
from tunix_rt.values import Value

State = Literal["running", "stopping", "confirming", "completed", "stopped", "failed"]
TrialState = Literal["running", "completed", "pruned", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("running", "stopping", "confirming")
MOVES: dict[State, frozenset[State]] = {
    "running": frozenset({"stopping", "confirming", "failed"}),
    "stopping": frozenset({"stopped"}),
    "confirming": frozenset({"completed", "failed"}),
    "completed": frozenset(),
    "stopped": frozenset({"running"}),
    "failed": frozenset({"running", "confirming"}),
}
LARGEST_PAGE = 1_000
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Trial(Value):
    """`value` is what the objective came to on `val`; `curve` the held-out losses after so many tokens, as far as a pruner has
    looked; `pruned_at` the tokens after which it was told to stop."""

    sweep_id: str
    number: int
    params: dict[str, Any]
    run_id: str
    state: TrialState
    message: str | None
    value: float | None
    evaluation_id: str | None
    curve: tuple[tuple[int, float], ...]
    pruned_at: int | None
    created: datetime
    ended: datetime | None


class Confirmed(Value):
    """What the chosen trial came to on the test set. `ci95` is Wilson's, where every item is right or wrong; `ci95_clustered`
    clusters by template group. `looks` counts the evaluations of trained runs on this set up to then, this one among them."""

    evaluation_id: str
    n: int
    groups: int
    value: float
    ci95: tuple[float, float] | None
    ci95_clustered: tuple[float, float]
    looks: int


class Standing(Value):
    """A sweep and how far it is. `importance` is over completed trials; `confirmation` is the run that asks the test set."""

    sweep_id: str
    state: State
    message: str | None
    spec: Sweep
    chosen: int | None
    confirmation: str | None
    confirmed: Confirmed | None
    importance: dict[str, float] | None
    created: datetime
    ended: datetime | None
    hours: float
    trials: tuple[Trial, ...]

    @property
    def open_trials(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "running"]

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best value, the first of them."""
        done = [trial for trial in self.trials if trial.state == "completed"]
        sign = -1 if self.spec.objective.better == "higher_is_better" else 1
        return min(done, key=lambda trial: (sign * float(trial.value or 0), trial.number), default=None)

    @property
    def default(self) -> Trial | None:
        """The trial of the config as it is."""
        return self.trials[0] if self.spec.default_first and self.trials else None

    @property
    def counts(self) -> dict[str, int]:
        states = [trial.state for trial in self.trials]
        return {state: states.count(state) for state in dict.fromkeys(states)}


class Page(NamedTuple):
    """`next` continues the list; None at its end."""

    data: tuple[Standing, ...]
    next: str | None


def start(connection: Connection, sweep: Sweep) -> Standing:
    """Begin a sweep that has its digests. One that is there is left as it is, or goes on if it was stopped or failed.

    One that is being stopped is an `errors.Conflict`.
    """
    if sweep.val.evalset_digest is None or sweep.dataset_digest is None:
        raise errors.Invalid("the sweep has no digests; sweeps.resolve adds them.", field="dataset_digest")
    row = {"sweep_id": sweep.sweep_id, "state": "running", "spec": sweep.model_dump(mode="json")}
    statement = _INSERT[connection.dialect.name](SWEEPS).values(**row, created=clock())
    connection.execute(statement.on_conflict_do_nothing(index_elements=["sweep_id"]))
    lock(connection, sweep.sweep_id)
    found = get(connection, sweep.sweep_id)
    if found.state == "stopping":
        raise errors.Conflict(f"sweep {sweep.sweep_id} is being stopped; start it again when it has stopped.")
    if found.state in ("stopped", "failed"):
        _go_on(connection, found)
    return get(connection, sweep.sweep_id)


def _go_on(connection: Connection, found: Standing) -> None:
    """Trials that the stop cut short go on with their runs; a confirmation that failed is tried again."""
    for trial in found.trials:
        if trial.state == "cancelled":
            for run in runs_of(connection, trial):
                if run.state in RESUMABLE:
                    runs.resume(connection, run.run_id)
            change_trial(connection, trial, state="running", message=None, ended=None)
    again: State = "running"
    if found.confirmation is not None:
        again = "confirming"
        if runs.get(connection, found.confirmation).state in RESUMABLE:
            runs.resume(connection, found.confirmation)
    move(connection, found, again, message=None, ended=None)


def stop(connection: Connection, sweep_id: str) -> Standing:
    """Begin no further trial and cancel those under way; the test set is not asked. Asking again changes nothing."""
    lock(connection, sweep_id)
    found = get(connection, sweep_id)
    if found.state in ("stopping", "stopped"):
        return found
    if found.state != "running":
        raise errors.Conflict(f"sweep {sweep_id} is {found.state} already; there is nothing to stop.", state=found.state)
    move(connection, found, "stopping")
    for trial in found.open_trials:
        for run in runs_of(connection, trial):
            if run.state in ("queued", "running"):
                runs.cancel(connection, run.run_id)
    return get(connection, sweep_id)


def get(connection: Connection, sweep_id: str) -> Standing:
    row = connection.execute(_sweeps().where(SWEEPS.c.sweep_id == sweep_id)).mappings().first()
    if row is None:
        known = connection.scalars(select(SWEEPS.c.sweep_id).order_by(SWEEPS.c.seq.desc()).limit(200))
        raise errors.NotFound(f"no sweep {sweep_id!r}.{errors.nearest(sweep_id, known)}", sweep=sweep_id)
    return _read(connection, row)


def listed(connection: Connection, *, after: str | None = None, limit: int = 50, state: State | None = None) -> Page:
    """A page of sweeps, newest first, of one state if asked for."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.Invalid(f"a page holds 1 to {LARGEST_PAGE} sweeps, not {limit}.", field="limit")
    query = _sweeps().order_by(SWEEPS.c.seq.desc()).limit(limit + 1)
    if state is not None:
        query = query.where(SWEEPS.c.state == state)
    if after is not None:
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise errors.Invalid(f"{after!r} is no cursor; use the 'next' of the page before.", field="after")
        query = query.where(SWEEPS.c.seq < int(after))
    rows = connection.execute(query).mappings().all()
    data = tuple(_read(connection, row) for row in rows[:limit])
    return Page(data, str(rows[limit - 1]["seq"]) if len(rows) > limit else None)


def at_work(connection: Connection) -> list[str]:
    """The sweeps that have not ended, oldest first."""
    query = select(SWEEPS.c.sweep_id).where(SWEEPS.c.state.in_(OPEN)).order_by(SWEEPS.c.seq)
    return list(connection.scalars(query))


def _sweeps() -> Any:
    hours = (clock() - SWEEPS.c.created) / 3600.0
    return select(SWEEPS, hours.label("hours"))


def _read(connection: Connection, row: RowMapping) -> Standing:
    query = select(TRIALS).where(TRIALS.c.sweep_id == row["sweep_id"]).order_by(TRIALS.c.number)
    trials = tuple(Trial(**one) for one in connection.execute(query).mappings())
    facts = {key: row[key] for key in Standing.model_fields if key not in ("trials", "spec")}
    return Standing(**facts, spec=Sweep.parse(row["spec"], source=f"sweep {row['sweep_id']}"), trials=trials)


def lock(connection: Connection, sweep_id: str) -> None:
    """Until the end of the transaction nobody else moves this sweep. SQLite lets one writer in at a time anyway."""
    connection.execute(select(SWEEPS.c.seq).where(SWEEPS.c.sweep_id == sweep_id).with_for_update())


def move(connection: Connection, found: Standing, state: State, **changes: Any) -> None:
    if state not in MOVES[found.state]:
        raise errors.Conflict(f"a sweep that is {found.state} does not become {state}.", before=found.state, after=state)
    here = (SWEEPS.c.sweep_id == found.sweep_id, SWEEPS.c.state == found.state)
    connection.execute(update(SWEEPS).where(*here).values(state=state, **changes))


def change(connection: Connection, sweep_id: str, **changes: Any) -> None:
    """Note facts about a sweep that is locked."""
    connection.execute(update(SWEEPS).where(SWEEPS.c.sweep_id == sweep_id).values(**changes))


def add_trial(connection: Connection, sweep_id: str, number: int, params: dict[str, Any], run_id: str) -> None:
    row = {"sweep_id": sweep_id, "number": number, "params": params, "run_id": run_id, "state": "running", "curve": []}
    connection.execute(insert(TRIALS).values(**row, created=clock()))


def change_trial(connection: Connection, trial: Trial, **changes: Any) -> None:
    here = (TRIALS.c.sweep_id == trial.sweep_id, TRIALS.c.number == trial.number)
    connection.execute(update(TRIALS).where(*here).values(**changes))


def runs_of(connection: Connection, trial: Trial) -> list[Run]:
    """The trial's training, and behind it its evaluation once there is one; empty when somebody deleted them."""
    try:
        training = runs.get(connection, trial.run_id)
    except errors.NotFound:
        return []
    return [training, *runs.listed(connection, kind="eval", parent=trial.run_id, limit=1).data]
