"""The door holds: every route has a rule, foreign pages change nothing, names are no paths, bodies are bounded, secrets stay.

Each attack is also made on an app whose rule is switched off on purpose, where it must succeed.
"""

import asyncio
import gzip
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from asking import BASE, Client, bearing, browser, nobody, owner
from tunix_rt import access, api, errors, logs
from tunix_rt.api import audit, bodies
from tunix_rt.api.app import routes
from tunix_rt.api.audit import Audit
from tunix_rt.api.examples import TRACE
from tunix_rt.api.guard import Asked, Guard, Site, paths
from tunix_rt.api.policy import POLICY, Rule
from tunix_rt.api.replies import Denied
from tunix_rt.store import clock
from tunix_rt.traces import stored

Make = Callable[..., FastAPI]
ORIGIN = BASE
FILLED = {
    "trace_id": "ab" * 32,
    "name": "tiny-sums",
    "evaluation_id": "ab" * 8,
    "run_id": "20261127-090000-0123456789ab",
    "sweep_id": "sweep_tiny-0123abcd",
    "file": "log.txt",
    "which": "1",
    "alias": "champion",
    "scorer_digest": "ab" * 32,
    "bundle": "20261127-090000-0123456789ab",
}


def kept(app: FastAPI) -> int:
    with app.state.service.store.reading() as connection:
        return stored.count(connection)


def every_route() -> list[tuple[str, str]]:
    return sorted({(method, path) for route in routes() for method, path, _ in paths(route)})


# --- S1: who may


@pytest.mark.parametrize(("method", "path"), every_route())
def test_every_route_has_a_rule_and_refuses_strangers(app: FastAPI, method: str, path: str) -> None:
    rule = POLICY[method, path]
    answer = nobody(app).request(method, path.format(**FILLED))
    assert (answer.status_code == 401) == (rule.need != "public"), answer.text


def test_few_routes_are_public_and_no_rule_is_left_over() -> None:
    assert len([rule for rule in POLICY.values() if rule.need == "public"]) <= 4
    assert {key for key in POLICY if key != ("GET", "/static")} == set(every_route())


def test_an_app_with_a_route_without_a_rule_does_not_start() -> None:
    policy = {key: rule for key, rule in POLICY.items() if key != ("GET", "/metrics")}
    with pytest.raises(errors.Invalid, match="no rule"):
        Site(routes(), policy)


def test_strangers_get_in_where_the_rule_says_public(make: Make) -> None:
    app = make(policy=dict.fromkeys(POLICY, Rule("public", 10_000)))
    assert nobody(app).get("/api/traces").status_code == 200


@pytest.mark.parametrize("role", access.ROLES)
def test_a_role_may_what_the_table_says(app: FastAPI, role: access.Role) -> None:
    with app.state.service.store.unit_of_work() as connection:
        token = access.add(connection, f"some-{role}", role, 1)
    client = bearing(app, token)
    rank = access.ROLES.index(role)
    assert client.get("/api/whoami").json() == {"name": f"some-{role}", "role": role}
    assert client.post("/api/traces", json=TRACE).status_code == (201 if rank >= 1 else 403)
    assert client.post("/api/runs", json={"spec": {"kind": "probe"}}).status_code == (202 if rank >= 2 else 403)


def test_a_token_ends_when_it_is_revoked_or_too_old(app: FastAPI) -> None:
    service = app.state.service
    with service.store.unit_of_work() as connection:
        tokens = [access.add(connection, name, "viewer", 1) for name in ("revoked", "old", "good")]
        access.revoke(connection, "revoked")
        connection.execute(update(access.TABLE).where(access.TABLE.c.name == "old").values(expires=clock() - 1))
    found = [bearing(app, token).get("/api/whoami").status_code for token in tokens]
    assert found == [401, 401, 200]
    assert nobody(app).get("/api/whoami", headers={"authorization": "Basic b3duZXI6"}).status_code == 401


def test_a_token_file_that_others_can_read_is_refused(app: FastAPI) -> None:
    settings = app.state.service.settings
    path = access.owner_file(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(errors.Unsafe, match="read by others") as refused:
        access.owner_token(settings)
    assert refused.value.exit_code == 78


def test_a_code_opens_once_and_for_a_minute(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    made = owner(app).post("/api/login-codes").json()
    first = nobody(app).get(made["path"])
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert nobody(app).get(made["path"]).status_code == 403
    late = owner(app).post("/api/login-codes").json()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert nobody(app).get(late["path"]).status_code == 403


def test_a_code_of_one_server_is_swapped_once_by_any_of_the_workspace(app: FastAPI) -> None:
    service = app.state.service
    other = api.make(service.settings)
    try:
        made = owner(app).post("/api/login-codes").json()
        answers = [nobody(asked).get(made["path"]).status_code for asked in (other, app, other)]
    finally:
        other.state.service.store.close()
    assert answers == [303, 403, 403]


def test_of_many_who_swap_one_code_one_gets_in(app: FastAPI) -> None:
    sessions = app.state.service.sessions
    code = sessions.code(access.Principal("owner", "admin", "0" * 64))
    with ThreadPoolExecutor(16) as pool:
        cookies = list(pool.map(sessions.swapped, [code] * 64))
    assert sum(cookie is not None for cookie in cookies) == 1


def test_a_cookie_cannot_be_made_up_or_outlive_its_token(app: FastAPI) -> None:
    client = browser(app)
    assert client.get("/api/whoami").json()["name"] == "owner"
    cookie = client.asked.cookies["tunix_rt"]
    key, expires, mac = cookie.split(".")
    for forged in (
        f"{key}.{int(expires) + 1}.{mac}",
        f"{key}.{expires}.{'0' * 64}",
        f"{key}.{expires}",
        "",
        "x" * 500,
        f"{key}.-1.{mac}",
    ):
        answer = nobody(app).get("/api/whoami", headers={"cookie": f"tunix_rt={forged}"})
        assert answer.status_code == 401, forged


# --- S2, S3: pages of other sites

HOSTS = [
    "evil.example",
    "evil.example:8321",
    "127.0.0.1.evil.example:8321",
    "localhost.evil.example:8321",
    "127.0.0.1:80",
    "127.0.0.1",
    "localhost",
    "localhost.:8321",
    "127.0.0.1.:8321",
    "127.1:8321",
    "2130706433:8321",
    "0x7f000001:8321",
    "0177.0.0.1:8321",
    "0.0.0.0:8321",
    "[::]:8321",
    "[::ffff:127.0.0.1]:8321",
    "127.0.0.2:8321",
    "127.0.0.1:8321.evil.example",
    "127.0.0.1:08321",
    "127.0.0.1:8321:8321",
    "user@127.0.0.1:8321",
    "127.0.0.1:8321/",
    "127.0.0.1:8321#",
    "http://127.0.0.1:8321",
    " 127.0.0.1 :8321",
    "127.0.0.1%00:8321",
    "192.168.0.1:8321",
    "10.0.0.1:8321",
    "host.docker.internal:8321",
    "xn--localhost:8321",
    "",
    "*",
]


def attack_hosts(app: FastAPI) -> int:
    client = owner(app)
    for host in HOSTS:
        client.post("/api/traces", json=TRACE, headers={"host": host})
    return kept(app)


class NoHosts(Guard):
    def check_host(self, asked: Asked) -> None: ...


class NoPages(Guard):
    def check_page(self, asked: Asked) -> None: ...

    def check_evidence(self, asked: Asked) -> None: ...


def test_a_name_that_was_made_to_point_here_reaches_nothing(app: FastAPI) -> None:
    assert len(HOSTS) >= 30
    assert attack_hosts(app) == 0


def test_such_a_name_would_reach_an_app_without_the_rule(make: Make) -> None:
    assert attack_hosts(make(guard=NoHosts)) == 1


@pytest.mark.parametrize(
    "host", [f"127.0.0.1:{api.PORT}", f"localhost:{api.PORT}", f"LOCALHOST:{api.PORT}", f"[::1]:{api.PORT}"]
)
def test_the_servers_own_names_are_let_in(app: FastAPI, host: str) -> None:
    assert owner(app).get("/api/traces", headers={"host": host}).status_code == 200


JSON = {"content-type": "application/json"}
FOREIGN: list[dict[str, str]] = [
    {},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://localhost:8321"},
    {"origin": "http://127.0.0.1:8321.evil.example"},
    {"origin": "http://127.0.0.1"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "origin": ORIGIN},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
    {"sec-fetch-site": "nonsense", "origin": ORIGIN},
    {"referer": f"{ORIGIN}/runs"},
    {"x-requested-with": "XMLHttpRequest"},
    {"origin": "https://evil.example", "content-type": "text/plain"},
]


def attack_with_cookie(app: FastAPI) -> int:
    client = browser(app)
    for headers in FOREIGN:
        client.post("/api/traces", content=json.dumps(TRACE), headers=JSON | headers)
    return kept(app)


def test_a_foreign_page_changes_nothing_with_the_cookie(app: FastAPI) -> None:
    assert len(FOREIGN) >= 12
    assert attack_with_cookie(app) == 0


def test_no_route_takes_a_change_from_a_foreign_page(app: FastAPI) -> None:
    client = browser(app)
    for method, path in [key for key in every_route() if key[0] != "GET"]:
        for headers in FOREIGN:
            answer = client.request(method, path.format(**FILLED), json={}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "bad_origin"), (path, headers)


def test_a_foreign_page_would_change_an_app_without_the_rule(make: Make) -> None:
    assert attack_with_cookie(make(guard=NoPages)) == 1


@pytest.mark.parametrize("headers", [{"origin": ORIGIN}, {"sec-fetch-site": "same-origin"}])
def test_an_own_page_may_change_things(app: FastAPI, headers: dict[str, str]) -> None:
    assert browser(app).post("/api/traces", json=TRACE, headers=headers).status_code == 201


def test_a_foreign_page_cannot_have_anything_worked_out(app: FastAPI) -> None:
    client = browser(app)
    foreign = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/api/traces", headers=foreign).status_code == 403
    assert client.get("/api/traces", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200


def test_every_answer_carries_the_security_headers(app: FastAPI) -> None:
    for answer in (nobody(app).get("/healthz"), nobody(app).get("/api/traces"), owner(app).get("/api"), owner(app).get("/x")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


# --- S15: bodies


async def pieces(count: int, size: int, wait: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(wait)
        yield b" " * size


def test_too_much_is_refused_at_once_with_and_without_a_length(app: FastAPI) -> None:
    client = owner(app)
    began = time.monotonic()
    assert client.post("/api/runs", content=b" " * 300_000, headers=JSON).status_code == 413
    assert client.post("/api/runs", content=pieces(1_000, 10_000), headers=JSON).status_code == 413
    assert client.post("/api/runs/x/cancel", content=pieces(10, 1_000)).status_code == 413
    assert client.request("GET", "/api/traces", content=b"{}").status_code == 413
    assert time.monotonic() - began < 2.0


def test_more_would_be_taken_under_a_larger_rule(make: Make) -> None:
    app = make(policy={**POLICY, ("POST", "/api/runs"): Rule("runner", 10**8)})
    assert owner(app).post("/api/runs", content=b" " * 300_000, headers=JSON).status_code == 422


def test_an_upload_is_counted_as_it_comes(make: Make) -> None:
    app = make(policy={**POLICY, ("POST", "/api/datasets/ingest"): Rule("editor", 100_000, streamed=True)})
    assert owner(app).post("/api/datasets/ingest", content=pieces(50, 10_000)).status_code == 413
    assert list((app.state.service.settings.home / "tmp").iterdir()) == []


def test_compressed_bodies_are_refused(app: FastAPI) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    answer = owner(app).post("/api/traces", content=bomb, headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 415
    upload = owner(app).post("/api/datasets/ingest", params={"file": "x.jsonl"}, content=bomb)
    assert (upload.status_code, upload.json()["error"]["code"]) == (422, "compressed")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" * 70 + "]" * 70, '{"meta": ' + "[" * 65 + "]" * 65 + "}", "9" * 5_000]
)
def test_deep_and_huge_json_is_refused(app: FastAPI, text: str) -> None:
    assert owner(app).post("/api/traces", content=text, headers=JSON).status_code == 422


def test_a_slow_body_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    assert owner(app).post("/api/traces", content=pieces(3, 10, 0.05), headers=JSON).status_code == 422
    monkeypatch.setattr(bodies, "SECONDS", 0.1)
    assert owner(app).post("/api/traces", content=pieces(3, 10, 0.3), headers=JSON).status_code == 408
    assert owner(app).post("/api/datasets/ingest", content=pieces(3, 10, 0.3)).status_code == 408


def test_large_work_has_few_seats(app: FastAPI) -> None:
    service = app.state.service
    with service.heavy(), service.heavy():
        answer = owner(app).post("/api/datasets", json={"recipe": "tiny-sums"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
        with pytest.raises(Denied):
            service.heavy().__enter__()
    assert owner(app).post("/api/datasets", json={"recipe": "tiny-sums"}).status_code == 201


# --- S16, E6: logs


def logged(app: FastAPI, caplog: pytest.LogCaptureFixture) -> str:
    lines = [logs.JsonLines().format(record) for record in caplog.records if record.name.startswith("tunix_rt")]
    return "\n".join([*lines, ""]) + (app.state.service.settings.home / "audit.jsonl").read_text()


def secrets_sent(app: FastAPI) -> list[str]:
    """Thirty secrets where a careless service would write them down."""
    found = [f"canary-{i:02d}-{'s3cret' * 3}" for i in range(30)]
    client = owner(app)
    for i, canary in enumerate(found):
        where = i % 10
        headers = [
            {"authorization": f"Bearer {canary}"},
            {"cookie": f"tunix_rt={canary}"},
            {"user-agent": canary},
            {"x-token": canary},
            {"referer": canary},
        ]
        if where < 5:
            client.post("/api/runs", json={}, headers=headers[where])
        elif where == 5:
            client.get("/api/traces", params={"source": canary, "limit": "0"})
        elif where == 6:
            client.post("/api/traces", json=TRACE | {"prompt": canary})
        elif where == 7:
            client.post("/api/traces", content=f'{{"{canary}": 1', headers=JSON)
        elif where == 8:
            nobody(app).get("/login", params={"code": canary})
        else:
            client.post("/api/datasets", json={"recipe": canary.replace("s3cret", "x/")})
    return [*found, access.read_owner_token(app.state.service.settings)]


def test_no_secret_is_written_down(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = secrets_sent(app)
    written = logged(app, caplog)
    assert written.count('"request"') > 30
    assert [canary for canary in found if canary in written] == []
    logging.getLogger("tunix_rt.api").info("careless %s", found[0])
    assert found[0] in logged(app, caplog)  # it would have been seen


def test_an_exception_is_logged_without_its_words(
    app: FastAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary in a message")

    monkeypatch.setattr(stored, "listed", broken)
    answer = owner(app).get("/api/traces")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "failed"
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    written = logged(app, caplog)
    assert "RuntimeError" in written
    assert "canary" not in written + answer.text


FORGED = pytest.mark.parametrize("forged", ["x%0a{}", "x%0d%0a{}", "x%e2%80%a8{}", "x%1b[2J{}", "x%00{}"])
LINE = '{"time": "now", "who": "owner", "status": 200}'


def holds(written: str) -> bool:
    """Whether it is one object a line, in ASCII, and nobody's own line is among them."""
    lines = [each for each in written.splitlines() if each.startswith("{") and each.endswith("}")]
    return written.isascii() and len(lines) == len(written.splitlines()) and LINE not in written


def forge(app: FastAPI, forged: str) -> None:
    """In an address, which the audit might quote, and in what a careless line of ours might say."""
    owner(app).post(f"/api/runs/{forged.format(LINE)}/cancel", headers={"user-agent": "x\ty"})
    logging.getLogger("tunix_rt.api").info("careless %s", unquote(forged.format(LINE)))


@FORGED
def test_a_line_cannot_be_forged(app: FastAPI, caplog: pytest.LogCaptureFixture, forged: str) -> None:
    caplog.set_level(logging.INFO)
    forge(app, forged)
    written = logged(app, caplog)
    assert holds(written)
    assert all(isinstance(json.loads(each), dict) for each in written.splitlines())


@FORGED
def test_an_audit_that_quotes_by_hand_is_found_forged(
    app: FastAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, forged: str
) -> None:
    """Negative control for the test above."""

    def plain(audited: Audit, **fields: object) -> None:
        os.write(audited._descriptor, f'{{"route": "{fields["route"]}", "params": "{fields["params"]}"}}\n'.encode())

    monkeypatch.setattr(audit, "shown", dict)
    monkeypatch.setattr(Audit, "write", plain)
    forge(app, forged)
    assert not holds(logged(app, caplog))


@FORGED
def test_a_log_without_escapes_is_found_forged(
    app: FastAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, forged: str
) -> None:
    """The other negative control."""
    monkeypatch.setattr(logs.JsonLines, "format", lambda _, record: f'{{"event": "{record.getMessage()}"}}')
    caplog.set_level(logging.INFO)
    forge(app, forged)
    assert not holds(logged(app, caplog))


def test_the_audit_says_who_did_what(app: FastAPI) -> None:
    owner(app).post("/api/traces", json=TRACE)
    owner(app).get("/api/traces")
    nobody(app).get("/api/traces")
    browser(app).post("/api/runs", json={"spec": {"kind": "probe"}}, headers={"origin": ORIGIN})
    path = app.state.service.settings.home / "audit.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    told = [(row["method"], row["route"], row["status"], row["who"], row["by"]) for row in rows]
    assert told == [
        ("POST", "/api/traces", 201, "owner", "token"),
        ("GET", "/api/traces", 401, None, None),
        ("POST", "/api/login-codes", 201, "owner", "token"),
        ("POST", "/api/runs", 202, "owner", "cookie"),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_answer_tells_where_the_workspace_lies(app: FastAPI) -> None:
    home = app.state.service.settings.home
    (home / "datasets" / "torn").mkdir(parents=True)
    (home / "datasets" / "torn" / "manifest.json").write_text("{")
    answer = owner(app).get("/api/datasets/torn")
    assert answer.status_code == 422
    assert "<workspace>/datasets/torn/manifest.json" in answer.text
    assert str(home) not in answer.text


def test_a_clients_headers_and_cookie_are_its_own(app: FastAPI) -> None:
    twice = Client(app)
    answer = twice.request("GET", "/api/traces", headers=[("host", f"127.0.0.1:{api.PORT}"), ("host", "evil.example")])
    assert answer.status_code == 400
