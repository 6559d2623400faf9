"""A run in the foreground: in the ledger like any other, worked on by a worker inside this process, and shown as it happens."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunix_rt import errors, runs, store
from tunix_rt.runs import ENDED, Run, Trained
from tunix_rt.store import Store
from tunix_rt.workbench.desk import Desk
from tunix_rt.worker import Worker

POLL_SECONDS = 0.1


class Terminated(KeyboardInterrupt):
    """The machine asked this command to go (SIGTERM). What does not care takes it for a Ctrl-C."""


@contextmanager
def ledger(desk: Desk) -> Iterator[Store]:
    """The workspace's open database."""
    opened = store.open_store(desk.settings)
    try:
        yield opened
    finally:
        opened.close()


def trained(desk: Desk, name: str) -> Trained:
    """The finished training run of that id, wherever it was told to lie, or in the folder of that path."""
    try:
        return runs.find(desk.settings, name)
    except errors.NotFound as unknown:
        with ledger(desk) as opened, opened.reading() as connection:
            try:
                run = runs.get(connection, name)
            except errors.NotFound:
                raise unknown from None
    folder = run.dir(desk.settings)
    if (folder / "run.json").is_file():
        return runs.load(folder)
    why = f"and {folder} holds it no more; name its folder" if run.state == "completed" else "so there is nothing to use"
    raise errors.NotFound(f"run {name} is {run.state}, {why}.", run=name, state=run.state)


def finish(desk: Desk, opened: Store, run_id: str, follow: Callable[[], None] = lambda: None) -> Run:
    """Work on the run, or watch whoever does, until it has ended; a run that did not complete raises what ended it.

    Ctrl-C cancels the run, SIGTERM preempts it; both raise `errors.Interrupted` once its processes are gone.
    """
    worker = Worker(desk.settings, opened, only=run_id)
    try:
        run = _until_ended(opened, worker, run_id, follow)
    except KeyboardInterrupt as interrupt:
        stop = _preempted if isinstance(interrupt, Terminated) else _cancelled
        run = stop(desk, opened, worker, run_id)
        raise errors.Interrupted(
            f"stopped; what was finished is in {run.dir(desk.settings)}. `tunix-rt runs resume {run_id}` goes on.",
            run=run_id,
            dir=str(run.dir(desk.settings)),
        ) from interrupt
    finally:
        worker.close()
    if run.state != "completed":
        raise errors.Failed(run.message or f"the run is {run.state} ({run.reason}).", run=run_id, reason=run.reason)
    return run


def _until_ended(opened: Store, worker: Worker, run_id: str, follow: Callable[[], None]) -> Run:
    while True:
        with opened.reading() as connection:
            run = runs.get(connection, run_id)
        if run.state in ENDED:
            follow()
            return run
        if not worker.step():
            follow()
            time.sleep(POLL_SECONDS)


def _preempted(desk: Desk, opened: Store, worker: Worker, run_id: str) -> Run:
    desk.say("told to go: the step under way ends and a checkpoint is written")
    return _until_ended(opened, worker, run_id, worker.preempt)


def _cancelled(desk: Desk, opened: Store, worker: Worker, run_id: str) -> Run:
    with opened.unit_of_work() as connection:
        run = runs.get(connection, run_id)
        if run.state not in ENDED:
            run = runs.cancel(connection, run_id)
    desk.say("stopping: the step under way ends and a checkpoint is written (Ctrl-C again leaves that to a worker)")
    return _until_ended(opened, worker, run_id, lambda: None)
