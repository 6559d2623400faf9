"""Every resource does what the contract says, on both databases."""

import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import update

from asking import Client
from tunix_rt import datasets, runs, traces
from tunix_rt.api.examples import TRACE
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings


def numbered(k: int) -> dict[str, Any]:
    return TRACE | {"prompt": f"What is {k} + {k}?", "final_answer": str(2 * k)}


def test_a_trace_is_kept_once_and_comes_back_as_it_was(client: Client) -> None:
    first = client.post("/api/traces", json=TRACE)
    again = client.post("/api/traces", json=TRACE)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    found = client.get(first.headers["location"]).json()
    assert found["trace"] == TRACE
    assert found["id"] == traces.Trace.model_validate(TRACE).id
    assert client.get(f"/api/traces/{found['id'][:12]}").json() == found
    assert client.get(f"/api/traces/{'0' * 64}").status_code == 404


def test_pages_meet_and_searching_finds(client: Client) -> None:
    made = client.post("/api/traces/batch", json={"traces": [*map(numbered, range(25)), numbered(3)]})
    assert (made.status_code, made.json()) == (201, {"added": 25, "duplicates": 1})
    seen: list[str] = []
    after = None
    while True:
        page = client.get("/api/traces", params={"limit": 10} | ({"after": after} if after else {})).json()
        seen += [row["trace"]["prompt"] for row in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [numbered(k)["prompt"] for k in reversed(range(25))]
    found = client.get("/api/traces/search", params={"text": '"what is 7"'}).json()["data"]
    assert [row["trace"]["final_answer"] for row in found] == ["14"]
    assert client.get("/api/traces/search", params={"text": "?!"}).status_code == 422
    assert client.get("/api/traces", params={"source": "cli"}).json() == {"data": [], "next": None}


def test_a_bad_trace_refuses_the_whole_batch_and_names_the_field(client: Client) -> None:
    bad = TRACE | {"steps": [{"i": 2, "type": "compute", "content": "1"}]}
    answer = client.post("/api/traces/batch", json={"traces": [numbered(1), bad]})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["field"] == "body.traces.1.steps"
    assert client.get("/api/traces").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "says"),
    [('{"a": 1, "a": 2}', "occurs twice"), ('{"a": NaN}', "not a JSON number"), ('{"a": 1e999}', "too large"),
     ('{"a": "\\ud800"}', "surrogate"), ('{"a": "\\u0000"}', "NUL"), ("{", "not JSON"), (b"\xff", "UTF-8"), 
     ("", "required"), ("[]", "object")],
)  # fmt: skip
def test_bodies_are_read_strictly(client: Client, body: str | bytes, says: str) -> None:
    answer = client.post("/api/traces", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert says.lower() in answer.text.lower()


def test_a_parameter_is_given_once(client: Client) -> None:
    answer = client.get("/api/traces?limit=3&limit=4")
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, "query.limit")


def test_two_traces_are_compared_and_checked(client: Client) -> None:
    wrong = TRACE | {"steps": [TRACE["steps"][0], {"i": 2, "type": "compute", "content": "12 + 5 = 18"}], "final_answer": "18"}
    a, b = (client.post("/api/traces", json=each).json()["id"] for each in (TRACE, wrong))
    side = client.get("/api/traces/compare", params={"a": a, "b": b}).json()
    assert (side["first_difference"], side["same_prompt"], side["same_answer"]) == (2, True, False)
    assert client.get("/api/traces/compare", params={"a": a, "b": a}).json()["first_difference"] is None
    assert client.get(f"/api/traces/{a}/check").json()["first_wrong"] is None
    assert client.get(f"/api/traces/{b}/check").json()["first_wrong"] == 2
    assert client.post("/api/traces/check", json={"trace": wrong, "mode": "free"}).json()["first_wrong"] == 2
    assert client.post("/api/traces/check", json={"trace": TRACE, "mode": "anchored"}).status_code == 422


def test_a_dataset_is_built_paged_compared_and_downloaded(client: Client, either: Settings) -> None:
    for name in ("tiny-sums", "tiny-sums-eval"):
        assert client.post("/api/datasets", json={"recipe": name}).status_code == 201
    assert client.post("/api/datasets", json={"recipe": "tiny-sums"}).status_code == 200
    listed = client.get("/api/datasets").json()
    assert [row["name"] for row in listed["data"]] == ["tiny-sums", "tiny-sums-eval"]
    assert client.get("/api/datasets", params={"limit": 1}).json()["next"] == "tiny-sums"
    items, after = [], None
    while items == [] or after:
        page = client.get(
            "/api/datasets/tiny-sums-eval/items", params={"limit": 7} | ({"after": after} if after else {})
        ).json()
        items += page["data"]
        after = page["next"]
    kept = list(traces.read(datasets.find(either, "tiny-sums-eval").path))
    assert [item["id"] for item in items] == [trace.id for trace in kept]
    assert client.get("/api/datasets/tiny-sums/items", params={"after": "3"}).status_code == 422
    assert client.get("/api/datasets/tiny-sums/leak", params={"held_out": "tiny-sums-eval"}).json()["exact"] == 0
    assert client.get("/api/datasets/tiny-sums/stats").json()["count"] == listed["data"][0]["count"]
    zipped = client.get("/api/datasets/tiny-sums-eval/export", params={"format": "alpaca"})
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert {"export.json", "train.jsonl"} <= set(archive.namelist())
    assert list((either.home / "tmp").iterdir()) == []


def test_a_recipe_can_be_sent_and_a_taken_name_is_a_conflict(client: Client) -> None:
    recipe = {
        "name": "mine",
        "version": 1,
        "seed": 7,
        "split": "train",
        "description": "",
        "licence": "CC0-1.0",
        "tasks": {"arithmetic": {"count": 5}},
    }
    assert client.post("/api/datasets", json={"recipe": recipe}).json()["count"] == 5
    assert client.post("/api/datasets", json={"recipe": recipe | {"seed": 8}}).status_code == 409
    large = recipe | {"name": "large", "tasks": {"arithmetic": {"count": 30_000}}}
    assert client.post("/api/datasets", json={"recipe": large}).status_code == 422
    assert client.post("/api/datasets", json={"recipe": "nothing"}).status_code == 404


def test_an_upload_is_taken_in_strictly_or_without_its_bad_lines(client: Client) -> None:
    good = json.dumps(TRACE)
    options = {"params": {"file": "mine.jsonl"}, "content": f"{good}\n{{broken\n{good}\n".encode()}
    refused = client.post("/api/datasets/ingest", **options)
    assert refused.status_code == 422
    told = refused.json()
    assert (told["error"]["code"], told["added"], told["rejected"][0]["line"]) == ("bad_lines", 0, 2)
    assert client.get("/api/datasets").json()["data"] == []
    options["params"]["skip_bad"] = "true"
    taken = client.post("/api/datasets/ingest", **options)
    assert taken.status_code == 201
    report = taken.json()
    assert [report[key] for key in ("name", "added", "duplicates", "rejected_count")] == ["mine", 1, 1, 1]


def test_a_run_is_submitted_followed_cancelled_and_resumed(client: Client, either: Settings) -> None:
    asked = {"spec": {"kind": "probe", "seconds": 1}, "dedup_key": "mine", "timeout": 60}
    made = client.post("/api/runs", json=asked)
    assert made.status_code == 202
    run_id = made.json()["run_id"]
    assert client.post("/api/runs", json=asked).json()["run_id"] == run_id
    folder = either.runs / run_id
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("one\ntwo\nthr")
    (folder / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    (folder / "inputs.json").write_text("{}")
    tail = client.get(f"/api/runs/{run_id}/tail").json()
    assert (tail["log"], tail["metrics"]) == (
        {"data": "one\ntwo\n", "next": 8},
        {"data": [{"step": 1}, {"step": 2}], "next": 24},
    )
    later = client.get(f"/api/runs/{run_id}/tail", params={"log": 8, "metrics": 24}).json()
    assert (later["log"]["data"], later["metrics"]["data"]) == ("thr", [])
    assert client.get(f"/api/runs/{run_id}/events").json() == {"data": [], "next": 0}
    assert [each["file"] for each in client.get(f"/api/runs/{run_id}/artifacts").json()["data"]] == ["log.txt", "metrics.jsonl"]
    assert client.get(f"/api/runs/{run_id}/artifacts/log.txt").text == "one\ntwo\nthr"
    assert client.get(f"/api/runs/{run_id}/artifacts/inputs.json").status_code == 404
    assert client.post(f"/api/runs/{run_id}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/runs/{run_id}/resume").json()["state"] == "queued"
    assert client.post(f"/api/runs/{run_id}/resume").status_code == 409
    assert client.get("/api/runs", params={"state": "queued"}).json()["data"][0]["run_id"] == run_id
    assert "folder" not in client.get(f"/api/runs/{run_id}").json()


@pytest.mark.parametrize(
    "body", [{}, {"spec": None}, {"spec": {}}, {"spec": {"kind": "shell"}}, {"spec": {"kind": "probe", "command": "id"}}]
)
def test_a_run_that_is_null_empty_or_unknown_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/api/runs", json=body).status_code == 422
    assert client.get("/api/runs").json()["data"] == []


def test_metrics_count_runs_and_requests_and_name_no_id(client: Client) -> None:
    made = client.post("/api/runs", json={"spec": {"kind": "probe"}}).json()
    store = client.asked._transport.app.state.service.store  # type: ignore[attr-defined]
    with store.unit_of_work() as connection:
        start = {"started": runs.get(connection, made["run_id"]).created.timestamp()}
        connection.execute(update(RUNS).values(state="failed", reason="exception", ended=start["started"] + 2.5, **start))
    client.post("/api/traces", json=TRACE)
    client.get(f"/api/runs/{made['run_id']}")
    text = client.get("/metrics").text
    assert 'tunix_rt_runs{kind="probe",reason="exception",state="failed"} 1.0' in text
    assert 'tunix_rt_run_seconds_sum{kind="probe",reason="exception",state="failed"} 2.5' in text
    assert 'tunix_rt_traces_total{outcome="added"} 1.0' in text
    assert 'route="/api/runs/{run_id}"' in text
    assert made["run_id"] not in text


def test_an_evaluation_is_queued_once_and_names_what_is_missing(client: Client) -> None:
    client.post("/api/datasets", json={"recipe": "tiny-sums-eval"})
    asked = {"model": "tiny", "evalset": "tiny-sums-eval"}
    missing = client.post("/api/evaluations", json=asked)
    assert (missing.status_code, missing.json()["error"]["code"]) == (409, "missing")
    assert client.post("/api/evaluations", json=asked | {"model": "nothing"}).status_code == 404
    assert client.post("/api/evaluations", json={"evalset": "tiny-sums-eval"}).status_code == 422
    unknown = {"run_id": "20261127-090000-0123456789ab", "evalset": "tiny-sums-eval"}
    assert client.post("/api/evaluations", json=unknown).status_code == 404


def test_errors_of_the_framework_have_the_same_form(client: Client) -> None:
    found = [
        client.get("/nothing"),
        client.request("DELETE", "/api/traces"),
        client.get("/api/traces?limit=0"),
        client.request("TRACE", "/api"),
    ]
    assert [answer.status_code for answer in found] == [404, 405, 422, 405]
    assert all(set(answer.json()["error"]) == {"code", "message", "details"} for answer in found)
    assert found[1].headers["allow"] == "GET, POST"


def test_the_reference_names_no_other_host(client: Client) -> None:
    page = client.get("/api")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /api/traces" in page.text
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    assert client.get("/api/reference.css").status_code == 200
    assert client.get("/api/openapi.json").json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("name", ["ingest", "build"])
def test_a_word_of_an_address_names_no_dataset(name: str, client: Client) -> None:
    assert client.get(f"/api/datasets/{name}").status_code == 404
    line = json.dumps(TRACE) + "\n"
    answer = client.post(f"/api/datasets/ingest?file=x.jsonl&name={name}", content=line)
    assert (answer.status_code, "address of the service" in answer.text) == (409, True)
