"""Engines for both databases, and the two ways to a connection.

SQLite has two engines on one file in WAL mode: the writer begins every transaction with BEGIN IMMEDIATE, so that a read
followed by a write can never fail half-way with "database is locked"; the reader cannot write at all.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import ArgumentError, DatabaseError, DisconnectionError, OperationalError

from tunix_rt import errors
from tunix_rt.settings import Settings
from tunix_rt.store import migrating

BUSY_SECONDS = 30.0
IDLE_SECONDS = 1.0  # after which a connection to PostgreSQL may have been lost
_BACK = "back"
LOADING_KIB, _CACHE_KIB = 131_072, 2_000
# A search is planned for its own words, since what suits a rare one takes forever with one that is everywhere; and by one
# process, since to start another takes ten times as long as a page does.
_PLANNING = {"plan_cache_mode": "force_custom_plan", "max_parallel_workers_per_gather": "0"}
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}


class Store:
    """The open database. Cheap to keep, safe to share between threads; `close` gives its connections back."""

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self.writer, self.reader = writer, reader

    @property
    def dialect(self) -> str:
        return self.writer.dialect.name

    @property
    def where(self) -> str:
        """The database's address, without a password."""
        return self.writer.url.render_as_string(hide_password=True)

    @contextmanager
    def unit_of_work(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends and rolled back when it raises."""
        with _explained(self), self.writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the database that cannot write."""
        with _explained(self), self.reader.connect() as connection:
            yield connection

    def problems(self) -> list[str]:
        """What SQLite's own check of the whole file finds; PostgreSQL keeps checksums of its own and has no such statement."""
        if self.dialect != "sqlite":
            return []
        with self.reading() as connection:
            found = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [line for line in found if line != "ok"] + [f"row {row[1]} of {row[0]} refers to nothing" for row in broken]

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


def open_store(settings: Settings) -> Store:
    """The workspace's database with the newest schema; made, or brought up to date, if need be.

    Raises `errors.Unavailable` when a PostgreSQL server does not answer, `errors.Invalid` for an address that is none.
    """
    url = address(settings)
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        store = Store(_sqlite(url, "IMMEDIATE"), _sqlite(url, "DEFERRED"))
    else:
        store = Store(
            _postgresql(url, "READ COMMITTED"),
            _postgresql(url, "REPEATABLE READ", default_transaction_read_only="on", **_PLANNING),
        )
    try:
        with _explained(store):
            migrating.upgrade(store.writer)
    except BaseException:
        store.close()
        raise
    return store


def address(settings: Settings) -> URL:
    if settings.database is None:
        return URL.create("sqlite", database=str(settings.home / "tunix-rt.db"))
    try:
        url = make_url(settings.database)
        return url.set(drivername=_DRIVERS[url.get_backend_name()])
    except (ArgumentError, KeyError, ValueError) as error:
        text = (
            f"TUNIX_RT_DATABASE is no address of a SQLite or PostgreSQL database; write postgresql://user@host/name. ({error})"
        )
        raise errors.Invalid(text, field="database") from error


def _sqlite(url: URL, begin: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=16, max_overflow=16
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where this file says, not where the driver guesses
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an acknowledged row survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA mmap_size = 268435456")
        connection.execute(f"PRAGMA query_only = {'OFF' if begin == 'IMMEDIATE' else 'ON'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return engine


def _postgresql(url: URL, isolation: IsolationLevel, **parameters: str) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in {"timezone": "UTC", **parameters}.items())
    arguments = {"options": options, "connect_timeout": 10}
    engine = create_engine(url, isolation_level=isolation, connect_args=arguments, pool_size=16, max_overflow=16)

    @event.listens_for(engine, "checkin")
    def _noted(_connection: Any, record: Any) -> None:
        record.info[_BACK] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _tried(connection: Any, record: Any, _proxy: Any) -> None:
        """Asking whether a connection still lives takes as long as a short query, so only one that has lain idle is asked."""
        if time.monotonic() - record.info.get(_BACK, math.inf) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error

    return engine


@contextmanager
def loading(connection: Connection) -> Iterator[None]:
    """Room for the pages of the indexes while very many rows come, so that SQLite need not write the same page again and again.

    Given back afterwards: a connection's own 2 MB are enough for everything else.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{LOADING_KIB}")
    try:
        yield
    finally:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")


@contextmanager
def _explained(store: Store) -> Iterator[None]:
    """What the database itself refuses, as one sentence."""
    try:
        yield
    except OperationalError as error:
        raise errors.Unavailable(
            f"the database {store.where} cannot be used: {_first_line(error)}.", database=store.where
        ) from error
    except DatabaseError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise errors.Tampered(f"{store.where} is not a database.", database=store.where) from error
        raise


def _first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".")
