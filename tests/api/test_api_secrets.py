"""E6: thirty secrets in a server's surroundings, none of which any answer, page, log, metric or file of a run repeats."""

import os
from collections.abc import Iterator

import httpx
import pytest
from test_api_paths import FILLED

from served import FAULTS, served, working
from tunix_rt import access, api, runs, store
from tunix_rt.api import reference
from tunix_rt.settings import Settings

CANARIES = [f"canary{n:02d}quietly" for n in range(30)]
NAMES = ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
         "GITHUB_TOKEN", "KAGGLE_KEY", "PGPASSWORD", "TUNIX_RT_NOTE"]  # fmt: skip
HEADERS = ["Authorization", "Cookie", "User-Agent", "Referer", "X-Api-Key", "X-Forwarded-For", "Proxy-Authorization", "X-Token"]


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, home: object) -> Settings:
    """Ten secrets in the environment, ten in files beside the database and in the token's, two in the database's address."""
    assert callable(home)
    settings: Settings = home("postgresql")
    for name, canary in zip(NAMES, CANARIES, strict=False):
        monkeypatch.setenv(name, canary)
    settings.home.mkdir(parents=True, exist_ok=True)
    for nth, canary in enumerate(CANARIES[10:18]):
        (settings.home / f".secret-{nth}").write_text(canary)
    (settings.home / "token").touch(0o600)
    (settings.home / "token").write_text(f"{access.PREFIX}{CANARIES[18]}{'x' * 40}\n")
    address = str(settings.database).replace("postgres@", f"postgres:{CANARIES[19]}@")
    return settings.model_copy(update={"database": f"{address}&application_name={CANARIES[20]}"})


def everything(settings: Settings, fault: str = "") -> str:
    """All that a server and a worker say about themselves while every route is asked, with secrets in the headers too."""
    told = []
    environment = dict(os.environ)
    with served(settings, fault, environment) as server, working(settings, 1, fault, environment):
        made = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"authorization": f"Bearer {server.token}"})
        with made as client, httpx.Client(base_url=made.base_url) as stranger:
            run_id = client.post("/api/runs", json={"spec": {"kind": "probe"}}).json()["run_id"]
            for path, method, _ in reference.operations(api.document()):
                place = path.format(**{**FILLED, "run_id": run_id})
                for who, sent in zip((client, stranger, client), (None, b"{", b"[]"), strict=True):
                    said = who.request(method, place, content=sent, headers={HEADERS[2]: CANARIES[23]})
                    told += [str(said.headers), said.text]
            for nth, name in enumerate(HEADERS):
                for path in ("/api/traces", "/api/runs/x", "/nothing"):
                    answer = stranger.get(path, headers={name: CANARIES[21 + nth]})
                    told += [str(answer.headers), answer.text]
            opened = store.open_store(settings)
            for _ in range(600):
                with opened.reading() as connection:
                    if runs.get(connection, run_id).state in runs.ENDED:
                        break
                httpx.get(f"http://127.0.0.1:{server.port}/healthz")
            opened.close()
    return "\n".join([*told, *files(settings)])


def files(settings: Settings) -> Iterator[str]:
    for path in settings.home.rglob("*"):
        if path.is_file() and not path.name.startswith(".secret") and path.name not in ("token",):
            yield path.read_bytes().decode("latin-1")


def test_no_secret_is_repeated(surroundings: Settings) -> None:
    told = everything(surroundings)
    assert "tunix_rt_request_seconds" in told
    assert '"event": "ended"' in told
    assert [canary for canary in CANARIES if canary in told] == []


def test_a_build_that_repeats_its_environment_is_found(surroundings: Settings) -> None:
    """Negative control for the test above."""
    assert "talkative" in FAULTS
    told = everything(surroundings, "talkative")
    assert [canary for canary in CANARIES[:10] if canary not in told] == []
