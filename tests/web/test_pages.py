"""Every page, asked for as a browser does: what it shows, where it leads, and what it says to nonsense."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import filled
import pytest
from fastapi import FastAPI
from filled import Lab
from seen import HTML, Pages

import asking
from tunix_rt import access, api, web
from tunix_rt.api.guard import paths
from tunix_rt.api.policy import POLICY
from tunix_rt.settings import Settings
from tunix_rt.web import app as web_app
from tunix_rt.web import assets
from tunix_rt.web.policy import PAGES

STATIC = Path(assets.__file__).with_name("static")


def addresses(ids: dict[str, str]) -> list[str]:
    """One address of every page, most with content."""
    run, trace = ids["run"], ids["trace"][:16]
    return [
        "/",
        "/traces",
        "/traces?verdict=wrong",
        "/traces/new",
        f"/traces/{trace}",
        f"/traces/{trace}/edit",
        f"/traces/{trace}/vs/{ids['sum'][:16]}",
        "/datasets",
        "/datasets/ingest",
        "/datasets/build?recipe=tiny-sums",
        "/datasets/tiny-sums",
        "/datasets/tiny-sums/items",
        "/datasets/tiny-sums/items/0",
        "/datasets/tiny-sums/examination?held_out=tiny-sums-eval",
        "/runs",
        "/runs/new",
        f"/runs/{run}",
        f"/runs/{ids['failed']}",
        f"/runs/{ids['queued']}",
        f"/runs/{run}/log",
        f"/runs/{run}/config?against={ids['second']}",
        "/sweeps",
        f"/sweeps/{ids['sweep']}",
        f"/sweeps/{ids['sweep']}?range=tuning.method:0:0&range=optimizer.learning_rate:0:0.5",
        "/leaderboard",
        "/evaluations/new",
        f"/evaluations/{ids['tuned']}?outcome=correct",
        f"/compare?run={run}",
        f"/compare?run={ids['tuned']}&run={ids['other']}",
        f"/compare/items?run={run}&show=fixed",
        "/models",
        "/models/summer/1?check=1",
        f"/runs/{run}/promote",
        f"/runs/{run}/promote?baseline={ids['base']}",
        f"/runs/{ids['second']}/promote?baseline={ids['tuned']}",
        "/evidence",
        f"/evidence/{run}?depth=1",
    ]


def test_every_page_has_a_rule_and_none_is_left_over() -> None:
    routed = {(method, path) for route in web_app.routes() for method, path, _ in paths(route)}
    assert routed - {("GET", "/static")} == set(PAGES)
    assert not PAGES.keys() & POLICY.keys()
    assert [key for key, rule in PAGES.items() if rule.need == "public"] == []


def test_every_page_stands_alone_and_shows_its_command(pages: Pages, lab: Lab) -> None:
    for address in addresses(lab.ids):
        page = pages.get(address)
        assert page.status == 200, (address, page.text())
        assert page.one("h1").text().strip(), address
        assert page.one("#command").text().startswith(("tunix-rt ", "curl ")), address
        assert page.all("[style], style, script:not([src]):not([type='application/json'])") == [], address
        assert page.answer.headers["cache-control"] == "no-store"


def test_every_page_answers_on_postgresql_too(home: Callable[[str], Settings]) -> None:
    settings = home("postgresql")
    ids = filled.fill(settings)
    app = web.make(settings)
    pages = Pages(asking.owner(app))
    answers = {address: pages.get(address) for address in addresses(ids)}
    found = {address: page.text() for address, page in answers.items() if page.status != 200 or not page.one("h1").text()}
    filled.closed(app)
    assert found == {}


def test_no_link_is_dead(pages: Pages, lab: Lab) -> None:
    found = {link for address in addresses(lab.ids) for link in pages.get(address).links()}
    inside = {link for link in found if link.startswith("/") and not link.endswith("/download") and "/export" not in link}
    assert found - inside - {link for link in found if link.startswith(("#", "/"))} == set()
    for link in sorted(inside):
        answer = pages.client.get(link, headers=HTML)
        assert answer.status_code in (200, 303), (link, answer.status_code)


def test_a_stranger_is_told_how_to_get_in_and_a_program_in_json(app: FastAPI) -> None:
    stranger = Pages(asking.nobody(app))
    page = stranger.get("/runs")
    assert page.status == 401
    assert "tunix-rt open" in page.text()
    assert page.all("nav a") == []
    assert asking.nobody(app).get("/runs").json()["error"]["code"] == "unauthenticated"
    assert stranger.client.get("/api/runs", headers=HTML).json()["error"]["code"] == "unauthenticated"


def test_a_used_code_is_explained_and_a_new_one_leads_to_the_overview(app: FastAPI) -> None:
    code = asking.owner(app).post("/api/login-codes").json()["code"]
    first = asking.nobody(app).get("/login", params={"code": code})
    assert (first.status_code, first.headers["location"]) == (303, "/")
    again = Pages(asking.nobody(app)).get("/login", code=code)
    assert again.status == 403
    assert "tunix-rt open" in again.text()


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/nothing", 404, "nothing at this address"),
        ("/traces/" + "0" * 64, 404, "no trace"),
        ("/traces?verdict=maybe", 422, "verdict"),
        ("/traces?colour=red", 422, "colour"),
        ("/traces?after=x", 422, "after"),
        ("/datasets/absent", 404, "no dataset 'absent'"),
        ("/datasets/tiny-sums/items?after=7", 422, "no cursor"),
        ("/runs/20260101-000000-abcdef012345", 404, "no run"),
        ("/runs/new?config=sft_tyni", 404, "Did you mean 'sft_tiny'"),
        ("/evaluations/0123456789abcdef", 404, "no finished evaluation"),
        ("/evidence/absent", 404, "no bundle"),
        ("/compare?run=a", 422, "run"),
        ("/datasets/build?recipe=tiny-sum", 404, "Did you mean 'tiny-sums'"),
    ],
)
def test_nonsense_is_answered_with_a_page_that_says_what_is_wrong(
    pages: Pages, lab: Lab, address: str, status: int, said: str
) -> None:
    page = pages.get(address)
    assert page.status == status
    assert said.lower() in page.text().lower()
    assert str(lab.settings.home) not in page.answer.text
    assert page.all("nav a") != []


def test_a_viewer_sees_all_and_changes_nothing(app: FastAPI, lab: Lab) -> None:
    with app.state.service.store.unit_of_work() as connection:
        token = access.add(connection, "looker", "viewer", 1)
    viewer = Pages(asking.bearing(app, token))
    assert viewer.get("/traces").status == 200
    for path in ("/traces", f"/runs/{lab.ids['queued']}/cancel", "/runs", "/evidence", "/datasets/build"):
        page = viewer.post(path, {})
        assert (path, page.status) == (path, 403)
        assert "role" in page.text()


def test_the_empty_workspace_teaches_the_first_step(fresh: Pages) -> None:
    for address, command in (
        ("/", "tunix-rt data build"),
        ("/traces", "tunix-rt data ingest"),
        ("/datasets", "tunix-rt data build"),
        ("/runs", "tunix-rt train"),
        ("/leaderboard", "tunix-rt eval"),
        ("/compare", "tunix-rt eval"),
        ("/evidence", "tunix-rt evidence pack"),
    ):
        page = fresh.get(address)
        assert page.status == 200, address
        assert command in page.text("main code"), address


def test_static_files_are_public_and_for_ever(app: FastAPI) -> None:
    nobody = asking.nobody(app)
    for name in assets.files():
        answer = nobody.get(assets.url(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for wrong in (
        "/static/app.css",
        "/static/000000000000/app.css",
        f"{assets.url('app.css')}/../../token",
        "/static/x/%2e%2e/x",
    ):
        assert nobody.get(wrong).status_code in (401, 404)


def scripts() -> Iterator[Path]:
    yield from STATIC.glob("*.js")


def test_the_javascript_stays_within_its_budget_and_names_no_other_host() -> None:
    text = "\n".join(path.read_text() for path in scripts())
    assert len(text.splitlines()) < 1_500
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text) == []


def test_templates_mark_nothing_as_safe() -> None:
    folder = STATIC.with_name("templates")
    text = "\n".join(path.read_text() for path in folder.glob("*.html"))
    assert re.findall(r"\|\s*safe|autoescape|style=|\son\w+=", text) == []


def test_the_openapi_document_does_not_list_pages() -> None:
    assert not any(path in PAGES for path in api.document()["paths"])
