"""Row E6 for runs: of thirty secrets in the environment, the message and the log of a run, none gets out of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asking import bearing
from tunix_rt import access, api, runs, store, values
from tunix_rt.launchers import environment
from tunix_rt.redaction import Redactor
from tunix_rt.runs import Outcome, ProbeSpec
from tunix_rt.settings import Settings

CANARIES = [f"c4nary{n:02d}{'Zz9' * 8}" for n in range(30)]
NAMES = [
    "HF_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "DB_PASSWORD",
    "OPENAI_API_KEY",
    "SESSION_COOKIE",
    "SENTRY_DSN",
    "GIT_CREDENTIALS",
]
FORMS = [
    "hf_{}", "sk-{}", "ghp_{}", "glpat-{}", "xoxb-{}", "access_key={}", "Authorization: Bearer {}", "token={}",
    "password: '{}'", '{{"api_key": "{}"}}', "postgresql://me:{}@db/x",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
]  # fmt: skip


def environ() -> dict[str, str]:
    return {f"MINE_{n}_{NAMES[n % len(NAMES)]}": canary for n, canary in enumerate(CANARIES)}


def told() -> str:
    """Each canary as an exception or a library might print it, and a place."""
    return "\n".join(f"line {n}: {FORMS[n % len(FORMS)].format(canary)}" for n, canary in enumerate(CANARIES))


def leaked(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def test_an_engine_sees_no_secret_of_the_environment_and_can_still_run() -> None:
    plain = {f"NOTE_{n}": canary for n, canary in enumerate(CANARIES)}  # under names that give nothing away
    passed = environment.passed_on({**os.environ, **environ(), **plain})
    printed = subprocess.run(
        [sys.executable, "-c", "import os, tunix_rt; print(dict(os.environ))"],
        env=passed, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert leaked(printed) == []
    assert passed["PATH"] == os.environ["PATH"]
    assert leaked(str({**os.environ, **environ()})) != [], "negative control: passed on whole, they would be seen"


def test_an_engine_keeps_its_memory_in_huge_pages_unless_told_otherwise() -> None:
    assert environment.passed_on({})["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert environment.passed_on({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"})["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def answers(settings: Settings) -> str:
    """Everything that the service says of a run whose message and files hold the canaries."""
    opened = store.open_store(settings)
    with opened.unit_of_work() as connection:
        runs.submit(connection, ProbeSpec())
        held = runs.claim(connection, "w")
        assert held is not None
        runs.finish(connection, held, Outcome("failed", "exception", f"{told()} in {held.dir(settings)}"))
    folder = held.dir(settings)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text(f"{told()}\nsaved to {folder}\n")
    event = {"kind": "failed", "message": f"{told()} in {folder}", "at": 1.0}
    (folder / "events.jsonl").write_bytes(values.jsonl_line(event))
    with opened.unit_of_work() as connection:
        runs.ingest(connection, held, folder / "events.jsonl")
    opened.close()
    app = api.make(settings)
    paths = ("", "/log", "/events", "/tail", "/artifacts/log.txt", "/artifacts/events.jsonl")
    client = bearing(app, access.owner_token(settings))
    found = [client.get("/api/runs"), *(client.get(f"/api/runs/{held.run_id}{path}") for path in paths)]
    app.state.service.store.close()
    assert {answer.status_code for answer in found} == {200}
    assert all("line 29" in answer.text for answer in found)
    return "\n".join(answer.text for answer in found)


def test_the_service_tells_of_runs_without_secrets_and_places(either: Settings) -> None:
    said = answers(either)
    assert leaked(said) == []
    assert str(either.home) not in said
    assert "<workspace>/runs/" in said


def test_without_redaction_they_would_be_told(home: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    monkeypatch.setattr(Redactor, "__call__", lambda _, text: text)
    assert len(leaked(answers(home("sqlite")))) == 30


def test_values_that_the_environment_names_secret_are_hidden_whatever_they_look_like(tmp_path: Path) -> None:
    redact = Redactor(tmp_path, environ())
    assert leaked(redact(" ".join(CANARIES))) == []
    assert len(leaked(Redactor(tmp_path, {})(" ".join(CANARIES)))) == 30


@pytest.mark.parametrize(
    "text",
    [
        "step 3 loss 1.25 tokens=160 max_new_tokens: 160",
        "tokenizer: SmolLM2-135M",
        "key 'lora.rank' is 0",
        "token: 12.50",
        "a@b.c",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str, tmp_path: Path) -> None:
    assert Redactor(tmp_path, {})(text) == text


@pytest.mark.parametrize("part", ["eyJ", "sk-", "://a:", "token=", "-----BEGIN PRIVATE KEY-----", "Bearer ", "hf_a"])
def test_a_hostile_log_costs_no_more_than_its_length(part: str, tmp_path: Path) -> None:
    redact, times = Redactor(tmp_path, {}), []
    for size in (20_000, 80_000):
        began = time.process_time()
        redact(part * (size // len(part)))
        times.append(time.process_time() - began)
    assert times[1] < 0.5
