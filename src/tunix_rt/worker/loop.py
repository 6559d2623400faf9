"""One pass after another: show a sign of life, act on every run held, claim what is free."""

import logging
import os
import platform
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tunix_rt import errors, runs, sweeps
from tunix_rt.launchers.handles import Handle, Launcher
from tunix_rt.launchers.local import Local
from tunix_rt.runs import Outcome, Run
from tunix_rt.runs.leases import launched, may_retry
from tunix_rt.settings import CrashPoint, Settings
from tunix_rt.store import Store
from tunix_rt.traces import searching
from tunix_rt.worker import presence, work

log = logging.getLogger("tunix_rt.worker")
PAUSE_SECONDS = 0.2
SWEEP_SECONDS = 1.0  # between two looks at sweeps while nothing ends
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Worker:
    """Holds up to `slots` runs at a time. With `only`, that run and no other."""

    def __init__(
        self,
        settings: Settings,
        opened: Store,
        *,
        slots: int = 1,
        only: str | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self._settings, self._store = settings, opened
        self._slots, self._only = slots, only
        self._launcher: Launcher = launcher or Local()
        self._host, self._boot_id = platform.node(), boot_id()
        self._beat_due = 0.0
        self._sweeps_due = 0.0
        self._read: dict[str, int] = {}
        self._presence = presence.Presence(settings, self.id)
        with opened.unit_of_work() as connection:
            runs.register(connection, self.id, host=self._host, boot_id=self._boot_id, pid=os.getpid(), slots=slots)

    def step(self, claiming: bool = True) -> bool:
        """One pass; True when something changed, so that another pass at once may find more."""
        self._beat()
        held = self._held()
        changed = [self._act(run) for run in held]
        advanced = self._only is None and self._advance(at_once=any(changed))
        claimed = claiming and len(held) < self._slots and self.claim()
        return any(changed) or advanced or claimed

    def work(self, stopped: Callable[[], bool], *, once: bool = False) -> None:
        """Pass after pass until told to stop; with `once`, until there is nothing left to do."""
        while not stopped():
            if self.step():
                continue
            if self._only is None and self._index_words():
                continue
            if once and not self._held() and not self._sweeping():
                return
            time.sleep(PAUSE_SECONDS)

    def preempt(self) -> None:
        """Ask the processes of what is held to leave a checkpoint and go; their runs can be resumed."""
        for run in self._held():
            handle = self._handle(run)
            if self._launcher.poll(handle) == "running":
                self._launcher.cancel(handle, "sigterm")

    def _handle(self, run: Run) -> Handle:
        return Handle(run_id=run.run_id, attempt=run.attempt, folder=run.dir(self._settings))

    def close(self) -> None:
        """Let go of what is held, without stopping it."""
        with self._store.unit_of_work() as connection:
            runs.retire(connection, self.id)
        self._presence.end()

    def claim(self) -> bool:
        with self._store.reading() as connection:
            if not runs.waiting(connection, self._only, launcher=self._launcher.name):
                return False
        with self._store.unit_of_work() as connection:
            lease, kind = self._settings.lease_seconds, self._launcher.name
            run = runs.claim(connection, self.id, lease=lease, host=self._host, only=self._only, launcher=kind)
        if run is not None:
            self._tell("claimed", run)
            self._crash_at("claimed")
        return run is not None

    def _advance(self, *, at_once: bool) -> bool:
        """Move sweeps on, whoever worked on their trials."""
        if not at_once and time.monotonic() < self._sweeps_due:
            return False
        self._sweeps_due = time.monotonic() + SWEEP_SECONDS
        return sweeps.advance(self._settings, self._store)

    def _sweeping(self) -> bool:
        with self._store.reading() as connection:
            return bool(sweeps.at_work(connection))

    def _index_words(self) -> bool:
        """With nothing better to do, make traces that came in large batches quick to search."""
        with self._store.reading() as connection:
            if not searching.behind(connection):
                return False
        with self._store.unit_of_work() as connection:
            return searching.catch_up(connection) > 0

    def _held(self) -> tuple[Run, ...]:
        with self._store.reading() as connection:
            return runs.mine(connection, self.id)

    def _beat(self) -> None:
        if time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + self._settings.lease_seconds / 3
        self._bury()
        with self._store.unit_of_work() as connection:
            runs.beat(connection, self.id)
            for run in runs.mine(connection, self.id):
                runs.renew(connection, run, self._settings.lease_seconds)

    def _bury(self) -> None:
        """Let go of what workers held that have died on this machine: it is adopted at once, not when its lease has run out."""
        with self._store.reading() as connection:
            there = runs.registered(connection, self._host, self._boot_id)
        for worker in there:
            if worker != self.id and presence.dead(self._settings, worker):
                with self._store.unit_of_work() as connection:
                    runs.retire(connection, worker)
                presence.forget(self._settings, worker)

    def _act(self, run: Run) -> bool:
        handle = self._handle(run)
        match self._launcher.poll(handle):
            case "new":
                self._begin(run, handle)
                return True
            case "running":
                self._ingest(run, handle)
                if run.state == "cancelling":
                    self._launcher.cancel(handle)
                return False
            case "exited":
                self._ingest(run, handle)
                self._crash_at("exited")
                self._end(run, work.outcome(self._settings, run, self._launcher.exit(handle)))
                self._crash_at("finished")
                return True
            case "lost":
                return self._lost(run, handle)

    def _begin(self, run: Run, handle: Handle) -> None:
        """Start the attempt, unless there is no sense in it; what forbids it ends the run with a reason."""
        if run.state == "cancelling":
            return self._end(run, Outcome("cancelled", "cancelled", "stopped before it began."))
        try:
            work.prepare(self._settings, self._store, run)
            if not run.dry_run:
                self._launcher.launch(handle, timeout=run.timeout)
        except (errors.Mistake, OSError, ValueError) as mistake:
            return self._end(run, work.refused(mistake))
        if run.dry_run:
            return self._end(run, Outcome("completed", "dry_run"))
        self._crash_at("launched")
        with self._store.unit_of_work() as connection:
            launched(connection, run, self._launcher.name, handle.model_dump(mode="json"))
        self._tell("launched", run)
        return None

    def _lost(self, run: Run, handle: Handle) -> bool:
        """The process and its shim died without a word: end what is left of it, then try again, or not."""
        if not self._launcher.reap(handle):
            return False
        if run.state == "cancelling":
            self._end(run, Outcome("cancelled", "cancelled", work.stopped_at(handle.folder)))
        elif may_retry(run):
            with self._store.unit_of_work() as connection:
                runs.requeue(connection, run, "lost")
            self._tell("queued again", run, reason="lost")
        else:
            text = f"the process and its shim died without a word, {run.attempt - run.attempts_before} times."
            self._end(run, Outcome("lost", "lost", text))
        return True

    def _end(self, run: Run, outcome: Outcome) -> None:
        with self._store.unit_of_work() as connection:
            recorded = runs.finish(connection, run, outcome) is not None
        self._tell(
            "ended" if recorded else "ended elsewhere",
            run,
            state=outcome.state,
            reason=outcome.reason,
            exit_code=outcome.exit_code,
        )
        self._read.pop(run.run_id, None)

    def _ingest(self, run: Run, handle: Handle) -> None:
        """Take in new events; the database is written to only when there are some."""
        path = handle.folder / "events.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if size == self._read.get(run.run_id, 0):
            return
        with self._store.unit_of_work() as connection:
            runs.ingest(connection, run, path)
        self._read[run.run_id] = size

    def _tell(self, event: str, run: Run, **facts: Any) -> None:
        """Codes and ids only: what a run says about itself is in its folder and in the ledger."""
        told = {"run": run.run_id, "kind": run.kind, "attempt": run.attempt, "worker": self.id, **facts}
        log.info(event, extra={"told": told})

    def _crash_at(self, point: CrashPoint) -> None:
        if self._settings.crash_at == point:
            os._exit(137)


def boot_id() -> str:
    """Differs from boot to boot of this machine."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else str(int(psutil.boot_time()))
