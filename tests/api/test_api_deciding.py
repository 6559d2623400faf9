"""Over HTTP, on a workspace in which everything has happened once: scoring again, baselines, the gate, evidence."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import filled
import pytest
from fastapi import FastAPI
from filled import Lab

from asking import Client, owner
from tunix_rt import api, evidence
from tunix_rt.api import rescores
from tunix_rt.settings import Settings


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    settings = Settings(home=tmp_path_factory.mktemp("lab"))
    return Lab(settings, filled.fill(settings))


@pytest.fixture(scope="module")
def app(lab: Lab) -> Iterator[FastAPI]:
    made = api.make(lab.settings)
    yield made
    made.state.service.store.close()
    made.state.service.audit.close()


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Client:
    return owner(app)


@pytest.fixture
def evaluation(lab: Lab) -> str:
    return f"/api/evaluations/{lab.ids['tuned']}"


def scored_by(client: Client, evaluation: str) -> list[str]:
    return [row["scorer"] for row in client.get(f"{evaluation}/rescores").json()["data"]]


# ── scoring again ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_stored_answers_are_scored_again_and_kept_once(client: Client, evaluation: str) -> None:
    summary = client.get(evaluation).json()
    first, again = (client.post(f"{evaluation}/rescores", json={"name": "exact"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert [first.json()[key] for key in ("scorer", "n", "correct")] == ["exact", summary["n"], summary["correct"]]
    loose = client.post(f"{evaluation}/rescores", json={"name": "numeric", "absolute": 1e9}).json()
    assert (loose["accuracy"], client.get(evaluation).json()) == (1.0, summary)
    assert scored_by(client, evaluation) == ["exact", "numeric"]
    marks = client.get(f"{evaluation}/rescores/{loose['scorer_digest']}/scores", params={"limit": 3}).json()
    assert ([mark["outcome"] for mark in marks["data"]], marks["next"] is None) == (["correct"] * 3, False)
    assert client.get(f"{evaluation}/rescores/{'0' * 64}/scores").status_code == 404


@pytest.mark.parametrize(
    ("asked", "says"),
    [({}, "name"), ({"name": "magic"}, "magic"), ({"name": "regex", "pattern": "("}, "RE2"),
     ({"name": "exact", "path": "x"}, "path"), ({"name": "choice"}, "applies to none")],
)  # fmt: skip
def test_a_scorer_that_cannot_score_is_refused(client: Client, evaluation: str, asked: dict[str, Any], says: str) -> None:
    before = scored_by(client, evaluation)
    answer = client.post(f"{evaluation}/rescores", json=asked)
    assert (answer.status_code, says in answer.text) == (422, True), answer.text
    assert scored_by(client, evaluation) == before


def test_grading_that_takes_too_long_is_ended_and_nothing_is_kept(
    client: Client, evaluation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescores, "GRADING_SECONDS", 0.0)
    answer = client.post(f"{evaluation}/rescores", json={"name": "length"})
    assert (answer.status_code, "tunix-rt rescore" in answer.text) == (422, True)
    assert "length" not in scored_by(client, evaluation)


# ── baselines and the gate ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_candidate_is_gated_against_a_baseline_by_its_name_or_id(client: Client, lab: Lab) -> None:
    base, tuned = lab.ids["base"], lab.ids["tuned"]
    named = client.post("/api/baselines", json={"name": "release", "evaluation_id": base})
    assert (named.status_code, named.json()["direction"]) == (201, "higher_is_better")
    assert client.get("/api/baselines").json() == {"data": [named.json()], "next": None}
    by_name, by_id = (
        client.post("/api/gate", json={"candidate": tuned, "baseline": baseline}).json() for baseline in ("release", base)
    )
    assert (by_name["baseline_name"], by_id["baseline_name"]) == ("release", None)
    assert by_name["decision"] == by_id["decision"] == "pass"
    back = client.post("/api/gate", json={"candidate": base, "baseline": tuned}).json()
    assert (back["decision"], back["exploratory"]) == ("fail", True)


@pytest.mark.parametrize("word", ["nothing", "0" * 16, "src", "tests"])
def test_a_word_that_names_nothing_is_no_baseline(client: Client, lab: Lab, word: str) -> None:
    assert client.post("/api/gate", json={"candidate": lab.ids["tuned"], "baseline": word}).status_code == 404


def test_a_metric_that_is_not_there_is_refused(client: Client, lab: Lab) -> None:
    asked = {"name": "other", "evaluation_id": lab.ids["base"], "metric": "charm"}
    assert client.post("/api/baselines", json=asked).status_code == 404
    assert "other" not in str(client.get("/api/baselines").json())


# ── evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_packed_verified_and_downloaded(client: Client, lab: Lab) -> None:
    run_id = lab.ids["second"]
    made = client.post("/api/evidence", json={"run_id": run_id})
    assert (made.status_code, made.json()["name"]) == (201, run_id)
    assert made.json()["manifest"]["run_id"] == run_id
    assert client.get(made.headers["location"]).json() == made.json()
    assert {row["name"] for row in client.get("/api/evidence").json()["data"]} >= {run_id, lab.ids["run"]}
    report = client.get(f"/api/evidence/{run_id}/verify").json()
    assert (report["ok"], report["depth_reached"]) == (True, 1)
    content = client.get(f"/api/evidence/{run_id}/download").content
    assert content == (lab.settings.evidence / f"{run_id}.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert "manifest.json" in archive.namelist()


def test_a_bundle_that_was_changed_is_not_verified(client: Client, lab: Lab) -> None:
    whole = (lab.settings.evidence / f"{lab.ids['run']}.zip").read_bytes()
    (lab.settings.evidence / "changed.zip").write_bytes(whole[:5_000] + b"!" + whole[5_001:])
    assert client.get("/api/evidence/changed/verify", params={"depth": 0}).json()["ok"] is False
    assert evidence.verify(lab.settings.evidence / f"{lab.ids['run']}.zip", 0).ok


def test_what_cannot_be_packed_says_why(client: Client, lab: Lab) -> None:
    for run_id in (lab.ids["failed"], lab.ids["queued"]):
        answer = client.post("/api/evidence", json={"run_id": run_id})
        assert (answer.status_code, "no finished run" in answer.text) == (404, True)
    assert client.get("/api/evidence/nothing").status_code == 404
    pages = client.get("/api/evidence", params={"limit": 1}).json()
    assert pages["next"] == pages["data"][0]["name"]
