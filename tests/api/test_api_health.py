"""`/healthz` touches nothing; `/readyz` notices each of five faults, and nothing where there is none."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from asking import nobody
from tunix_rt import api, runs
from tunix_rt.api.health import CHECKS
from tunix_rt.settings import Settings
from tunix_rt.store import Store


def without_database(app: FastAPI) -> None:
    settings: Settings = app.state.service.settings
    for path in settings.home.glob("tunix-rt.db*"):
        path.rename(path.with_suffix(".gone"))


def older_schema(app: FastAPI) -> None:
    with app.state.service.store.unit_of_work() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001_traces'"))


def unwritable(app: FastAPI) -> None:
    (app.state.service.settings.home / ".writable").mkdir()


def full_disk(app: FastAPI) -> None:
    app.state.service.least_free = 1 << 62


def dead_worker(app: FastAPI) -> None:
    store: Store = app.state.service.store
    with store.unit_of_work() as connection:
        connection.execute(text("UPDATE workers SET heartbeat = heartbeat - 600"))


FAULTS: dict[str, Callable[[FastAPI], None]] = {
    "database": without_database,
    "schema": older_schema,
    "writable": unwritable,
    "disk": full_disk,
    "worker": dead_worker,
}


@pytest.fixture
def ready(make: Callable[..., FastAPI]) -> FastAPI:
    made = make(needs_worker=True, least_free=1)
    with made.state.service.store.unit_of_work() as connection:
        runs.register(connection, str(uuid.uuid4()), host="here", boot_id="b", pid=1, slots=1)
    return made


def test_it_is_ready_without_a_fault(ready: FastAPI) -> None:
    answer = nobody(ready).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": dict.fromkeys(CHECKS, True)})


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_not_ready_with_a_fault(ready: FastAPI, fault: str) -> None:
    FAULTS[fault](ready)
    answer = nobody(ready).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"][fault] is False


def test_a_database_that_is_no_database_is_a_fault(ready: FastAPI) -> None:
    ready.state.service.store.close()
    path: Path = ready.state.service.settings.home / "tunix-rt.db"
    path.write_bytes(b"not a database" * 100)
    assert nobody(ready).get("/readyz").json()["checks"]["database"] is False


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_alive_with_every_fault(ready: FastAPI, fault: str) -> None:
    FAULTS[fault](ready)
    assert nobody(ready).get("/healthz").status_code == 200


def test_being_alive_opens_no_connection(either: Settings) -> None:
    app = api.make(either)
    store: Store = app.state.service.store
    store.close()
    before = store.reader.pool.status(), store.writer.pool.status()
    assert nobody(app).get("/healthz").status_code == 200
    assert (store.reader.pool.status(), store.writer.pool.status()) == before
    nobody(app).get("/readyz")
    assert (store.reader.pool.status(), store.writer.pool.status()) != before  # it would show
    store.close()
    app.state.service.audit.close()
