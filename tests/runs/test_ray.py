"""Runs on a real Ray cluster of this machine: begun once, adopted, stopped, given up on, and what a lost head may not do."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import chaos
import httpx
import psutil
import pytest
from ray_cluster import Cluster, on_a_cluster, until
from test_worker import nine_ends

from tunix_rt import errors, jobs, runs, values
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import Batch, Inputs, Optimizer, ProbeJob, TrainConfig, TrainJob
from tunix_rt.launchers import local, processes, ray, shim
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.local import Local
from tunix_rt.launchers.ray import Ray
from tunix_rt.models import BaseModel
from tunix_rt.runs import ENDED, ProbeSpec, Run
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker, work


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Handle]:
    def made(how: str = "done", seconds: float = 0.0) -> Handle:
        run_id = f"r-{uuid.uuid4().hex[:12]}"
        folder = tmp_path / run_id
        folder.mkdir()
        jobs.write(folder, ProbeJob(run_id=run_id, how=how, seconds=seconds), Inputs(model=folder, dataset=folder))  # type: ignore[arg-type]
        return Handle(run_id=run_id, attempt=1, folder=folder)

    return made


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What was begun beside the test has ended with it."""
    yield
    while local._SHIMS:
        local._SHIMS.pop().wait(10)


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


def times_done(folder: Path) -> int:
    path = folder / "done.log"
    return len(path.read_text().splitlines()) if path.exists() else 0


@on_a_cluster
def test_two_launches_are_one_job(cluster: Cluster, prepared: Callable[..., Handle]) -> None:
    first, second, handle = Ray(cluster.address), Ray(cluster.address), prepared()
    assert first.poll(handle) == "new"
    cluster.begin(first, handle)
    second.launch(handle)
    assert second.poll(handle) in ("running", "exited")
    until(lambda: second.poll(handle) == "exited")
    first.launch(handle)
    assert first.exit(handle) == (0, "completed")
    assert [name for name, _ in cluster.jobs(handle)] == [f"{handle.run_id}-a1"]
    assert times_done(handle.folder) == 1


@on_a_cluster
@pytest.mark.parametrize("forgetful", [False, True])
def test_random_names_are_two_jobs_and_only_the_folder_keeps_the_run_from_being_done_twice(
    cluster: Cluster, prepared: Callable[..., Handle], monkeypatch: pytest.MonkeyPatch, forgetful: bool
) -> None:
    """Negative control for the test above; the second launcher also takes away the shim's note."""
    monkeypatch.setattr(ray, "_submission", lambda handle: f"{handle.run_id}-{uuid.uuid4()}")
    launcher, handle = Ray(cluster.address), prepared()
    cluster.begin(launcher, handle)
    until(lambda: launcher.poll(handle) == "exited")
    if forgetful:
        (handle.folder / shim.LAUNCH).unlink()
    cluster.begin(launcher, handle)
    until(lambda: all(status in ray.OVER for _, status in cluster.jobs(handle)))
    assert len(cluster.jobs(handle)) >= 2
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
    cluster.begin(launcher, handle)
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
    cluster.begin(launcher, handle)
    until(lambda: (handle.folder / "events.jsonl").exists())
    httpx.post(f"{cluster.address}/api/jobs/{handle.run_id}-a1/stop", timeout=30).raise_for_status()
    until(lambda: launcher.poll(handle) == "exited", 15.0)
    assert launcher.exit(handle).reason == "sigterm"
    assert tree(handle) == []


@on_a_cluster
def test_what_the_cluster_has_no_place_for_fails_with_a_reason_and_can_be_cancelled_and_resumed(
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
    with opened.unit_of_work() as connection:
        for one in (run, other):
            runs.resume(connection, one.run_id)
    worker = Worker(settings, opened, slots=2, launcher=Ray(cluster.address))
    work_until(worker, lambda: all(current(opened, one).state in ENDED for one in (run, other)))
    worker.close()
    assert [(current(opened, one).state, current(opened, one).attempt) for one in (run, other)] == [("completed", 2)] * 2


# Rows of docs/reliability.md. What is not of this launcher has its control where it is tested: test_chaos.py, test_worker.py.


@on_a_cluster
def test_one_run_outlives_workers_that_crash_at_four_points(cluster: Cluster, at: Any, started: Any) -> None:
    where, opened = at("sqlite", lease=30.0)
    (run_id,) = chaos.submitted(opened, 1)
    for point in ("claimed", "launched", "exited", "finished"):
        crashed = started(where.model_copy(update={"crash_at": point}), on=cluster.address)
        crashed.join(60)
        assert crashed.exitcode == 137
        assert chaos.get(opened, run_id).state == ("completed" if point == "finished" else "running")
    assert chaos.ends(where, opened) == {("completed", "done", 1, 1)}


@on_a_cluster
def test_no_run_is_lost_and_none_is_done_twice(cluster: Cluster, home: Callable[[str], Settings]) -> None:
    where = chaos.settings(home("sqlite").home, None)
    told = chaos.storm(where, jobs=6, workers=2, kills=3, seconds=0.3, on=cluster.address)
    assert (told["lost"], told["twice"], told["kills"], told["attempts"]) == (0, 0, 3, 6), told


@on_a_cluster
def test_a_worker_that_begins_adopted_runs_again_is_caught(cluster: Cluster, at: Any, started: Any) -> None:
    """Negative control for the two tests above."""
    where, opened = at("sqlite")
    chaos.waits_after_kills(where, opened, partial(started, on=cluster.address), kills=1, limit=30.0, build="forgetful")
    assert chaos.ends(where, opened) == {("completed", "done", 1, 2)}


@on_a_cluster
def test_a_worker_that_wakes_up_late_writes_nothing(cluster: Cluster, at: Any, started: Any) -> None:
    where, opened = at("sqlite")
    on = partial(started, on=cluster.address)
    assert chaos.woken_late(where, opened, on, "remembering", seconds=2.0).message == "by the heir"


@on_a_cluster
@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_outlives_worker_and_shim_but_what_has_no_guard_and_that_is_ended_by_the_next_worker(
    cluster: Cluster, at: Any, started: Any, guarded: bool
) -> None:
    where, opened = at("sqlite")
    mark = chaos.orphaned(where, opened, partial(started, on=cluster.address), guarded=guarded)
    if guarded:
        assert chaos.until(lambda: not processes.marked(mark)) < 3.0
    else:
        time.sleep(1.0)
        assert len(processes.marked(mark)) == 3
    started(where, on=cluster.address)
    assert chaos.ends(where, opened) == {("lost", "lost", 1, 0)}
    assert processes.marked(mark) == []


@on_a_cluster
def test_a_cancelled_run_whose_shim_is_killed_ends_with_all_that_it_began(
    cluster: Cluster, workplace: tuple[Settings, Store]
) -> None:
    settings, opened = workplace
    run = submit(opened, how="stubborn")
    handle = Handle(run_id=run.run_id, attempt=1, folder=run.dir(settings))
    worker = Worker(settings, opened, launcher=Ray(cluster.address))
    work_until(worker, lambda: (handle.folder / "events.jsonl").exists())
    with opened.unit_of_work() as connection:
        runs.cancel(connection, run.run_id)
    work_until(worker, lambda: (handle.folder / shim.CANCEL).exists())
    for process in reversed(chaos.shim_of(handle.folder)):
        process.kill()
    assert len(tree(handle)) == 1
    work_until(worker, lambda: current(opened, run).state in ENDED)
    worker.close()
    assert (current(opened, run).state, current(opened, run).message) == ("cancelled", "stopped.")
    assert tree(handle) == []


@on_a_cluster
def test_nine_ways_to_end_have_nine_reasons_and_none_is_completed(cluster: Cluster, workplace: tuple[Settings, Store]) -> None:
    """At the end its control: what a launcher that only looks at the exit code would make of the same processes."""
    settings, opened = workplace
    launcher = Ray(cluster.address, cpus=chaos.RAY_CPUS, grace=0.3)
    worker = Worker(settings, opened, slots=9, launcher=launcher)
    ended = nine_ends(settings, opened, worker)
    worker.close()
    assert {name: run.reason for name, run in ended.items()} == {name: name for name in ended}
    assert not any(run.state == "completed" for run in ended.values())
    reasons = {}
    for name, run in ended.items():
        handle = Handle(run_id=run.run_id, attempt=1, folder=run.dir(settings))
        reasons[name] = work.outcome(settings, run, launcher.exit(handle)._replace(reason="failed")).reason
    assert {name for name, reason in reasons.items() if reason != name} == {"timeout", "sigint", "sigterm", "sighup", "sigkill"}


@on_a_cluster
def test_a_training_on_ray_is_the_training_here_to_the_bit(
    cluster: Cluster, tmp_path: Path, tiny: BaseModel, sums: Dataset
) -> None:
    """What a sweep's trials rest on; whole sweeps, without a common cache, are compared in test_ray_at_length.py."""
    config = TrainConfig(name="t", model="tiny", steps=3, batch=Batch(row_tokens=320), optimizer=Optimizer(learning_rate=0.01))
    job = TrainJob(
        run_id="r", config=config, model_digest=tiny.digest, dataset="tiny-sums", dataset_digest=sums.manifest.digest
    )
    here, there = (Handle(run_id="r", attempt=1, folder=tmp_path / name) for name in ("here", "there"))
    for handle in (here, there):
        handle.folder.mkdir()
        jobs.write(handle.folder, job, Inputs(model=tiny.folder, dataset=sums.path.parent, compile_cache=tmp_path / "xla"))
    launcher = Ray(cluster.address)
    Local().launch(here)
    until(lambda: launcher.poll(here) == "exited", 240.0)
    cluster.begin(launcher, there)
    until(lambda: launcher.poll(there) == "exited", 240.0)
    made = [values.read_json(handle.folder / "result.json") for handle in (here, there)]
    assert made[0]["adapter_digest"] == made[1]["adapter_digest"]
    assert made[0]["loss"] == made[1]["loss"] < made[0]["first_loss"]


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


def test_an_attempt_that_is_taken_back_stays_so_when_a_later_one_is(prepared: Callable[..., Handle]) -> None:
    """Its job may still wait for a place. They share a file; the run's next attempt but one is free to begin."""
    launcher, handle = Ray("http://127.0.0.1:1"), prepared()
    for attempt in (1, 2):
        launcher.cancel(handle.model_copy(update={"attempt": attempt}))
    for attempt in (1, 2):
        with pytest.raises(errors.Failed, match="told to stop before it began"):
            Local().launch(handle.model_copy(update={"attempt": attempt}))
    third = handle.model_copy(update={"attempt": 3})
    Local().launch(third)
    until(lambda: launcher.poll(third) == "exited")
    assert times_done(handle.folder) == 1


def test_what_was_given_up_fails_without_any_head(prepared: Callable[..., Handle]) -> None:
    """A worker that waited for the head would ask again and again, without a pause."""
    launcher, handle = Ray("http://127.0.0.1:1"), prepared()
    assert ray._revoke(handle, ray.UNPLACED)
    assert launcher.poll(handle) == "new"
    with pytest.raises(errors.Failed, match="taken back before it was placed"):
        launcher.launch(handle)


class SomethingElse(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if "moved" in self.path else 200)
        self.send_header("location", "/moved")
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: Any) -> None: ...


@pytest.mark.parametrize("path", ["", "/moved"])
def test_what_answers_in_place_of_the_head_is_waited_out(prepared: Callable[..., Handle], path: str) -> None:
    """A proxy's own page, or its way to a login."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SomethingElse) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert Ray(f"http://127.0.0.1:{server.server_port}{path}").poll(prepared()) == "running"
        server.shutdown()


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
    assert "'.[train,ray]'" in ended.stderr
