"""`/healthz` touches nothing; `/readyz` notices each of five faults, and nothing where there is none."""

import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from asking import nobody, owner
from tunix_rt import api, runs
from tunix_rt.api.examples import TRACE
from tunix_rt.api.health import CHECKS
from tunix_rt.logs import JsonLines
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.worker import Worker


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


def test_a_postgresql_that_went_away_is_a_fault(postgresql: Any, tmp_path: Path) -> None:
    address = postgresql.create("migrated")
    app = api.make(Settings(home=tmp_path, database=address), least_free=1)
    assert nobody(app).get("/readyz").status_code == 200
    name = address.partition("?")[0].rsplit("/", 1)[1]
    postgresql.command(f'DROP DATABASE "{name}" WITH (FORCE)')
    answer = nobody(app).get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, False)
    assert nobody(app).get("/healthz").status_code == 200
    told = owner(app).get("/api/traces")
    assert (told.status_code, told.json()["error"]["code"]) == (503, "unavailable")
    app.state.service.store.close()
    app.state.service.audit.close()


def test_what_is_logged_of_a_run_names_it(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = owner(app).post("/api/runs", json={"spec": {"kind": "probe"}}).json()["run_id"]
    owner(app).post(f"/api/runs/{made}/cancel")
    owner(app).get("/api/runs")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "tunix_rt.api"]
    assert [line.get("run") for line in lines] == [made, made, None]


def test_what_a_worker_logs_of_a_run_names_it_and_its_reason(opened: Store, either: Settings, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "tunix_rt.worker")
    with opened.unit_of_work() as connection:
        made = runs.submit(connection, runs.ProbeSpec(), dry_run=True).run_id
    Worker(either, opened).work(lambda: False, once=True)
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [(line["event"], line["run"], line.get("reason")) for line in lines] == [
        ("claimed", made, None),
        ("ended", made, "dry_run"),
    ]


def test_no_metric_has_an_id_or_a_text_of_a_client(app: FastAPI) -> None:
    client = owner(app)
    trace, run = client.post("/api/traces", json=TRACE).json()["id"], "20261127-090000-0123456789ab"
    sent = [trace, run, "ab" * 8, "my-dataset", "nowhere", "BREW"]
    for path in (
        f"/api/traces/{trace}",
        f"/api/runs/{run}",
        f"/api/evaluations/{'ab' * 8}",
        "/api/datasets/my-dataset",
        "/nowhere",
    ):
        client.get(path)
    client.request("BREW", "/api/traces")
    figures = client.get("/metrics").text
    assert [each for each in sent if each in figures] == []
    app.state.service.measures.requests.labels("GET", trace, "200").observe(1)
    assert trace in client.get("/metrics").text  # a label with an id would be seen
