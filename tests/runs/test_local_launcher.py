"""The shim keeps its word: one launch, a lock instead of a process number, nothing left alive, and an exit that is written."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tunix_rt import errors, jobs
from tunix_rt.jobs import Inputs, ProbeJob
from tunix_rt.launchers import processes, shim
from tunix_rt.launchers.handles import Handle, Status
from tunix_rt.launchers.local import Local


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Handle]:
    def made(how: str = "done", seconds: float = 0.0, attempt: int = 1) -> Handle:
        jobs.write(tmp_path, ProbeJob(run_id="r", how=how, seconds=seconds), Inputs(model=tmp_path, dataset=tmp_path))  # type: ignore[arg-type]
        return Handle(run_id="r", attempt=attempt, folder=tmp_path)

    return made


def tree(handle: Handle) -> list[psutil.Process]:
    return list(processes.marked(processes.mark(handle.run_id, handle.attempt, str(handle.folder))))


def shims_of(handle: Handle) -> list[psutil.Process]:
    """They carry no mark: what ends a tree must never end a shim."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if str(handle.folder) in child.cmdline()]


def shim_of(handle: Handle) -> psutil.Process:
    return shims_of(handle)[0]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_an_attempt_is_running_when_launch_returns_and_exits_with_its_word(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared(seconds=0.3)
    assert launcher.poll(handle) == "new"
    launcher.launch(handle)
    assert launcher.poll(handle) == "running"
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle) == (0, "completed")
    assert tree(handle) == []


def test_an_attempt_is_launched_once_however_often_it_is_asked_for(prepared: Callable[..., Handle]) -> None:
    first, second, handle = Local(), Local(), prepared(seconds=0.3)
    first.launch(handle)
    second.launch(handle)
    until(lambda: first.poll(handle) == "exited")
    second.launch(handle)
    assert (handle.folder / "done.log").read_text() == "done\n"
    later = handle.model_copy(update={"attempt": 2})
    assert first.poll(later) == "new"
    assert first.poll(handle) == "exited"


def test_what_ends_a_tree_never_ends_a_shim(prepared: Callable[..., Handle]) -> None:
    """A second shim may be on its way to learn that the attempt was launched before; killed, it looks like a failed launch."""
    launcher, handle = Local(), prepared("hang")
    launcher.launch(handle)
    standing_by = shim_of(handle)
    assert launcher.reap(handle)
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle).reason == "sigkill"
    until(lambda: not alive(standing_by))


def test_the_shim_of_another_run_keeps_the_folder(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared("hang")
    launcher.launch(handle)
    with pytest.raises(errors.Failed, match="another run is alive"):
        launcher.launch(handle.model_copy(update={"run_id": "other"}))
    assert launcher.reap(handle)


def hold(folder: Path, run_id: str) -> int:
    """Stand in the place of a shim of that run which has its lock and has not noted yet what it launches."""
    lock = os.open(folder / shim.LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, json.dumps({"run_id": run_id}).encode())
    return lock


def test_a_launch_that_meets_a_slow_shim_of_its_own_run_is_no_failure(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared()
    lock = hold(handle.folder, "r")
    launcher.launch(handle)
    assert launcher.poll(handle) == "new"
    os.close(lock)
    launcher.launch(handle)
    until(lambda: launcher.poll(handle) == "exited")
    assert (handle.folder / "done.log").read_text() == "done\n"


def test_the_slow_shim_of_another_run_is_a_failure(prepared: Callable[..., Handle]) -> None:
    """Negative control for the test above."""
    launcher, handle = Local(), prepared()
    lock = hold(handle.folder, "other")
    with pytest.raises(errors.Failed, match="another run is alive"):
        launcher.launch(handle)
    os.close(lock)


class LaunchedBetween(Local):
    """Somebody else launches the attempt right after this one's first look at the lock."""

    def lock_looked_at(self, handle: Handle) -> Callable[[Path], bool]:
        looks, real = iter((True,)), shim.locked

        def look(path: Path) -> bool:
            held = real(path)
            if next(looks, False):
                Local().launch(handle)
            return held

        return look


class LockFirst(LaunchedBetween):
    """Looks in the other order."""

    def poll(self, handle: Handle) -> Status:
        held = shim.locked(handle.folder)
        found = super().poll(handle)
        return found if held or found != "running" else "lost"


@pytest.mark.parametrize(("launcher", "seen"), [(LaunchedBetween(), "new"), (LockFirst(), "lost")])
def test_an_attempt_that_another_worker_launches_between_two_looks_is_not_lost(
    prepared: Callable[..., Handle], monkeypatch: pytest.MonkeyPatch, launcher: LaunchedBetween, seen: str
) -> None:
    """Taken for lost, it would be reaped: a healthy process killed. The second launcher is the negative control."""
    handle = prepared("hang")
    monkeypatch.setattr(shim, "locked", launcher.lock_looked_at(handle))
    assert launcher.poll(handle) == seen
    assert Local().reap(handle)


def test_a_full_disk_under_the_shim_is_named(prepared: Callable[..., Handle]) -> None:
    handle = prepared()
    (handle.folder / f".{shim.EXIT}").symlink_to("/dev/full")
    with pytest.raises(errors.Failed, match="No space left on device"):
        Local().launch(handle)


def test_the_shims_guard_ends_the_tree_when_the_shim_is_killed(prepared: Callable[..., Handle]) -> None:
    """Nobody else does: there is no worker."""
    launcher, handle = Local(), prepared("family")
    launcher.launch(handle)
    until(lambda: len(tree(handle)) == 3)
    family = tree(handle)
    shim_of(handle).kill()
    until(lambda: not any(alive(process) for process in family), seconds=3.0)
    until(lambda: launcher.poll(handle) == "lost")


def test_after_worker_and_shim_are_killed_nothing_outlives_the_reap(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared("family")
    launcher.launch(handle)
    until(lambda: len(tree(handle)) == 3)  # trainer, child, and a grandchild in a session of its own
    family = tree(handle)
    shim_of(handle).kill()
    until(lambda: launcher.poll(handle) == "lost")
    began = time.monotonic()
    assert launcher.reap(handle)
    assert time.monotonic() - began < 3.0
    assert not any(alive(process) for process in family)


def guard_of(handle: Handle) -> psutil.Process:
    return shim_of(handle).children()[0]


def test_ending_only_the_process_group_would_leave_the_grandchild(prepared: Callable[..., Handle]) -> None:
    """Negative control for the test above."""
    launcher, handle = Local(), prepared("family")
    launcher.launch(handle)
    until(lambda: len(tree(handle)) == 3)
    trainer = next(process for process in tree(handle) if "tunix_rt.engine" in process.cmdline())
    guard_of(handle).kill()
    shim_of(handle).kill()
    os.killpg(trainer.pid, signal.SIGKILL)
    until(lambda: not alive(trainer) and len(tree(handle)) <= 1)
    assert len(tree(handle)) == 1
    assert launcher.reap(handle)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_zombie_looks_alive_to_a_process_number_and_not_to_the_lock(prepared: Callable[..., Handle]) -> None:
    """The lock's negative control: what a check of the process number says of a shim that has ended and was not collected."""
    launcher, handle = Local(), prepared("hang")
    launcher.launch(handle)
    standing_by = shim_of(handle)
    standing_by.kill()
    until(lambda: launcher.poll(handle) == "lost")
    assert psutil.pid_exists(standing_by.pid)
    assert launcher.reap(handle)


def test_cancelling_ends_a_process_that_ignores_sigterm_after_the_grace(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(grace=0.3), prepared("stubborn")
    launcher.launch(handle)
    until(lambda: (handle.folder / "events.jsonl").exists())
    launcher.cancel(handle)
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle) == (-signal.SIGKILL, "cancelled")


def test_the_shim_enforces_the_timeout(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared("hang")
    launcher.launch(handle, timeout=0.2)
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle).reason == "timeout"
    assert tree(handle) == []


def test_a_shim_that_is_told_to_go_takes_its_process_along(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Local(), prepared("hang")
    launcher.launch(handle)
    shim_of(handle).terminate()
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle).reason == "sigterm"


def test_the_shim_loads_neither_jax_nor_the_database() -> None:
    code = "import sys, tunix_rt.launchers.shim; assert not {'jax', 'sqlalchemy', 'pydantic', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
