"""Any sequence of actions on a run: what the ledger shows is the same on SQLite and on PostgreSQL, and is what a plain model of
the life of a run says."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, update

from tunix_rt import errors, runs, store
from tunix_rt.runs import ENDED, LEASED, RESUMABLE, Outcome, ProbeSpec, Run
from tunix_rt.runs.leases import may_retry
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock

ENDS = {
    "completed": "done",
    "failed": "exception",
    "timed_out": "timeout",
    "preempted": "sigterm",
    "lost": "lost",
    "cancelled": "cancelled",
}
WORKERS = ("a", "b")


class Lifecycle(RuleBasedStateMachine):
    """Does everything to both databases and compares what each shows with the other and with `model`."""

    stores: tuple[Store, ...]

    @initialize()
    def empty(self) -> None:
        self.names: list[dict[Store, str]] = []
        self.model: list[dict[str, Any]] = []
        self.seen: dict[tuple[int, str], dict[Store, Run]] = {}
        for opened in self.stores:
            with opened.unit_of_work() as connection:
                connection.execute(delete(RUNS))
        for worker in WORKERS:
            self.submit(0, 2)
            self.claim(worker)

    def both(self, act: Callable[[Any, Store], Any]) -> list[Any]:
        """What the action gives on each database; a refusal is its code."""
        given = []
        for opened in self.stores:
            try:
                with opened.unit_of_work() as connection:
                    given.append(act(connection, opened))
            except errors.Mistake as mistake:
                given.append(mistake.code)
        return given

    def same(self, given: list[Any]) -> Any:
        shown = [self.shown(opened, value) if isinstance(value, Run) else value for opened, value in zip(self.stores, given)]  # noqa: B905
        assert shown[0] == shown[1]
        return shown[0]

    def index(self, opened: Store, run_id: str) -> int:
        return next(n for n, names in enumerate(self.names) if names[opened] == run_id)

    def shown(self, opened: Store, run: Run) -> dict[str, Any]:
        fields = ("state", "reason", "attempt", "attempts_before", "owner", "priority", "max_attempts", "message")
        instants = ("lease_until", "cancel_requested", "ended", "started")
        row = {**{name: getattr(run, name) for name in fields}, **{name: getattr(run, name) is not None for name in instants}}
        return {"n": self.index(opened, run.run_id), **row}

    @precondition(lambda self: len(self.names) < 4)
    @rule(priority=st.integers(0, 2), max_attempts=st.integers(1, 2))
    def submit(self, priority: int, max_attempts: int) -> None:
        given = self.both(lambda c, _: runs.submit(c, ProbeSpec(), priority=priority, max_attempts=max_attempts))
        self.names.append({opened: run.run_id for opened, run in zip(self.stores, given, strict=True)})
        self.model.append({"state": "queued", "priority": priority, "attempt": 0, "owner": None, "silent": False})

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        given = self.both(lambda c, _: runs.claim(c, worker))
        shown = self.same(given)
        expected = self.next_claim()
        assert (shown and shown["n"]) == expected or (shown is None and expected is None)
        if expected is not None:
            row = self.model[expected]
            if row["state"] == "queued":
                row.update(state="running", attempt=row["attempt"] + 1)
            row.update(owner=worker, silent=False)
            self.seen[expected, worker] = dict(zip(self.stores, given, strict=True))

    def next_claim(self) -> int | None:
        for state, silent in (("running", True), ("cancelling", True), ("queued", False)):
            found = [n for n, row in enumerate(self.model) if row["state"] == state and row["silent"] == silent]
            if found:
                return min(found, key=lambda n: (-self.model[n]["priority"], n))
        return None

    @rule(n=st.integers(0, 1))
    def fall_silent(self, n: int) -> None:
        """The lease runs out."""
        if self.model[n]["state"] in LEASED:
            self.both(
                lambda c, o: (
                    c.execute(update(RUNS).where(RUNS.c.run_id == self.names[n][o]).values(lease_until=clock() - 1)).rowcount
                )
            )
            self.model[n]["silent"] = True

    @rule(n=st.integers(0, 1))
    def cancel(self, n: int) -> None:
        self.same(self.both(lambda c, o: runs.cancel(c, self.names[n][o])))
        row = self.model[n]
        row["state"] = {"queued": "cancelled", "running": "cancelling"}.get(row["state"], row["state"])

    @rule(n=st.integers(0, 1))
    def resume(self, n: int) -> None:
        self.same(self.both(lambda c, o: runs.resume(c, self.names[n][o])))
        if self.model[n]["state"] in RESUMABLE:
            self.model[n]["state"] = "queued"

    @rule(n=st.integers(0, 1), worker=st.sampled_from(WORKERS), end=st.sampled_from(sorted(ENDS)), stale=st.booleans())
    def finish(self, n: int, worker: str, end: str, stale: bool) -> None:
        """The owner ends the run, as it last saw it if `stale`: a late write changes nothing."""
        held = self.held(n, worker, stale)
        if held is None:
            return
        if self.model[n]["state"] == "cancelling" and end != "completed":
            end = "cancelled"
        outcome = Outcome(end, ENDS[end])  # type: ignore[arg-type]
        shown = self.same(self.both(lambda c, o: runs.finish(c, held[o], outcome)))
        if isinstance(shown, dict):
            assert self.model[n]["owner"] == worker
            self.model[n].update(state=end, owner=None, silent=False)

    @rule(n=st.integers(0, 1), worker=st.sampled_from(WORKERS))
    def lose(self, n: int, worker: str) -> None:
        """The process is lost: another attempt, if there is one left."""
        held = self.held(n, worker, stale=False)
        if held is None or not may_retry(held[self.stores[0]]):
            return
        shown = self.same(self.both(lambda c, o: runs.requeue(c, held[o], "lost")))
        assert (shown is not None) == (self.model[n]["owner"] == worker)
        if shown is not None:
            self.model[n].update(state="queued", owner=None, silent=False)

    def held(self, n: int, worker: str, stale: bool) -> dict[Store, Run] | None:
        """The run as the worker saw it when it claimed it; if not `stale`, as it is now but with the worker for its owner."""
        if stale:
            return self.seen.get((n, worker))
        return dict(
            zip(
                self.stores,
                self.both(lambda c, o: runs.get(c, self.names[n][o]).model_copy(update={"owner": worker})),
                strict=True,
            )
        )

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        for n, row in enumerate(self.model):
            seen = self.seen.get((n, worker))
            if seen is not None:
                shown = self.same(self.both(lambda c, o, seen=seen: runs.renew(c, seen[o])))
                if shown is not None:
                    assert row["owner"] == worker
                    row["silent"] = False

    @invariant()
    def the_databases_show_the_same(self) -> None:
        if not hasattr(self, "names"):
            return
        listed = [
            [self.shown(opened, run) for run in page.data]
            for opened, page in zip(self.stores, self.both(lambda c, _: runs.listed(c, limit=1000)), strict=True)
        ]
        assert listed[0] == listed[1]
        assert [(row["state"], row["attempt"], row["owner"]) for row in reversed(listed[0])] == [
            (row["state"], row["attempt"], row["owner"]) for row in self.model
        ]
        for row in listed[0]:
            assert (row["state"] in LEASED) == row["lease_until"] == (row["owner"] is not None)
            assert (row["state"] in ENDED) == row["ended"] == (row["reason"] is not None)


@pytest.fixture
def pair(home: Callable[[str], Settings]) -> Any:
    opened = (store.open_store(home("sqlite")), store.open_store(home("postgresql")))
    yield opened
    for each in opened:
        each.close()


CHECKED = settings(
    max_examples=15,
    stateful_step_count=25,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_both_databases_tell_the_same_life_of_a_run(pair: tuple[Store, ...]) -> None:
    machine = type("Machine", (Lifecycle,), {"stores": pair})
    run_state_machine_as_test(machine, settings=CHECKED)


def test_a_ledger_without_its_fence_is_caught(pair: tuple[Store, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    monkeypatch.setattr("tunix_rt.runs.leases.fence", lambda run: [RUNS.c.run_id == run.run_id])
    machine = type("Machine", (Lifecycle,), {"stores": pair})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=CHECKED)
