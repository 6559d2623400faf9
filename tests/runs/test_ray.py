"""Runs on a real Ray cluster of this machine: begun once, adopted, stopped, given up on, and what a lost head may not do."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from ray_cluster import RAY, Cluster, until

from tunix_rt import errors, jobs, runs, store
from tunix_rt.jobs import Inputs, ProbeJob
from tunix_rt.launchers import local, processes, ray, shim
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.local import Local
from tunix_rt.launchers.ray import Ray
from tunix_rt.runs import ENDED, ProbeSpec, Run
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker

on_a_cluster = pytest.mark.skipif(not RAY.exists(), reason="Ray is not installed: pip install 'ray[default]==2.60.0'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.end()


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Handle]:
    def made(how: str = "done", seconds: float = 0.0) -> Handle:
        run_id = f"r-{uuid.uuid4().hex[:12]}"
        folder = tmp_path / run_id
        folder.mkdir()
        jobs.write(folder, ProbeJob(run_id=run_id, how=how, seconds=seconds), Inputs(model=folder, dataset=folder))  # type: ignore[arg-type]
        return Handle(run_id=run_id, attempt=1, folder=folder)

    return made


@pytest.fixture
def workplace(home: Callable[[str], Settings]) -> Iterator[tuple[Settings, Store]]:
    settings = home("sqlite")
    opened = store.open_store(settings)
    yield settings, opened
    opened.close()


def submit(opened: Store, **spec: Any) -> Run:
    with opened.unit_of_work() as connection:
        return runs.submit(connection, ProbeSpec(**spec))


def current(opened: Store, run: Run) -> Run:
    with opened.reading() as connection:
        return runs.get(connection, run.run_id)


def work_until(worker: Worker, condition: Callable[[], object], seconds: float = 90.0) -> None:
    def met() -> object:
        worker.step()
        return condition()

    until(met, seconds)


def tree(handle: Handle) -> list[Any]:
    return processes.marked(processes.mark(handle.run_id, handle.attempt, str(handle.folder)))


def jobs_of(cluster: Cluster, handle: Handle) -> list[str]:
    listed = httpx.get(f"{cluster.address}/api/jobs/", timeout=30).json()
    return [job["submission_id"] for job in listed if handle.run_id in job["entrypoint"]]


def times_done(folder: Path) -> int:
    path = folder / "done.log"
    return len(path.read_text().splitlines()) if path.exists() else 0


@on_a_cluster
def test_two_launches_are_one_job(cluster: Cluster, prepared: Callable[..., Handle]) -> None:
    first, second, handle = Ray(cluster.address), Ray(cluster.address), prepared()
    assert first.poll(handle) == "new"
    first.launch(handle)
    second.launch(handle)
    assert second.poll(handle) in ("running", "exited")
    until(lambda: second.poll(handle) == "exited")
    first.launch(handle)
    assert first.exit(handle) == (0, "completed")
    assert jobs_of(cluster, handle) == [f"{handle.run_id}-a1"]
    assert times_done(handle.folder) == 1


@on_a_cluster
@pytest.mark.parametrize("forgetful", [False, True])
def test_random_names_are_two_jobs_and_only_the_folder_keeps_the_run_from_being_done_twice(
    cluster: Cluster, prepared: Callable[..., Handle], monkeypatch: pytest.MonkeyPatch, forgetful: bool
) -> None:
    """Negative control for the test above; the second launcher also takes away the shim's note."""
    monkeypatch.setattr(ray, "_submission", lambda handle: f"{handle.run_id}-{uuid.uuid4()}")
    launcher, handle = Ray(cluster.address), prepared()
    launcher.launch(handle)
    until(lambda: launcher.poll(handle) == "exited")
    if forgetful:
        (handle.folder / shim.LAUNCH).unlink()
    launcher.launch(handle)
    until(lambda: all(job["status"] in ray.OVER for job in httpx.get(f"{cluster.address}/api/jobs/", timeout=30).json()))
    assert len(jobs_of(cluster, handle)) == 2
    assert times_done(handle.folder) == (2 if forgetful else 1)


@on_a_cluster
def test_a_run_whose_worker_is_killed_is_adopted_by_another_and_done_once(
    cluster: Cluster, workplace: tuple[Settings, Store]
) -> None:
    settings, opened = workplace
    run = submit(opened, seconds=3.0)
    command = [sys.executable, "-m", "tunix_rt.cli", "worker", "--launcher", "ray", "--ray-address", cluster.address]
    worker = subprocess.Popen(command, env={**os.environ, "TUNIX_RT_HOME": str(settings.home)}, stderr=subprocess.DEVNULL)
    until(lambda: (run.dir(settings) / shim.LAUNCH).exists())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    here = Worker(settings, opened)
    work_until(here, lambda: time.monotonic(), 5.0)
    assert current(opened, run).owner != here.id, "a worker that cannot ask Ray took the run over"
    here.close()
    heir = Worker(settings, opened, launcher=Ray(cluster.address))
    work_until(heir, lambda: current(opened, run).state in ENDED)
    heir.close()
    ended = current(opened, run)
    assert (ended.state, ended.attempt, ended.launcher, times_done(run.dir(settings))) == ("completed", 1, "ray", 1)
    with opened.reading() as connection:
        assert [attempt.handle["launcher"] for attempt in runs.attempts(connection, run.run_id)] == ["ray"]
        assert [event.kind for event in runs.events(connection, run.run_id)] == ["phase", "done"]


@on_a_cluster
@pytest.mark.parametrize("how", ["stubborn", "family"])
def test_cancelling_ends_the_whole_tree(cluster: Cluster, prepared: Callable[..., Handle], how: str) -> None:
    launcher, handle = Ray(cluster.address, grace=0.3), prepared(how)
    launcher.launch(handle)
    until(lambda: len(tree(handle)) == (3 if how == "family" else 1) and (handle.folder / "events.jsonl").exists())
    family = tree(handle)
    launcher.cancel(handle)
    until(lambda: launcher.poll(handle) == "exited", 15.0)
    assert launcher.exit(handle).reason == "cancelled"
    assert tree(handle) == []
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


@on_a_cluster
def test_a_job_that_somebody_stops_in_ray_ends_as_told_to_go(cluster: Cluster, prepared: Callable[..., Handle]) -> None:
    launcher, handle = Ray(cluster.address), prepared("hang")
    launcher.launch(handle)
    until(lambda: (handle.folder / "events.jsonl").exists())
    httpx.post(f"{cluster.address}/api/jobs/{handle.run_id}-a1/stop", timeout=30).raise_for_status()
    until(lambda: launcher.poll(handle) == "exited", 15.0)
    assert launcher.exit(handle).reason == "sigterm"
    assert tree(handle) == []


@on_a_cluster
def test_what_the_cluster_has_no_place_for_fails_with_a_reason_and_can_be_cancelled(
    cluster: Cluster, workplace: tuple[Settings, Store]
) -> None:
    """The patient launcher is the negative control: it goes on waiting."""
    settings, opened = workplace
    patient, hasty = Ray(cluster.address, cpus=64), Ray(cluster.address, cpus=64, unplaced=2.0)
    run, other = submit(opened), submit(opened)
    worker = Worker(settings, opened, slots=2, launcher=patient)
    began = time.monotonic()
    work_until(worker, lambda: time.monotonic() - began > 4.0)
    assert {current(opened, one).state for one in (run, other)} == {"running"}
    with opened.unit_of_work() as connection:
        runs.cancel(connection, other.run_id)
    work_until(worker, lambda: current(opened, other).state == "cancelled")
    worker.close()
    heir = Worker(settings, opened, launcher=hasty)
    work_until(heir, lambda: current(opened, run).state in ENDED)
    heir.close()
    ended = current(opened, run)
    assert (ended.state, ended.reason) == ("failed", "unplaced")
    assert "ray status" in (ended.message or "")
    assert not (run.dir(settings) / shim.LAUNCH).exists()


@on_a_cluster
@pytest.mark.long
def test_while_the_head_is_gone_runs_end_or_wait_and_none_is_done_twice(workplace: tuple[Settings, Store]) -> None:
    settings, opened = workplace
    cluster = Cluster()
    try:
        worker = Worker(settings, opened, slots=4, launcher=Ray(cluster.address))
        short, long = submit(opened, seconds=4.0), submit(opened, seconds=15.0)
        work_until(worker, lambda: all((run.dir(settings) / "events.jsonl").exists() for run in (short, long)))
        cluster.lose_head("gcs_server", "dashboard.py", "JobHead")
        work_until(worker, lambda: current(opened, short).state == "completed")
        cluster.lose_head()
        until(lambda: not shim.locked(long.dir(settings)))
        late = submit(opened)
        began = time.monotonic()
        work_until(worker, lambda: time.monotonic() - began > 8.0)
        waiting = [current(opened, run) for run in (long, late)]
        assert [(run.state, run.attempt, run.owner) for run in waiting] == [("running", 1, worker.id)] * 2
        cluster.start()
        work_until(worker, lambda: all(current(opened, run).state in ENDED for run in (long, late)), 120.0)
        worker.close()
        ended = [current(opened, run) for run in (short, long, late)]
        assert [(run.state, run.attempt) for run in ended] == [("completed", 1), ("completed", 2), ("completed", 1)]
        assert [times_done(run.dir(settings)) for run in ended] == [1, 1, 1]
    finally:
        cluster.end()


class TakesSilenceForNo(Ray):
    def _fell_silent(self, why: str) -> Any:
        super()._fell_silent(why)
        return "unknown"

    def _job(self, handle: Handle) -> Any:
        job = super()._job(handle)
        return "unknown" if job == "silent" else job


@pytest.mark.parametrize(("launcher", "seen"), [(Ray, "running"), (TakesSilenceForNo, "new")])
def test_a_head_that_does_not_answer_is_waited_for(prepared: Callable[..., Handle], launcher: type[Ray], seen: str) -> None:
    """The attempt may have been handed over already. The second launcher is the negative control."""
    assert launcher("http://127.0.0.1:1").poll(prepared()) == seen


def test_cancelling_what_has_not_begun_keeps_its_shim_from_beginning_without_any_head(prepared: Callable[..., Handle]) -> None:
    launcher, handle = Ray("http://127.0.0.1:1"), prepared()
    launcher.cancel(handle)
    assert launcher.poll(handle) == "new"
    with pytest.raises(errors.Failed, match="told to stop before it began"):
        Local().launch(handle)
    assert times_done(handle.folder) == 0


def test_an_attempt_that_has_begun_is_not_taken_back(prepared: Callable[..., Handle]) -> None:
    """Negative control for the test above: the wish reaches the shim, which ends its process."""
    launcher, handle = Ray("http://127.0.0.1:1"), prepared("hang")
    Local().launch(handle)
    launcher.cancel(handle)
    until(lambda: launcher.poll(handle) == "exited")
    assert launcher.exit(handle).reason == "cancelled"
    assert local._SHIMS.pop().wait(10) == 0


def test_a_run_is_adopted_only_by_its_own_kind_of_launcher(workplace: tuple[Settings, Store]) -> None:
    _, opened = workplace
    run = submit(opened)
    with opened.unit_of_work() as connection:
        assert runs.claim(connection, "dead", lease=-1.0, launcher="ray")
        assert not runs.waiting(connection)
        assert runs.claim(connection, "beside it") is None
        assert runs.waiting(connection, launcher="ray")
        adopted = runs.claim(connection, "heir", launcher="ray")
    assert adopted is not None
    assert (adopted.run_id, adopted.attempt) == (run.run_id, 1)


def test_a_worker_does_not_start_without_a_cluster(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tunix_rt.cli", "worker", "--launcher", "ray", "--ray-address", "http://127.0.0.1:1"]
    where = {**os.environ, "TUNIX_RT_HOME": str(tmp_path)}
    ended = subprocess.run(command, env=where, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no Ray dashboard answers at 'http://127.0.0.1:1'" in ended.stderr
    assert "tunix-rt[ray]" in ended.stderr
