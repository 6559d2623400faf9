"""Promotion in the browser: the decision first, then the version with its way back, its aliases and its history."""

import pytest
from fastapi import FastAPI
from filled import Lab
from seen import Pages

import asking
from tunix_rt import access
from tunix_rt.store import open_artifacts
from tunix_rt.web.registered import SAID


@pytest.fixture
def second(lab: Lab) -> str:
    return lab.ids["second"]


def test_the_gate_is_shown_before_anything_is_promoted(pages: Pages, lab: Lab, second: str) -> None:
    assert f"/runs/{second}/promote" in pages.get(f"/runs/{second}").links()
    asked = pages.get(f"/runs/{second}/promote")
    assert asked.all("select[name=baseline] option") != []
    assert "The gate says" not in asked.text()
    shown = pages.get(f"/runs/{second}/promote", baseline=lab.ids["base"], margin="0.05")
    assert "The gate says pass" in shown.text(".verdict")
    assert len(shown.all(f"form[action='/runs/{second}/promote'][method=post]")) == 1
    assert "summer version 2" not in pages.get(f"/runs/{second}").text()  # looking promotes nothing


def test_a_gate_that_cannot_tell_offers_no_promotion_and_refuses_the_form(pages: Pages, lab: Lab, second: str) -> None:
    unsure = {"baseline": lab.ids["tuned"], "margin": "0.001"}
    shown = pages.get(f"/runs/{second}/promote", **unsure)
    if "The gate says pass" in shown.text():
        pytest.skip("both answer alike, and so many items can see that")
    assert shown.all(f"form[action='/runs/{second}/promote'][method=post]") == []
    refused = pages.post(f"/runs/{second}/promote", {"name": "summer", **unsure})
    assert (refused.status, "is not promoted" in refused.text()) == (409, True)
    assert pages.post(f"/runs/{second}/promote/forced", {"name": "summer", "reason": " ", **unsure}).status == 422


def test_a_run_is_promoted_made_champion_and_rolled_back(pages: Pages, lab: Lab, second: str) -> None:
    form = {"name": "winter", "baseline": lab.ids["base"], "margin": "0.05", "champion": "true"}
    made = pages.post(f"/runs/{lab.ids['run']}/promote", form)
    assert (made.status, made.answer.headers["location"]) == (303, "/models/winter/1")
    forced = pages.post(f"/runs/{second}/promote/forced", {"name": "winter", "reason": "<b>for the fair</b>"})
    assert forced.answer.headers["location"] == "/models/winter/2"
    assert "champion" in pages.get("/models/winter/1").text(".head")
    shown = pages.get("/models/winter/2")
    assert "Forced by owner" in shown.text()
    assert "<b>for the fair</b>" in shown.text()
    assert [node for node in shown.all("main b") if "fair" in node.text()] == []
    assert pages.post("/models/winter/alias", {"version": "2", "reason": "a try"}).status == 303
    assert pages.get("/models/winter").answer.headers["location"] == "/models/winter/2"
    assert pages.post("/models/winter/rollback").answer.headers["location"] == "/models/winter/1"
    told = pages.get("/models/winter/1").text()
    assert "champion rolled back to version 1" in told
    assert "a try" in told
    row = next(node for node in pages.get("/models").all("tr[data-row]") if "winter" in node.text())
    assert "version 1" in row.text()
    assert "champion" in row.text()


def test_a_version_leads_back_to_its_data_and_says_what_became_of_its_files(pages: Pages, lab: Lab) -> None:
    page = pages.get("/models/summer/1")
    assert {f"/runs/{lab.ids['run']}", "/datasets/tiny-sums", f"/evaluations/{lab.ids['tuned']}"} <= page.links()
    assert SAID["absent"] not in page.text()
    assert "there, not read" in page.text()
    assert "every byte verified" in pages.get("/models/summer/1", check="1").text()
    name = next(node.text() for node in page.all("article a[href$='adapter.safetensors']"))
    assert pages.client.get(f"/api/models/summer/versions/1/files/{name}").status_code == 200
    digest = pages.client.get("/api/models/summer/versions/1").json()["adapter_digest"]
    path = open_artifacts(lab.settings).path(digest)
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"\x01" + before[1:])
    assert "adapter.safetensors: the file's bytes have changed" in pages.get("/models/summer/1", check="1").text()
    path.write_bytes(before)


def test_a_viewer_sees_the_decision_and_no_button(app: FastAPI, lab: Lab, second: str) -> None:
    with app.state.service.store.unit_of_work() as connection:
        token = access.add(connection, "onlooker", "viewer", 1)
    viewer = Pages(asking.bearing(app, token))
    shown = viewer.get(f"/runs/{second}/promote", baseline=lab.ids["base"])
    assert "The gate says pass" in shown.text()
    assert shown.all("main form[method=post]") == []
    assert viewer.get("/models/summer/1").all("main form") == []
    form = {"name": "summer", "baseline": lab.ids["base"]}
    assert viewer.post(f"/runs/{second}/promote", form).status == 403
