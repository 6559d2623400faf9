"""What a person changes through pages, seen in the stages underneath."""

import io
import json
import zipfile
from pathlib import Path

import filled
import pytest
from fastapi import FastAPI
from filled import Lab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import Page, Pages

from tunix_rt import datasets, errors, runs
from tunix_rt.jobs import TrainConfig, config_text, read_config
from tunix_rt.runs import ProbeSpec, TrainSpec
from tunix_rt.traces import Step, Trace, stored
from tunix_rt.web import run_form, trace_form
from tunix_rt.web.intake import safe_name
from tunix_rt.web.trace_form import Filled

STEPS = {"type": ["compute", "", "compute"], "content": ["3 * 4 = 12", "  ", "12 + 1 = 13"]}
FORM = {"prompt": "What is 3 * 4 + 1?", "answer": "13", "note": "", **STEPS}


def kept(app: FastAPI, location: str) -> stored.Stored:
    with app.state.service.store.reading() as connection:
        return stored.get(connection, location.rpartition("/")[2])


def test_a_trace_is_written_down_and_blank_rows_are_left_out(fresh: Pages, fresh_app: FastAPI) -> None:
    answer = fresh.post("/traces", FORM)
    assert answer.status == 303
    found = kept(fresh_app, answer.answer.headers["location"])
    assert [step.content for step in found.trace.steps] == ["3 * 4 = 12", "12 + 1 = 13"]
    assert (found.source, found.trace.meta) == ("web", {})
    assert fresh.post("/traces", FORM).answer.headers["location"] == answer.answer.headers["location"]


def test_checking_a_form_keeps_nothing(fresh: Pages, fresh_app: FastAPI) -> None:
    page = fresh.post("/traces", FORM | {"content": ["3 * 4 = 14", "", "14 + 1 = 15"], "answer": "15", "action": "check"})
    assert page.status == 200
    assert "step 1 wrong" in page.text("section h2")
    assert page.one("input[name=answer]").attributes["value"] == "15"
    with fresh_app.state.service.store.reading() as connection:
        assert stored.count(connection) == 0


def test_a_form_that_does_not_fit_says_why_and_keeps_what_was_typed(fresh: Pages) -> None:
    page = fresh.post("/traces", FORM | {"content": ["", "", ""]})
    assert page.status == 422
    assert "steps" in page.text("[role=alert]")
    assert "3 * 4 + 1" in page.one("textarea[name=prompt]").text()


def test_a_mended_trace_is_a_new_one_that_names_its_parent(fresh: Pages, fresh_app: FastAPI) -> None:
    with fresh_app.state.service.store.unit_of_work() as connection:
        old, _ = stored.add(connection, filled.WRONG, "cli")
    form = {
        "prompt": filled.WRONG.prompt,
        "type": ["plan", "compute"],
        "content": [filled.WRONG.steps[0].content, "3 * 4 = 12"],
        "answer": "$12",
        "note": "a slip",
    }
    answer = fresh.post(f"/traces/{old.id[:16]}", form)
    made = kept(fresh_app, answer.answer.headers["location"])
    assert made.trace.meta == {"parent": old.id, "note": "a slip"}
    assert kept(fresh_app, old.id).trace == filled.WRONG
    assert made.id[:8] in fresh.get(f"/traces/{old.id}").text("aside")
    assert "side by side" in fresh.get(f"/traces/{made.id}").text("aside")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60).filter(str.strip)


def as_sent(text: str) -> str:
    """What a browser makes of line breaks."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, st.lists(texts, min_size=1, max_size=4, unique_by=as_sent), texts)
def test_a_trace_that_passes_through_a_browser_unchanged_keeps_its_bytes(prompt: str, contents: list[str], answer: str) -> None:
    steps = tuple(Step(i=i, type="compute", content=text) for i, text in enumerate(contents, start=1))
    before = Trace(prompt=prompt, steps=steps, final_answer=answer, meta={"k": 1})
    kinds, said = ["compute"] * len(contents), list(map(as_sent, contents))
    assert trace_form.filled(Filled(prompt=as_sent(prompt), answer=as_sent(answer), type=kinds, content=said), before) == before


GOOD = b'{"prompt": "What is 2 + 3?", "steps": [{"i": 1, "type": "compute", "content": "2 + 3 = 5"}], "final_answer": "5"}\n'
BAD = b'{"prompt": "", "steps": [], "final_answer": "5"}\n'


def test_a_file_is_taken_in_and_can_be_searched(fresh: Pages) -> None:
    answer = fresh.post("/datasets/ingest", {"name": "mine"}, files={"file": ("my traces.jsonl", GOOD)})
    assert (answer.status, answer.answer.headers["location"]) == (303, "/datasets/mine")
    page = fresh.get("/datasets/mine")
    assert "Read from my-traces.jsonl" in page.text("aside")
    assert "1 row: 1 added, 0 twice, 0 rejected" in page.text("aside")
    assert "2 + 3" in fresh.get("/traces?q=what+3").text("tbody")


def test_a_file_with_a_bad_line_is_refused_and_every_bad_line_listed(fresh: Pages, fresh_app: FastAPI) -> None:
    page = fresh.post("/datasets/ingest", files={"file": ("x.jsonl", GOOD + BAD + b"{\n")})
    assert page.status == 422
    assert "2 bad lines, so nothing was stored" in page.text("[role=alert]")
    assert [row.css("td")[0].text() for row in page.all("tbody tr")] == ["2", "3"]
    assert str(fresh_app.state.service.settings.home) not in page.answer.text
    assert fresh.get("/datasets/x").status == 404
    left = list((fresh_app.state.service.settings.home / "tmp").iterdir())
    assert left == []


def test_bad_lines_may_be_left_out_and_are_still_listed(fresh: Pages) -> None:
    page = fresh.post("/datasets/ingest", {"skip_bad": "true"}, files={"file": ("x.jsonl", GOOD + BAD)})
    assert page.status == 201
    assert "1 bad line left out" in page.text("[role=alert]")
    assert (
        fresh.get("/datasets/x/items").text("tbody").startswith("3")
        or "What is 2 + 3?" in fresh.get("/datasets/x/items").text()
    )


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.jsonl", "a.jsonl"),
        ("../../token", "token"),
        ("C:\\x\\y z.csv", "y-z.csv"),
        ("", "upload.jsonl"),
        ("…", "upload.jsonl"),
    ],
)
def test_a_files_name_is_no_path(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_recipe_is_previewed_then_built(fresh: Pages, fresh_app: FastAPI) -> None:
    home = fresh_app.state.service.settings
    shown = fresh.get("/datasets/build?recipe=tiny-sums")
    text = shown.one("textarea").text().lstrip("\n")
    changed = text.replace('name = "tiny-sums"', 'name = "mine"').replace("count = 64", "count = 8")
    preview = fresh.post("/datasets/build", {"text": changed, "action": "preview"})
    assert "mine makes 8 traces" in preview.text("section.report")
    assert not (home.datasets / "mine").exists()
    assert fresh.post("/datasets/build", {"text": changed, "action": "build"}).status == 303
    assert datasets.manifest(home, "mine").count == 8
    other = changed.replace("count = 8", "count = 9")
    refused = fresh.post("/datasets/build", {"text": other, "action": "build"})
    assert (refused.status, "other content" in refused.text("[role=alert]")) == (409, True)
    assert str(home.home) not in refused.answer.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not TOML"),
        ('name = "x"', "missing"),
        ('nmae = "x"', "Did you mean 'name'"),
        (
            'name="x"\nversion=1\nseed=1\nsplit="eval"\ndescription="d"\nlicence="l"\n'
            '[written]\nfile="token"\nsha256="' + "0" * 64 + '"',
            "names a file of this machine",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_says_why(fresh: Pages, text: str, said: str) -> None:
    page = fresh.post("/datasets/build", {"text": text})
    assert page.status == 422
    assert said in page.text("[role=alert]")


def form_of(page: Page) -> dict[str, object]:
    """What a browser would send of the form that a page shows."""
    sent: dict[str, object] = {}
    for node in page.all("form.sheet input, form.sheet select, form.sheet textarea"):
        name = node.attributes.get("name")
        if not name:
            continue
        if node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            sent[name] = chosen.attributes.get("value", chosen.text()) if chosen else ""
        elif node.attributes.get("type") == "checkbox":
            if "checked" in node.attributes:
                sent.setdefault(name, []).append(node.attributes["value"])
        else:
            sent[name] = node.text() if node.tag == "textarea" else node.attributes.get("value") or ""
    return sent


def test_a_run_is_started_from_the_form_as_it_stands(fresh: Pages, fresh_app: FastAPI) -> None:
    service = fresh_app.state.service
    datasets.build(datasets.recipe("tiny-sums"), service.settings.datasets / "tiny-sums")
    sent = form_of(fresh.get("/runs/new?config=sft_tiny"))
    answer = fresh.post("/runs", sent | {"max_steps": "2"})
    assert answer.status == 303, answer.text()
    with service.store.reading() as connection:
        run = runs.get(connection, answer.answer.headers["location"].rpartition("/")[2])
    asked = run.asked
    assert isinstance(asked, TrainSpec)
    assert (asked.config.name, asked.config.tuning.rank, asked.max_steps) == ("sft_tiny", 4, 2)  # type: ignore[union-attr]
    assert "rank = 4" in fresh.get(f"/runs/new?like={run.run_id}").text("#toml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tuning.rank": "0"}, "tuning.lora.rank"),
        ({"optimizer.learning_rate": "fast"}, "learning_rate"),
        ({"dataset": "absent"}, "no dataset"),
        ({"name": ""}, "name"),
        ({"batch.rwos": "3"}, "Did you mean 'rows'"),
        ({"evaluate.evalset": "absent"}, "no dataset"),
    ],
)
def test_a_run_that_does_not_fit_says_why(pages: Pages, change: dict[str, str], said: str) -> None:
    page = pages.post("/runs", form_of(pages.get("/runs/new")) | change)
    assert page.status in (404, 422)
    assert said in page.text("[role=alert]")


def test_the_form_holds_the_whole_schema_and_its_file_reads_back(tmp_path: Path) -> None:
    config = TrainConfig(name="a", model="tiny", instruction='say "it"\n\\ once', steps=3, optimizer={"learning_rate": 0.01})  # type: ignore[arg-type]
    path = tmp_path / "a.toml"
    path.write_text(config_text(config))
    assert read_config(path) == config
    names = {field.name for group in run_form.groups({}, ()) for field in group.fields}
    assert set(run_form.flat(config.model_dump(mode="json"))) <= names


def test_a_field_below_a_value_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="below a field"):
        run_form.nested({"a": "1", "a.b": "2"})


def test_a_run_is_cancelled_and_resumed(fresh: Pages, fresh_app: FastAPI) -> None:
    service = fresh_app.state.service
    with service.store.unit_of_work() as connection:
        run_id = runs.submit(connection, ProbeSpec(how="hang")).run_id

    def state() -> str:
        with service.store.reading() as connection:
            return runs.get(connection, run_id).state

    assert fresh.post(f"/runs/{run_id}/cancel").status == 303
    assert state() == "cancelled"
    assert fresh.post(f"/runs/{run_id}/resume").status == 303
    assert state() == "queued"
    again = fresh.post(f"/runs/{run_id}/resume")
    assert (again.status, "only a run that ended" in again.text()) == (409, True)


def test_a_finished_run_is_evaluated_with_its_base(pages: Pages, app: FastAPI, lab: Lab) -> None:
    run = lab.ids["second"]
    answer = pages.post(f"/runs/{run}/evaluate", {"evalset": "tiny-sums-eval", "limit": "5"})
    assert answer.status == 303, answer.text()
    with app.state.service.store.reading() as connection:
        found = runs.listed(connection, kind="eval", state="queued").data
    asked = [dict(one.spec) for one in found]
    assert sorted(one.pop("run_id", "") for one in asked) == ["", run]
    questions = {json.dumps({k: v for k, v in one.items() if k not in ("adapter_digest", "tuned_by")}) for one in asked}
    assert len(questions) == 1


def test_a_bundle_is_packed_verified_and_downloaded(pages: Pages, lab: Lab) -> None:
    run = lab.ids["run"]
    assert pages.post("/evidence", {"run": run}).answer.headers["location"] == f"/evidence/{run}"
    page = pages.get(f"/evidence/{run}?depth=1")
    assert "Verified to depth 1" in page.text("section.report")
    answer = pages.client.get(f"/evidence/{run}/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert json.loads(archive.read("looks.json"))["looks"] > 0
    assert pages.get(f"/evidence/{run}?depth=2").status == 422  # what runs models is for the command line


def test_a_bundle_that_would_hold_a_secret_is_not_packed(pages: Pages, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lab.settings.evidence / f"{lab.ids['run']}.zip"
    before = path.read_bytes()
    monkeypatch.setenv("LAB_TOKEN", "Let us see, let us see")  # what the base model of this workspace says
    answer = pages.post("/evidence", {"run": lab.ids["run"]})
    assert answer.status >= 400
    assert "looks like a secret" in answer.text()
    assert path.read_bytes() == before


def test_a_bundle_that_was_changed_is_refused_on_its_page(pages: Pages, lab: Lab) -> None:
    settings_ = lab.settings
    data = bytearray((settings_.evidence / f"{lab.ids['run']}.zip").read_bytes())
    data[len(data) // 2] ^= 1
    for name, content in (("changed", bytes(data)), ("nonsense", b"PK no zip")):
        (settings_.evidence / f"{name}.zip").write_bytes(content)
        page = pages.get(f"/evidence/{name}?depth=1")
        assert page.status == 200
        assert "Refused" in page.text("section.report")
    assert pages.get("/evidence").status == 200
    for name in ("changed", "nonsense"):
        (settings_.evidence / f"{name}.zip").unlink()
