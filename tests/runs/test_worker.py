"""What a worker makes of each run: nine ways to end, dry runs, cancels, lost processes, and rows that make no sense."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from tunix_rt import runs, store
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import TrainConfig
from tunix_rt.launchers import processes
from tunix_rt.launchers.handles import Exit, Handle
from tunix_rt.launchers.local import Local
from tunix_rt.models import BaseModel
from tunix_rt.runs import ENDED, ProbeSpec, Run, TrainSpec
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.traces import Step, Trace, searching, stored
from tunix_rt.worker import Worker


@pytest.fixture
def worker(either: Settings, opened: Store) -> Iterator[Worker]:
    made = Worker(either, opened, slots=20, launcher=Local(grace=0.3))
    yield made
    made.close()


def submit(opened: Store, spec: Any = None, **options: Any) -> Run:
    with opened.unit_of_work() as connection:
        return runs.submit(connection, spec or ProbeSpec(), **options)


def current(opened: Store, run: Run) -> Run:
    with opened.reading() as connection:
        return runs.get(connection, run.run_id)


def work_until(worker: Worker, condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        worker.step()
        time.sleep(0.02)


def worked(worker: Worker, opened: Store, *found: Run) -> list[Run]:
    work_until(worker, lambda: all(current(opened, run).state in ENDED for run in found))
    return [current(opened, run) for run in found]


def processes_of(settings: Settings, run: Run) -> list[Any]:
    return list(processes.marked(processes.mark(run.run_id, run.attempt, str(run.dir(settings)))))


def engine_of(settings: Settings, run: Run) -> Any:
    found = [process for process in processes_of(settings, run) if "tunix_rt.engine" in process.cmdline()]
    return found[0] if found else None


def nine_ends(settings: Settings, opened: Store, worker: Worker) -> dict[str, Run]:
    asked = {how: submit(opened, ProbeSpec(how=how)) for how in ("exception", "nan_loss", "out_of_memory", "disk_full")}  # type: ignore[arg-type]
    asked["timeout"] = submit(opened, ProbeSpec(how="hang"), timeout=0.3)
    sent = {name: submit(opened, ProbeSpec(how="hang")) for name in ("sigint", "sigterm", "sighup", "sigkill")}
    work_until(worker, lambda: all((run.dir(settings) / "events.jsonl").exists() for run in sent.values()))
    for name, run in sent.items():
        engine_of(settings, current(opened, run)).send_signal(getattr(signal, name.upper()))
    return {name: worked(worker, opened, run)[0] for name, run in {**asked, **sent}.items()}


def test_nine_ways_to_end_have_nine_reasons_and_none_is_completed(either: Settings, opened: Store, worker: Worker) -> None:
    ends = nine_ends(either, opened, worker)
    assert {name: run.reason for name, run in ends.items()} == {name: name for name in ends}
    assert {name: run.state for name, run in ends.items()} == {
        **dict.fromkeys(("exception", "nan_loss", "out_of_memory", "disk_full", "sigkill"), "failed"),
        **dict.fromkeys(("sigint", "sigterm", "sighup"), "preempted"),
        "timeout": "timed_out",
    }
    assert all(run.message and run.ended for run in ends.values())
    assert "often by the system for want of memory; if so, " in str(ends["sigkill"].message)


class OnlyTheCode(Local):
    """Looks at nothing but whether the exit code is 0."""

    def exit(self, handle: Handle) -> Exit:
        return super().exit(handle)._replace(reason="failed")


def test_a_launcher_that_only_looks_at_the_exit_code_is_caught(home: Callable[[str], Settings]) -> None:
    """Negative control for the test above."""
    settings = home("sqlite")
    opened = store.open_store(settings)
    worker = Worker(settings, opened, slots=20, launcher=OnlyTheCode(grace=0.3))
    reasons = {name: run.reason for name, run in nine_ends(settings, opened, worker).items()}
    worker.close()
    opened.close()
    assert {name for name, reason in reasons.items() if reason != name} == {"timeout", "sigint", "sigterm", "sighup", "sigkill"}


def test_a_run_that_is_cancelled_while_its_worker_is_dead_is_ended_by_the_next(either: Settings, opened: Store) -> None:
    run = submit(opened, ProbeSpec(how="hang"))
    with opened.unit_of_work() as connection:
        runs.claim(connection, "died before it launched", lease=-1.0)
        runs.cancel(connection, run.run_id)
    heir = Worker(either, opened)
    (ended,) = worked(heir, opened, run)
    heir.close()
    assert (ended.state, ended.reason) == ("cancelled", "cancelled")


def test_a_process_that_says_nothing_is_unexplained(opened: Store, worker: Worker) -> None:
    (run,) = worked(worker, opened, submit(opened, ProbeSpec(how="silent")))
    assert (run.state, run.reason) == ("failed", "unexplained")
    with opened.reading() as connection:
        assert [attempt.exit_code for attempt in runs.attempts(connection, run.run_id)] == [3]


def test_what_the_process_said_is_in_the_ledger(opened: Store, worker: Worker) -> None:
    (run,) = worked(worker, opened, submit(opened))
    assert (run.state, run.reason, run.launcher) == ("completed", "done", "local")
    with opened.reading() as connection:
        assert [event.kind for event in runs.events(connection, run.run_id)] == ["phase", "done"]


def test_rows_that_make_no_sense_fail_with_a_reason_and_the_worker_goes_on(
    opened: Store, worker: Worker, tiny: BaseModel, sums: Dataset
) -> None:
    assert tiny.digest != sums.manifest.digest
    broken = [submit(opened) for _ in range(3)]
    for run, spec in zip(broken, ("null", "{", '{"kind": "train", "config": null}'), strict=True):
        with opened.unit_of_work() as connection:
            connection.execute(text("UPDATE runs SET spec = :spec WHERE run_id = :id"), {"spec": spec, "id": run.run_id})
    asked = TrainSpec(
        config=TrainConfig(name="x", model="tiny"), model_digest=tiny.digest, dataset="not-here", dataset_digest="0" * 64
    )
    absent, good = submit(opened, asked), submit(opened)
    ends = worked(worker, opened, *broken, absent, good)
    assert [(run.state, run.reason) for run in ends] == [
        ("failed", "invalid"),
        ("failed", "invalid"),
        ("failed", "invalid"),
        ("failed", "missing"),
        ("completed", "done"),
    ]
    assert all(run.ended is not None for run in ends)


def test_a_dry_run_validates_and_launches_nothing(either: Settings, opened: Store, worker: Worker) -> None:
    good, bad = submit(opened, dry_run=True), submit(opened, dry_run=True)
    with opened.unit_of_work() as connection:
        connection.execute(text("UPDATE runs SET spec = '{}' WHERE run_id = :id"), {"id": bad.run_id})
    ends = worked(worker, opened, good, bad)
    assert [(run.state, run.reason) for run in ends] == [("completed", "dry_run"), ("failed", "invalid")]
    assert not good.dir(either).exists()


def test_cancelling_stops_the_process_its_children_and_grandchildren(either: Settings, opened: Store, worker: Worker) -> None:
    run = submit(opened, ProbeSpec(how="family"))
    work_until(worker, lambda: len(processes_of(either, current(opened, run))) == 3)
    family = processes_of(either, current(opened, run))
    with opened.unit_of_work() as connection:
        assert runs.cancel(connection, run.run_id).state == "cancelling"
    (run,) = worked(worker, opened, run)
    assert (run.state, run.reason) == ("cancelled", "cancelled")
    assert not any(process.is_running() and process.status() != "zombie" for process in family)


def kill_tree(settings: Settings, run: Run) -> None:
    """The shim first, so that it has no time to say how the process ended."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    shims = [child for child in living if str(run.dir(settings)) in child.cmdline()]
    for process in [*shims, *processes_of(settings, run)]:
        process.kill()


def test_a_lost_process_is_tried_again_and_then_given_up(either: Settings, opened: Store, worker: Worker) -> None:
    run = submit(opened, ProbeSpec(how="hang"), max_attempts=2)
    for attempt in (1, 2):
        work_until(worker, lambda n=attempt: current(opened, run).attempt == n and engine_of(either, current(opened, run)))
        kill_tree(either, current(opened, run))
    (ended,) = worked(worker, opened, run)
    assert (ended.state, ended.reason, ended.attempt) == ("lost", "lost", 2)
    with opened.reading() as connection:
        assert [attempt.reason for attempt in runs.attempts(connection, run.run_id)] == ["lost", "lost"]


def test_a_worker_that_stops_leaves_its_runs_to_the_next_at_once(either: Settings, opened: Store) -> None:
    first = Worker(either, opened)
    run = submit(opened, ProbeSpec(seconds=0.5))
    work_until(first, lambda: (run.dir(either) / "events.jsonl").exists())
    first.close()
    second = Worker(either, opened)
    began = time.monotonic()
    (ended,) = worked(second, opened, run)
    second.close()
    assert (ended.state, ended.attempt) == ("completed", 1)
    assert time.monotonic() - began < either.lease_seconds


def test_a_worker_restricted_to_one_run_leaves_the_others(either: Settings, opened: Store) -> None:
    other, mine = submit(opened, priority=9), submit(opened)
    worker = Worker(either, opened, only=mine.run_id)
    worked(worker, opened, mine)
    worker.step()
    worker.close()
    assert current(opened, other).state == "queued"


def test_workers_on_two_machines_would_not_share_a_name(either: Settings) -> None:
    opened = store.open_store(either)
    made = [Worker(either, opened) for _ in range(2)]
    with opened.reading() as connection:
        assert {row["worker_id"] for row in runs.workers(connection)} == {worker.id for worker in made}
        assert {row["pid"] for row in runs.workers(connection)} == {os.getpid()}
    for worker in made:
        worker.close()
    opened.close()


def test_an_idle_worker_makes_large_batches_quick_to_search(opened: Store, either: Settings) -> None:
    steps = (Step(i=1, type="given", content="one"),)
    with opened.unit_of_work() as connection:
        stored.add_many(connection, (Trace(prompt=f"Question {k}?", steps=steps, final_answer="1") for k in range(150)), "cli")
    Worker(either, opened).work(lambda: False, once=True)
    with opened.reading() as connection:
        assert not searching.behind(connection)
        assert searching.indexed(connection) == 150
