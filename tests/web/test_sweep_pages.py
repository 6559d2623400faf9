"""The pages of sweeps: the list, ranges in the address, beginning and stopping one."""

from fastapi import FastAPI
from filled import Lab
from seen import Pages

import asking
from tunix_rt import datasets, models


def test_a_sweep_shows_its_trials_what_was_confirmed_and_where_they_lead(pages: Pages, lab: Lab) -> None:
    page = pages.get(f"/sweeps/{lab.ids['sweep']}")
    assert page.status == 200
    assert len(page.all("tbody tr[data-row]")) == 4
    assert len(page.all(".coordinates path.axis")) == 4
    assert len(page.all(".coordinates path")) == 8
    assert "Confirmed: " in page.text()
    assert "look 1 of a trained run at this set" in page.text()
    assert page.all("[data-refresh]") == []
    for link in page.links():
        if link.startswith(("/runs/", "/evaluations/")):
            assert pages.get(link).status == 200


def test_ranges_are_in_the_address_and_each_bar_sets_and_takes_back_one(pages: Pages, lab: Lab) -> None:
    whole = pages.get(f"/sweeps/{lab.ids['sweep']}")
    bars = [link for link in whole.links() if "range=tuning.method" in link]
    assert len(bars) == 2
    shown = []
    for bar in bars:
        page = pages.get(bar)
        rows = len(page.all("tbody tr[data-row]"))
        shown.append(rows)
        assert len(page.all(".coordinates path.out")) == 4 - rows
        assert page.all(".coordinates rect.band") != []
        assert f"{rows} of 4 trials" in page.text()
        back = page.one("[aria-current='true']").attributes["href"]
        assert back == f"/sweeps/{lab.ids['sweep']}"
    assert sum(shown) == 4
    both = pages.get(f"/sweeps/{lab.ids['sweep']}", range=["tuning.method:0:0", "tuning.method:1:1"])
    assert "0 of 4 trials" in both.text()
    assert pages.get(f"/sweeps/{lab.ids['sweep']}", range="tuning.method").status == 422
    assert "0 of 4 trials" in pages.get(f"/sweeps/{lab.ids['sweep']}", range="nothing:0:1").text()


def test_a_sweep_is_begun_and_stopped_in_the_browser(fresh: Pages, fresh_app: FastAPI) -> None:
    settings = fresh_app.state.service.settings
    assert "tunix-rt sweep start" in fresh.get("/sweeps").text("main code")
    refused = fresh.post("/sweeps", {"recipe": "sweep_tiny"})
    assert refused.status == 409
    assert "tunix-rt" in refused.text(".problem")
    models.prepare(settings, "tiny")
    for name in ("tiny-sums", "tiny-sums-val", "tiny-sums-test"):
        datasets.build(datasets.recipe(name), settings.datasets / name)
    begun = asking.owner(fresh_app).post("/sweeps", data={"recipe": "sweep_tiny"})
    assert begun.status_code == 303
    page = fresh.get(begun.headers["location"])
    assert "No trial has been begun yet" in page.text()
    assert len(page.all("[data-refresh]")) == 1
    assert fresh.post(f"{begun.headers['location']}/stop").status == 303
    assert "stopping" in fresh.get(begun.headers["location"]).text()
    assert "stopping" in fresh.get("/sweeps").text()
