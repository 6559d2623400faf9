"""The engine as a process tree on this machine, under a shim that outlives the worker. See `shim` for how it is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunix_rt import errors, jobs, values
from tunix_rt.launchers import environment, processes, shim
from tunix_rt.launchers.handles import Exit, Handle, Status, Why

POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0  # between SIGTERM and SIGKILL: a step may have to end and a checkpoint to be written
_SHIMS: list[subprocess.Popen[bytes]] = []  # children of this process, kept until they have ended and are collected


class Local:
    """A launcher; several workers on one machine may ask about the same attempt."""

    name = "local"

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace

    def launch(self, handle: Handle, *, timeout: float | None = None) -> None:
        """Returns once the shim holds its lock. While another shim of the run has it, the attempt stays `new`: ask again later.

        Raises `errors.Failed` when the attempt cannot be started.
        """
        _SHIMS[:] = [child for child in _SHIMS if child.poll() is None]
        reading, writing = os.pipe()
        asked = {
            "run_id": handle.run_id,
            "attempt": handle.attempt,
            "timeout": timeout,
            "grace": self._grace,
            "pipe": writing,
        }
        try:
            with (handle.folder / "log.txt").open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "tunix_rt.launchers.shim", str(handle.folder), json.dumps(asked)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[writing],
                    env=environment.passed_on(os.environ),
                )
        finally:
            os.close(writing)
        _SHIMS.append(child)
        with os.fdopen(reading, "rb") as pipe:
            word = pipe.read().decode()
        if word not in ("ok", shim.LAUNCHED, shim.LAUNCHING) and self.poll(handle) == "new":
            raise errors.Failed(
                f"the attempt could not be started: {word or 'its shim died'}; see {handle.folder / 'log.txt'}."
            )

    def poll(self, handle: Handle) -> Status:
        """The note before the lock, and the lock before the exit: each is there when the one asked after it can be gone.

        Asked the other way round, an attempt that another worker launches between two looks would seem lost.
        """
        last = shim.launched(handle.folder, handle.run_id)
        if last < handle.attempt:
            return "new"
        if last > handle.attempt:
            return "lost"
        if shim.locked(handle.folder):
            return "running"
        return "exited" if shim.ended(handle.folder, handle.run_id, handle.attempt) else "lost"

    def exit(self, handle: Handle) -> Exit:
        ended = values.read_json(handle.folder / shim.EXIT)
        return Exit(ended["exit_code"], ended["reason"])

    def cancel(self, handle: Handle, why: Why = "cancelled") -> None:
        """The shim looks for this file several times a second; on a full disk the tree is ended without a grace."""
        if shim.revoked(handle.folder, handle.run_id, handle.attempt) == why:
            return
        try:
            values.write_json(handle.folder / shim.CANCEL, {"run_id": handle.run_id, "attempt": handle.attempt, "why": why})
        except errors.Failed:
            self.reap(handle)

    def reap(self, handle: Handle) -> bool:
        return processes.end(_mark(handle))


def _mark(handle: Handle) -> str:
    return processes.mark(handle.run_id, handle.attempt, str(handle.folder))


def run(folder: Path, follow: Callable[[], None] = lambda: None) -> None:
    """Run the engine on a folder outside the ledger, in the foreground, to its end.

    Raises what the engine reported when it does not succeed, and `errors.Interrupted` after a Ctrl-C, once the whole
    process tree is gone.
    """
    launcher, name = Local(), folder.name
    handle = Handle(run_id=name, attempt=shim.launched(folder, name) + 1, folder=folder.absolute())
    launcher.launch(handle)
    if launcher.poll(handle) == "new":
        raise errors.Failed(f"another command is at work in {folder}; let it end, or use another folder.", dir=str(folder))
    try:
        while launcher.poll(handle) == "running":
            follow()
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt as error:
        launcher.reap(handle)
        raise errors.Interrupted(f"stopped; what was finished is in {folder}.", dir=str(folder)) from error
    if launcher.poll(handle) != "exited":
        launcher.reap(handle)
        raise errors.Failed(f"the engine was lost; see {folder / 'log.txt'}.", log=str(folder / "log.txt"))
    if (code := launcher.exit(handle).code) != 0:
        raise failure(folder, code)


def failure(folder: Path, code: int) -> errors.Mistake:
    """The mistake the engine wrote down before it ended, or where to look when it could not."""
    log = folder / "log.txt"
    event = said(folder)
    if code == -signal.SIGKILL:
        return errors.Failed(killed(folder), exit_code=code, log=str(log))
    if event is None:
        text = f"the engine ended with exit code {code} and no explanation; see {log}."
        return errors.Failed(text, exit_code=code, log=str(log))
    return errors.Failed(f"{event['message']} (log: {log})", **{"reason": event["code"], **event["details"], "log": str(log)})


def killed(folder: Path) -> str:
    """What to say of an engine that was ended by SIGKILL, and so could not say anything itself."""
    return (
        "the process was killed (SIGKILL), often by the system for want of memory; if so, "
        f"{jobs.less_memory(folder)} (log: {folder / 'log.txt'})."
    )


def said(folder: Path) -> dict[str, Any] | None:
    """The last `failed` event of the attempt that was launched last."""
    path = folder / "events.jsonl"
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(shim.read(folder / shim.LAUNCH).get("events_from", 0))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if event.get("kind") == "failed":
            return event
    return None
