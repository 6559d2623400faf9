"""Both databases hold what was committed and nothing else, and the two ways in do what they say."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from tunix_rt import errors, store
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock, engines, migrating
from tunix_rt.traces import stored

ROW = {"id": "a" * 64, "content": b"x" * 16, "source": "cli", "created": datetime.now(UTC), "body": "{}"}


def rows(opened: Store) -> int:
    with opened.reading() as connection:
        return stored.count(connection)


def test_a_block_that_raises_leaves_nothing(opened: Store) -> None:
    with pytest.raises(KeyError), opened.unit_of_work() as connection:
        connection.execute(insert(stored.TABLE).values(ROW))
        raise KeyError
    assert rows(opened) == 0
    with opened.unit_of_work() as connection:
        connection.execute(insert(stored.TABLE).values(ROW))
    assert rows(opened) == 1


def test_a_reader_cannot_write(opened: Store) -> None:
    with pytest.raises((DBAPIError, errors.Unavailable), match="read"), opened.reading() as connection:
        connection.execute(insert(stored.TABLE).values(ROW))
        connection.commit()
    assert rows(opened) == 0


def test_the_clock_is_the_time_and_moments_come_back_aware(opened: Store) -> None:
    with opened.unit_of_work() as connection:
        now = connection.scalar(select(clock() + 30.0))
        connection.execute(insert(stored.TABLE).values({**ROW, "created": clock()}))
        created = connection.scalar(select(stored.TABLE.c.created))
    assert now is not None
    assert created is not None
    assert abs(now - 30 - datetime.now(UTC).timestamp()) < 5
    assert created.tzinfo is UTC
    assert abs(created - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_moment_without_time_zone_is_refused(opened: Store) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="no time zone"), opened.unit_of_work() as connection:
        connection.execute(insert(stored.TABLE).values({**ROW, "created": naive}))


def read_then_write(engine: Engine, failures: list[Exception]) -> None:
    for _ in range(25):
        try:
            with engine.begin() as connection:
                count = connection.scalar(select(func.count()).select_from(stored.TABLE)) or 0
                connection.execute(text("UPDATE traces SET source = :source"), {"source": f"s{count}"})
        except OperationalError as error:
            failures.append(error)


def clash(engine: Engine) -> list[Exception]:
    failures: list[Exception] = []
    threads = [threading.Thread(target=read_then_write, args=(engine, failures)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_reading_before_writing_never_finds_sqlite_locked(tmp_path: Path) -> None:
    opened = store.open_store(Settings(home=tmp_path))
    with opened.unit_of_work() as connection:
        connection.execute(insert(stored.TABLE).values(ROW))
    assert clash(opened.writer) == []
    plain = create_engine(opened.writer.url, connect_args={"timeout": 30, "isolation_level": None})
    event.listen(plain, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    assert clash(plain) != [], "the control must fail: a plain BEGIN loses the race"
    plain.dispose()
    opened.close()


def test_opening_twice_at_once_migrates_once(home: object, either: Settings) -> None:  # noqa: ARG001
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(store.open_store(either))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    for each in opened:
        with each.reading() as connection:
            assert migrating.current(connection) == migrating.head()
        each.close()


def test_a_database_of_a_newer_version_is_refused(opened: Store, either: Settings) -> None:
    with opened.unit_of_work() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    with pytest.raises(errors.Conflict, match="9999_future"):
        store.open_store(either)


@pytest.mark.parametrize("address", ["mysql://x/y", "nonsense", "postgresql://[::1"])
def test_an_address_that_is_none_is_explained(tmp_path: Path, address: str) -> None:
    with pytest.raises(errors.Invalid, match="TUNIX_RT_DATABASE"):
        store.open_store(Settings(home=tmp_path, database=address))


def test_a_server_that_does_not_answer_is_explained_without_the_password(tmp_path: Path) -> None:
    address = f"postgresql://me:secret@/nothing?host={tmp_path}"
    with pytest.raises(errors.Unavailable, match="cannot be used") as found:
        store.open_store(Settings(home=tmp_path, database=address))
    assert "secret" not in str(found.value.as_dict())


@pytest.mark.parametrize("idle", [0.0, 3600.0])
def test_a_connection_that_was_lost_is_replaced(
    home: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, idle: float
) -> None:
    """At once when it has lain idle; else, and that is the control, one request finds out for those after it."""
    monkeypatch.setattr(engines, "IDLE_SECONDS", idle)
    opened = store.open_store(home("postgresql"))
    assert rows(opened) == 0
    with opened.unit_of_work() as connection:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    if idle:
        with pytest.raises(errors.Unavailable):
            rows(opened)
    assert rows(opened) == 0
    opened.close()


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "tunix-rt.db").write_bytes(b"not a database, " * 1000)
    with pytest.raises(errors.Tampered, match="is not a database"):
        store.open_store(Settings(home=tmp_path))
    assert (tmp_path / "tunix-rt.db").read_bytes().startswith(b"not a database")


def test_sqlite_is_as_safe_as_it_can_be(tmp_path: Path) -> None:
    opened = store.open_store(Settings(home=tmp_path))
    with opened.reading() as connection:
        found = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    opened.close()
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING needs it"
