"""The ledger on both databases: submit, claim, fence, cancel, resume, pages, and what the tables refuse."""

import itertools
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tunix_rt import errors, runs
from tunix_rt.jobs import TrainConfig
from tunix_rt.runs import MOVES, ProbeSpec, Run, TrainSpec
from tunix_rt.runs.leases import Outcome
from tunix_rt.store import Store

DIGEST = "0" * 64
PROBE = ProbeSpec()
DONE = Outcome("completed", "done")


def submit(opened: Store, spec: Any = PROBE, **options: Any) -> Run:
    with opened.unit_of_work() as connection:
        return runs.submit(connection, spec, **options)


def claim(opened: Store, worker: str = "w", **options: Any) -> Run | None:
    with opened.unit_of_work() as connection:
        return runs.claim(connection, worker, **options)


def claimed(opened: Store, worker: str = "w", **options: Any) -> Run:
    run = claim(opened, worker, **options)
    assert run is not None
    return run


def current(opened: Store, run: Run) -> Run:
    with opened.reading() as connection:
        return runs.get(connection, run.run_id)


def finish(opened: Store, run: Run, outcome: Outcome = DONE) -> Run | None:
    with opened.unit_of_work() as connection:
        return runs.finish(connection, run, outcome)


def test_a_run_is_claimed_once_by_priority_then_age(opened: Store) -> None:
    plain, urgent, later = submit(opened), submit(opened, priority=5), submit(opened)
    with opened.reading() as connection:
        assert runs.waiting(connection)
    order = [claimed(opened, worker).run_id for worker in ("a", "b", "c")]
    assert order == [urgent.run_id, plain.run_id, later.run_id]
    assert claim(opened) is None
    with opened.reading() as connection:
        assert not runs.waiting(connection)
        assert [run.run_id for run in runs.mine(connection, "a")] == [urgent.run_id]


def test_a_silent_workers_run_is_adopted_and_its_late_writes_are_refused(opened: Store) -> None:
    submit(opened)
    zombie = claimed(opened, "zombie", lease=-1.0)
    heir = claimed(opened, "heir")
    assert (heir.attempt, heir.run_id) == (zombie.attempt, zombie.run_id)
    assert finish(opened, zombie) is None
    with opened.unit_of_work() as connection:
        assert runs.renew(connection, zombie) is None
        assert runs.requeue(connection, zombie, "lost") is None
    assert finish(opened, heir) is not None
    assert current(opened, heir).state == "completed"


def test_without_a_fence_the_late_write_would_be_accepted(opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    monkeypatch.setattr("tunix_rt.runs.leases.fence", lambda run: [runs.ledger.RUNS.c.run_id == run.run_id])
    submit(opened)
    zombie = claimed(opened, "zombie", lease=-1.0)
    claimed(opened, "heir")
    assert finish(opened, zombie) is not None


def test_a_live_lease_is_left_alone(opened: Store) -> None:
    submit(opened)
    run = claimed(opened, "a", lease=30.0)
    assert claim(opened, "b") is None
    with opened.unit_of_work() as connection:
        renewed = runs.renew(connection, run, 60.0)
    assert renewed is not None
    assert renewed.lease_until > run.lease_until  # type: ignore[operator]


def test_each_end_has_one_reason_and_no_owner(opened: Store) -> None:
    submit(opened)
    done = finish(opened, claimed(opened), Outcome("failed", "nan_loss", "the loss is nan", 1))
    assert done is not None
    assert (done.state, done.reason, done.message, done.owner, done.lease_until) == (
        "failed",
        "nan_loss",
        "the loss is nan",
        None,
        None,
    )
    assert done.ended is not None
    with opened.reading() as connection:
        (attempt,) = runs.attempts(connection, done.run_id)
    assert (attempt.n, attempt.exit_code, attempt.reason) == (1, 1, "nan_loss")


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE runs SET lease_until = NULL",
        "UPDATE runs SET owner = NULL",
        "UPDATE runs SET state = 'queued'",
        "UPDATE runs SET state = 'completed', owner = NULL, lease_until = NULL",
        "UPDATE runs SET reason = 'done'",
    ],
)
def test_the_tables_refuse_a_running_row_without_a_lease_and_an_end_without_a_reason(opened: Store, broken: str) -> None:
    submit(opened)
    claimed(opened)
    with pytest.raises(IntegrityError), opened.unit_of_work() as connection:
        connection.execute(text(broken))


def reach(opened: Store, state: str) -> Run:
    """A run in that state, by the ledger's own functions."""
    run = submit(opened)
    if state == "queued":
        return run
    if state == "cancelled":
        with opened.unit_of_work() as connection:
            return runs.cancel(connection, run.run_id)
    held = claimed(opened)
    if state == "cancelling":
        with opened.unit_of_work() as connection:
            return runs.cancel(connection, run.run_id)
    if state != "running":
        reasons = {"completed": "done", "failed": "exception", "timed_out": "timeout", "lost": "lost", "preempted": "sigterm"}
        finish(opened, held, Outcome(state, reasons[state]))  # type: ignore[arg-type]
    return current(opened, run)


RESULT = {  # state after the action, or None where it is refused
    "cancel": {"queued": "cancelled", "running": "cancelling", "cancelling": "cancelling", "cancelled": "cancelled"},
    "resume": dict.fromkeys(("failed", "timed_out", "cancelled", "lost", "preempted"), "queued"),
    "delete": dict.fromkeys(("completed", "failed", "timed_out", "cancelled", "lost", "preempted"), "gone"),
}


def came_of(opened: Store, run: Run, action: str) -> str | None:
    """The state after the action, "gone", or None where it is refused."""
    try:
        with opened.unit_of_work() as connection:
            getattr(runs, action)(connection, run.run_id)
        return current(opened, run).state
    except errors.Conflict:
        return None
    except errors.NotFound:
        return "gone"


@pytest.mark.parametrize(("state", "action"), list(itertools.product(MOVES, RESULT)))
def test_every_action_has_a_defined_result_from_every_state(opened: Store, state: str, action: str) -> None:
    run = reach(opened, state)
    assert run.state == state
    assert came_of(opened, run, action) == RESULT[action].get(state)
    if RESULT[action].get(state) is None:
        assert current(opened, run) == run


@pytest.mark.parametrize(("state", "left_out", "action"), [("running", "cancelling", "cancel"), ("lost", "queued", "resume")])
def test_a_move_that_the_table_lacks_is_caught(
    opened: Store, monkeypatch: pytest.MonkeyPatch, state: str, left_out: str, action: str
) -> None:
    """Negative control for the test above."""
    monkeypatch.setitem(MOVES, state, MOVES[state] - {left_out})  # type: ignore[index, arg-type]
    assert came_of(opened, reach(opened, state), action) != RESULT[action][state]


def test_a_resumed_run_is_another_attempt_and_its_allowance_starts_anew(opened: Store) -> None:
    submit(opened, max_attempts=1)
    first = claimed(opened)
    assert not runs.leases.may_retry(first)
    finish(opened, first, Outcome("lost", "lost"))
    with opened.unit_of_work() as connection:
        runs.resume(connection, first.run_id)
    again = claimed(opened)
    assert (again.attempt, again.attempts_before, again.reason) == (2, 1, None)


def test_a_dedup_key_is_queued_once_and_never_for_something_else(opened: Store) -> None:
    first = submit(opened, dedup_key="k")
    assert submit(opened, dedup_key="k").run_id == first.run_id
    with pytest.raises(errors.Conflict):
        submit(opened, ProbeSpec(seconds=1), dedup_key="k")
    assert submit(opened).run_id != submit(opened).run_id


def test_pages_are_newest_first_and_complete(opened: Store) -> None:
    made = [submit(opened).run_id for _ in range(5)]
    seen: list[str] = []
    after = None
    while True:
        with opened.reading() as connection:
            page = runs.listed(connection, after=after, limit=2)
        seen += [run.run_id for run in page.data]
        after = page.next
        if after is None:
            break
    assert seen == made[::-1]
    with opened.reading() as connection:
        assert runs.listed(connection, state="failed").data == ()
        assert runs.counts(connection) == {"queued": 5}
        with pytest.raises(errors.Invalid):
            runs.listed(connection, after="x")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "kind"),
        ({}, "kind"),
        ([], "kind"),
        ({"kind": None}, "kind"),
        ({"kind": "trane"}, "kind"),
        ({"kind": "train", "config": None, "dataset": "d"}, "train.config"),
        ({"kind": "train", "config": {}, "dataset": "d"}, "config.name"),
        ({"kind": "train", "config": {"name": "x", "model": "tiny"}, "dataset": ""}, "dataset"),
        ({"kind": "train", "config": {"name": "x", "model": "tiny"}, "dataset": "d", "comand": "rm"}, "comand"),
        ({"kind": "eval", "model": "tiny", "evalset": None}, "evalset"),
    ],
)
def test_null_empty_and_unknown_specs_are_refused(data: Any, field: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        runs.parse(data)
    assert field.split(".")[-1] in str(refused.value.details["field"])


def test_a_spec_without_digests_is_refused(opened: Store) -> None:
    spec = TrainSpec(config=TrainConfig(name="x", model="tiny"), dataset="d")
    with pytest.raises(errors.Invalid, match="model_digest"):
        submit(opened, spec)
    pinned = spec.model_copy(update={"model_digest": DIGEST, "dataset_digest": DIGEST})
    assert submit(opened, pinned).asked == pinned


@pytest.mark.parametrize(
    ("field", "value"), [("timeout", 0), ("timeout", float("nan")), ("max_attempts", 0), ("priority", 10**9)]
)
def test_options_out_of_range_are_refused(opened: Store, field: str, value: Any) -> None:
    with pytest.raises(errors.Invalid) as refused:
        submit(opened, **{field: value})
    assert refused.value.details["field"] == field


def train_spec(**evaluate: Any) -> TrainSpec:
    asked = {"evalset": "e", "evalset_digest": DIGEST, **evaluate}
    return TrainSpec(
        config=TrainConfig(name="x", model="tiny"),
        model_digest=DIGEST,
        dataset="d",
        dataset_digest=DIGEST,
        evaluate=asked,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_evaluation_is_queued_with_the_completion_but_not_for_a_dry_run(opened: Store, dry_run: bool) -> None:
    run = submit(opened, train_spec(), dry_run=dry_run)
    finish(opened, claimed(opened), Outcome("completed", "done", result={"adapter_digest": "1" * 64}))
    with opened.reading() as connection:
        children = runs.listed(connection, parent=run.run_id).data
    assert len(children) == (0 if dry_run else 1)
    if children:
        (child,) = children
        assert (child.kind, child.state, child.spec["adapter_digest"]) == ("eval", "queued", "1" * 64)


def test_completing_and_queueing_the_evaluation_happen_together_or_not_at_all(opened: Store) -> None:
    run = submit(opened, train_spec())
    held = claimed(opened)
    with pytest.raises(KeyError):
        finish(opened, held, Outcome("completed", "done", result={}))
    assert current(opened, run).state == "running"


def test_the_evaluations_failure_leaves_the_training_completed(opened: Store) -> None:
    run = submit(opened, train_spec())
    finish(opened, claimed(opened), Outcome("completed", "done", result={"adapter_digest": "1" * 64}))
    failed = finish(opened, claimed(opened), Outcome("failed", "exception", "no", 1))
    assert failed is not None
    assert failed.kind == "eval"
    assert failed.ended is not None
    assert (current(opened, run).state, current(opened, run).reason) == ("completed", "done")


def test_events_are_taken_in_once_by_their_byte_offset(opened: Store, tmp_path: Any) -> None:
    submit(opened)
    run = claimed(opened)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind": "phase", "name": "loading"}\n{"kind": "plan", "st')
    with opened.unit_of_work() as connection:
        assert runs.ingest(connection, run, path) == 1
        assert runs.ingest(connection, run, path) == 0
    with path.open("ab") as file:
        file.write(b'eps": 3}\nnot json\n')
    with opened.unit_of_work() as connection:
        assert runs.ingest(connection, run, path) == 2
        told = runs.events(connection, run.run_id)
        assert [event.kind for event in told] == ["phase", "plan", "unreadable"]
        assert runs.events(connection, run.run_id, after=told[0].seq) == told[1:]
        assert told[-1].seq == path.stat().st_size


def test_a_row_edited_by_hand_is_still_listed_and_refused_when_read(opened: Store) -> None:
    for broken in ("null", "{", json.dumps({"kind": "train", "config": None})):
        run = submit(opened)
        with opened.unit_of_work() as connection:
            connection.execute(text("UPDATE runs SET spec = :spec WHERE run_id = :id"), {"spec": broken, "id": run.run_id})
        with pytest.raises(errors.Invalid):
            _ = current(opened, run).asked


def test_workers_show_themselves(opened: Store) -> None:
    with opened.unit_of_work() as connection:
        runs.register(connection, "w", host="h", boot_id="b", pid=1, slots=2)
        runs.beat(connection, "w")
        assert [row["worker_id"] for row in runs.workers(connection)] == ["w"]
        runs.retire(connection, "w")
        assert runs.workers(connection) == []
