"""The engine on a Ray cluster: each attempt is a Ray job whose entrypoint is our shim, in a folder that all machines share.

Ray finds the place; everything else is as on one machine. The shim's note, lock and exit in the attempt's folder say what
became of it, so a run ends although the head is gone, and a head that forgot a job cannot have it begun twice. Ray is asked
only while the folder is silent, over the HTTP of its dashboard, which needs no Ray here and can be given up on in time. A head
that does not answer is waited for.
"""

import fcntl
import json
import logging
import os
import shlex
import sys
import time
from typing import Any, Literal

import httpx

from tunix_rt import errors, jobs, values
from tunix_rt.launchers import processes, shim
from tunix_rt.launchers.handles import Exit, Handle, Status, Why

log = logging.getLogger("tunix_rt.launchers")
GRACE_SECONDS = 60.0
UNPLACED_SECONDS = 900.0  # a job that the cluster has no place for; the waiting line is in the database
ANSWER_SECONDS = 5.0
AGAIN_SECONDS = 5.0  # between two questions to a head that does not answer
LOOK_SECONDS = 1.0  # between two looks at a job that waits for its place
UNPLACED = "unplaced"
OVER = ("SUCCEEDED", "FAILED", "STOPPED")


class Ray:
    """A launcher; several workers may ask the same cluster about the same attempt."""

    name = "ray"

    def __init__(
        self,
        address: str,
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        token: str | None = None,
        grace: float = GRACE_SECONDS,
        unplaced: float = UNPLACED_SECONDS,
    ) -> None:
        """`address` is the dashboard's, as in http://HOST:8265; `cpus` and `gpus` are what Ray sets aside for a run."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        rarely = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=address, timeout=ANSWER_SECONDS, headers=headers, limits=rarely)
        self._address = address
        self._cpus, self._gpus, self._grace, self._unplaced = cpus, gpus, grace, unplaced
        self._silent_until = 0.0
        self._alive_until: dict[str, float] = {}

    def launch(self, handle: Handle, *, timeout: float | None = None) -> None:
        """Hand the attempt to Ray under a name of its own, which Ray takes once. Does nothing while the head is silent: the
        attempt stays `new`.

        Raises `errors.Failed` with the reason `unplaced` when Ray gave it up before the shim began.
        """
        job, revoked = self._job(handle), shim.revoked(*_of(handle)) is not None
        if job == "unknown" and not revoked:
            self._submit(handle, timeout)
        elif (revoked or _over(job)) and _revoke(handle, UNPLACED):
            raise errors.Failed(f"the Ray cluster did not begin it: {_told(job)}", reason=UNPLACED)

    def poll(self, handle: Handle) -> Status:
        """What the folder says; where it says nothing, what Ray says of the job, and then the folder once more: the shim may
        have begun or ended between the two."""
        found = _noted(handle)
        if found is not None:
            return found
        if shim.revoked(*_of(handle)) is not None and not _begun(handle):
            return "new"  # its shim will never begin
        if time.monotonic() < self._alive_until.get(_submission(handle), 0.0):
            return "running"
        job = self._job(handle)
        if job == "silent":
            return "running"
        if isinstance(job, dict) and not _over(job):
            self._alive_until[_submission(handle)] = time.monotonic() + LOOK_SECONDS
            self._give_up(handle, job)
            return "running"
        found = _noted(handle)
        if found is not None:
            return found
        return "lost" if _begun(handle) else "new"

    def exit(self, handle: Handle) -> Exit:
        ended = values.read_json(handle.folder / shim.EXIT)
        return Exit(ended["exit_code"], ended["reason"])

    def cancel(self, handle: Handle, why: Why = "cancelled") -> None:
        """The shim looks for the file several times a second, with or without Ray; one that has not begun never will."""
        if shim.revoked(*_of(handle)) is not None:
            return
        try:
            begun = not _revoke(handle, why)
            if begun:
                _write_cancel(handle, why)
        except (errors.Failed, OSError):  # a full disk, most likely: Ray can end the tree without a file
            begun = False
        if not begun:
            self._stop(handle)

    def reap(self, handle: Handle) -> bool:
        """Its machine's guard ended the tree before it let go of the lock; what is on this machine can also be looked for."""
        return processes.end(processes.mark(handle.run_id, handle.attempt, str(handle.folder))) and not shim.locked(
            handle.folder
        )

    def check(self) -> None:
        """Raises `errors.Unavailable` unless a Ray dashboard answers at the address."""
        answer = self._ask("GET", "/api/version")
        if answer is None or "ray_version" not in answer.text:
            raise errors.Unavailable(
                f"no Ray dashboard answers at {self._address!r}: name one with --ray-address http://HOST:8265, or start one "
                "there with `pip install -e '.[train,ray]'` in the repository and `ray start --head --dashboard-host HOST`."
            )

    def _submit(self, handle: Handle, timeout: float | None) -> None:
        """Raises `errors.Failed` when Ray refuses the job for another reason than that it has it already."""
        asked = {"run_id": handle.run_id, "attempt": handle.attempt, "timeout": timeout, "grace": self._grace, "pipe": 3}
        command = [sys.executable, "-m", "tunix_rt.launchers.shim", str(handle.folder), json.dumps(asked)]
        spread = jobs.hosts(handle.folder) > 1
        if spread:  # the entrypoint has the processes of all hosts started, and needs no place of its own
            host = jobs.Host(cpus=self._cpus, gpus=self._gpus, unplaced=self._unplaced)
            values.write_json(handle.folder / jobs.HOST, host.model_dump())
        body = {
            # The shim's answer goes to Ray's log of the job, where it is read should the shim refuse.
            "entrypoint": f"{shlex.join(command)} 3>&1 >>{shlex.quote(str(handle.folder / 'log.txt'))} 2>&1",
            "submission_id": _submission(handle),
            "entrypoint_num_cpus": 0 if spread else self._cpus,
            "entrypoint_num_gpus": 0 if spread else self._gpus,
            # Somebody may stop the job in Ray, which kills a process three seconds later unless told otherwise.
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(int(self._grace) + 10)}},
        }
        answer = self._ask("POST", "/api/jobs/", body)
        if answer is not None and answer.is_error and self._job(handle) == "unknown":
            raise errors.Failed(f"the Ray cluster refused it: {_last_line(answer.text)}", reason=UNPLACED)

    def _give_up(self, handle: Handle, job: dict[str, Any]) -> None:
        """Take back a job that has waited for too long, unless its shim begins right now."""
        waited = time.time() - (job["start_time"] or 0) / 1000
        if job["status"] == "PENDING" and waited > self._unplaced and _revoke(handle, UNPLACED):
            self._stop(handle)

    def _stop(self, handle: Handle) -> None:
        self._ask("POST", f"/api/jobs/{_submission(handle)}/stop")

    def _job(self, handle: Handle) -> dict[str, Any] | Literal["unknown", "silent"]:
        """The job as Ray sees it; `unknown` only when the head says so in words, not when something before it does."""
        answer = self._ask("GET", f"/api/jobs/{_submission(handle)}")
        if answer is None:
            return "silent"
        if answer.status_code == httpx.codes.NOT_FOUND and "does not exist" in answer.text:
            return "unknown"
        try:
            found = answer.json() if answer.is_success else None
        except ValueError:
            found = None
        if isinstance(found, dict) and "status" in found:
            return found
        return self._fell_silent(f"HTTP {answer.status_code}")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response | None:
        """None when there is no answer, or none of use; then the head is left alone for a while, so that leases are renewed."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.RequestError as error:
            self._fell_silent(type(error).__name__)
            return None
        if answer.is_server_error or answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._fell_silent(f"HTTP {answer.status_code}")
            return None
        return answer

    def _fell_silent(self, why: str) -> Literal["silent"]:
        self._silent_until = time.monotonic() + AGAIN_SECONDS
        log.warning("the Ray head gives no answer of use", extra={"told": {"address": self._address, "why": why}})
        return "silent"


def _submission(handle: Handle) -> str:
    return f"{handle.run_id}-a{handle.attempt}"


def _of(handle: Handle) -> tuple[Any, str, int]:
    return handle.folder, handle.run_id, handle.attempt


def _begun(handle: Handle) -> bool:
    return shim.launched(handle.folder, handle.run_id) >= handle.attempt


def _noted(handle: Handle) -> Status | None:
    """What the shim left in the folder, read in the order note, lock, exit; None when that does not settle it."""
    last = shim.launched(handle.folder, handle.run_id)
    if last > handle.attempt:
        return "lost"
    if last < handle.attempt:
        return None
    if shim.locked(handle.folder):
        return "running"
    return "exited" if shim.ended(*_of(handle)) else None


def _revoke(handle: Handle, why: str) -> bool:
    """See to it that the attempt never begins, under the lock that its shim would need; False when it has begun, or begins."""
    handle.folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(handle.folder / shim.LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _begun(handle):
            return False
        _write_cancel(handle, why)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _write_cancel(handle: Handle, why: str) -> None:
    values.write_json(handle.folder / shim.CANCEL, {"run_id": handle.run_id, "attempt": handle.attempt, "why": why})


def _over(job: dict[str, Any] | str) -> bool:
    return isinstance(job, dict) and job["status"] in OVER


def _told(job: dict[str, Any] | str) -> str:
    if isinstance(job, str):
        return "it was taken back before it was placed."
    if not _over(job):
        return "no machine had room for it in time; see `ray status`."
    return _last_line(job.get("message") or "") or f"its job is {job['status']}."


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:500]
