"""A Ray cluster of one machine: real processes, ended by their numbers, and looked for until there are none.

`ray stop` would end everybody's clusters. What Ray starts inherits a mark in its environment instead; what writes its title
over that is in the process group of `ray start`.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

import tunix_rt
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.ray import Ray

RAY = Path(sys.executable).with_name("ray")
on_a_cluster = pytest.mark.skipif(not RAY.exists(), reason="Ray is not installed: pip install 'ray[default]==2.60.0'")
ATTEMPTS = 3  # Ray gives its own parts half a minute to begin, which is not enough on a crowded machine
MARK = "RAY_CLUSTER_OF_A_TEST"
GO_ON = ("tunix_rt", "kill -s 0")  # shims and what they stand by; the process with which Ray watches over an entrypoint


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Cluster:
    """Starts at once; `start` after `lose_head` is another cluster at the same address, which knows of no job."""

    def __init__(self, cpus: int = 4) -> None:
        self._folder, self._cpus = Path(tempfile.mkdtemp(prefix="ray-")), cpus
        self._groups: list[int] = []
        self._port, self._client_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        command = [
            RAY,
            "start",
            "--head",
            "--port",
            "0",
            "--dashboard-port",
            str(self._port),
            "--dashboard-agent-listen-port",
            "0",
        ]
        command += [
            "--ray-client-server-port",
            str(self._client_port),
            "--num-cpus",
            str(self._cpus),
            "--include-dashboard",
            "true",
        ]
        command += ["--temp-dir", self._folder, "--object-store-memory", "100000000", "--disable-usage-stats"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), MARK: str(self._folder)}
        environment["PYTHONPATH"] = str(Path(tunix_rt.__file__).parents[1])
        for left in reversed(range(ATTEMPTS)):
            with (self._folder / "start.log").open("ab") as log:
                starting = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            self._groups.append(starting.pid)
            if starting.wait(240) == 0:
                return
            said = (self._folder / "start.log").read_text()
            if left:
                self.lose_head()
            else:
                self.end()
        raise AssertionError(said)

    def lose_head(self, *names: str) -> None:
        """SIGKILL to what keeps the cluster, or to those parts of it that have one of the names; not to the runs."""
        for process, command in self._processes():
            if not any(word in command for word in GO_ON) and (not names or any(name in command for name in names)):
                with suppress(psutil.Error):
                    process.kill()

    def end(self) -> None:
        deadline = time.monotonic() + 20.0
        while found := self._processes():
            for process, _ in found:
                with suppress(psutil.Error):
                    process.kill()
            assert time.monotonic() < deadline, f"Ray left processes: {found}"
            time.sleep(0.05)
        shutil.rmtree(self._folder)

    def jobs(self, handle: Handle) -> list[tuple[str, str]]:
        """Name and status of each job that is a run's, whatever it is called."""
        listed = httpx.get(f"{self.address}/api/jobs/", timeout=30).json()
        return [(job["submission_id"], job["status"]) for job in listed if handle.run_id in job["entrypoint"]]

    def begin(self, launcher: Ray, handle: Handle) -> None:
        """Launch until Ray has one job more: a launch that gets no answer in time does nothing."""
        before = len(self.jobs(handle))

        def one_more() -> bool:
            launcher.launch(handle)
            return len(self.jobs(handle)) > before

        until(one_more)

    def _processes(self) -> list[tuple[psutil.Process, str]]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                ours = os.getpgid(process.pid) in self._groups or process.environ().get(MARK) == str(self._folder)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append((process, " ".join(process.cmdline())))
        return found


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
