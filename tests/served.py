"""Servers and workers as processes that a test may kill, and a client that talks to them.

They are forked from one process that has imported everything, so that two hundred of them are cheap. `FAULTS` are the
deliberately broken builds: what a test counts must show in each of them.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from tunix_rt import access, logs, store
from tunix_rt.api import serving
from tunix_rt.api.measures import Measures
from tunix_rt.api.serving import Wanted
from tunix_rt.settings import Settings
from tunix_rt.store import Store, engines
from tunix_rt.worker import Worker

NOTHING: Mapping[str, str] = {}
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tunix_rt.api.serving", "tunix_rt.datasets", "tunix_rt.worker"])


@contextmanager
def _answers_first(opened: Store) -> Iterator[sqlalchemy.Connection]:
    """A unit of work that is committed a moment after everybody believes it is."""
    connection = opened.writer.connect()
    transaction = connection.begin()
    yield connection

    def later() -> None:
        with connection:
            transaction.commit()

    threading.Timer(0.1, later).start()


def _early() -> None:
    Store.unit_of_work = _answers_first  # type: ignore[method-assign]


def _impatient() -> None:
    engines.BUSY_SECONDS = 0.0
    made = engines._postgresql

    def serializable(url: URL, _isolation: Any, **parameters: str) -> Engine:
        return made(url, "SERIALIZABLE", **parameters)

    engines._postgresql = serializable


def _talkative() -> None:
    figures = Measures.text

    def more(self: Measures) -> bytes:
        return figures(self) + repr(os.environ).encode()

    Measures.text = more  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "early": _early,
    "impatient": _impatient,
    "talkative": _talkative,
}


def _serve(settings: Settings, port: Connection, fault: str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    with (settings.home / "server.log").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 2)
    FAULTS[fault]()
    wanted = Wanted("127.0.0.1", 0)
    listening = serving.listen(wanted)
    port.send(listening.getsockname()[1])
    serving.serve(settings, wanted, listening)


def _work(settings: Settings, fault: str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    with (settings.home / "worker.log").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 2)
    logs.to_stderr()
    FAULTS[fault]()
    worker = Worker(settings, store.open_store(settings))
    worker.work(lambda: (settings.home / "stop").exists())
    worker.close()


class Served:
    """A server that is running until somebody kills it; requests wait from the start, and are answered when it is ready."""

    def __init__(self, settings: Settings, fault: str = "", environment: Mapping[str, str] = NOTHING) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        ours, theirs = processes.Pipe(duplex=False)
        self.settings, self.token = settings, access.owner_token(settings)
        self._process = processes.Process(target=_serve, args=(settings, theirs, fault, dict(environment)))
        self._process.start()
        theirs.close()
        self.port: int = ours.recv()
        ours.close()

    def ready(self) -> None:
        """Wait until it answers, which under other load takes a while."""
        talker = Talker(self)
        talker.ask("GET", "/healthz")
        talker.close()

    def kill(self) -> None:
        _end(self._process)


@contextmanager
def served(settings: Settings, fault: str = "", environment: Mapping[str, str] = NOTHING) -> Iterator[Served]:
    made = Served(settings, fault, environment)
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def working(
    settings: Settings, count: int, fault: str = "", environment: Mapping[str, str] = NOTHING
) -> Iterator[list[BaseProcess]]:
    """Workers until the end of the block; those that ended well have the exit code 0."""
    children: list[BaseProcess] = [
        processes.Process(target=_work, args=(settings, fault, dict(environment))) for _ in range(count)
    ]
    for child in children:
        child.start()
    try:
        yield children
        (settings.home / "stop").touch()
        for child in children:
            child.join(30)
    finally:
        for child in children:
            child.kill()
            child.join()


def _end(process: BaseProcess) -> None:
    process.kill()
    process.join()
    process.close()


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tunix_rt.cli", *arguments, "--home", str(home)]


def _announced(settings: Settings) -> bool:
    return any((settings.home / serving.FOLDER).glob("*.json"))


@contextmanager
def started(settings: Settings, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tunix-rt serve` as a person starts it, from when it answers; what it says on stderr goes to the file `stderr`."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "stderr").open("wb") as log:
        process = subprocess.Popen(command(settings.home, "serve", "--port", "0", "--no-worker", *options), stderr=log)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None and not _announced(settings):
            time.sleep(0.05)  # from then on requests wait until they are answered
        yield process
    finally:
        process.kill()
        process.wait()


class Talker:
    """One connection of the owner's. `ask` gives (status, answer); status 0 when the server has gone."""

    def __init__(self, server: Served) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            with suppress(OSError):
                self._connection.close()
            return 0, None

    def close(self) -> None:
        self._connection.close()


def together(count: int, each: Callable[[int], None]) -> None:
    """Run `each` in so many threads; the first exception of one is raised here."""
    raised: list[BaseException] = []

    def one(k: int) -> None:
        try:
            each(k)
        except BaseException as error:  # noqa: BLE001  # raised again below
            raised.append(error)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
