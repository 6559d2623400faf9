"""Behaviour in a real Chromium: keys, Back, deep links, themes, live pages, and axe on every page in both themes."""

import time
import uuid
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Served, Watched
from filled import Lab, config
from playwright.sync_api import Page, expect
from test_pages import addresses

from tunix_rt import runs, store
from tunix_rt.runs import ProbeSpec
from tunix_rt.runs.leases import launched
from tunix_rt.values import jsonl_line

AXE = Axe()
ALL: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = {**ALL, "runOnly": ["color-contrast", "link-in-text-block"]}  # a theme is colours; nothing else differs in it


def violations(page: Page, theme: str, rules: dict[str, Any]) -> list[str]:
    page.emulate_media(color_scheme=theme)
    return [
        f"{theme} {page.url}: {found['id']}: {found['nodes'][0]['target']} {found['nodes'][0]['html'][:120]}"
        for found in AXE.run(page, options=rules).response["violations"]
    ]


def test_axe_finds_nothing_on_any_page_in_either_theme(watched: Watched, lab: Lab) -> None:
    found: list[str] = []
    for address in (*addresses(lab.ids), "/api"):
        page = watched.goto(address)
        found += violations(page, "light", ALL) + violations(page, "dark", COLOURS)
    assert not found, "\n".join(found)


def test_axe_would_find_what_is_wrong(watched: Watched) -> None:
    page = watched.goto("/traces/new")
    page.evaluate("document.querySelector('input[name=note]').parentElement.replaceWith(document.createElement('input'))")
    page.evaluate("document.querySelector('h1').style.color = '#999'")
    assert len(violations(page, "light", ALL)) >= 2


def test_no_page_is_wider_than_a_phone(watched: Watched, lab: Lab) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 780})
    wide = [
        address
        for address in (*addresses(lab.ids), "/api")
        if watched.goto(address).evaluate("document.documentElement.scrollWidth > innerWidth")
    ]
    assert wide == []


def test_filters_change_the_address_and_back_brings_them_again(watched: Watched) -> None:
    page = watched.goto("/traces")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_label("Verdict").select_option("wrong")
    expect(rows).to_have_count(1)
    assert page.url.endswith("/traces?verdict=wrong")
    expect(page.locator("#command")).to_have_text("tunix-rt traces list --limit 50")
    page.get_by_role("searchbox").fill("pens")
    expect(page.locator("#command")).to_contain_text("search pens")
    assert page.url.endswith("/traces?q=pens&verdict=wrong")
    page.go_back()
    expect(rows).to_have_count(50)
    expect(page.get_by_label("Verdict")).to_have_value("")
    page.go_forward()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("pens")
    page.reload()
    expect(rows).to_have_count(1)


def test_a_page_further_on_can_be_linked_to(watched: Watched) -> None:
    page = watched.goto("/traces")
    first = page.locator("tbody tr").first.inner_text()
    page.keyboard.press("]")
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    deep = page.url
    assert "after=" in deep
    rows = page.locator("tbody tr").all_inner_texts()
    page.keyboard.press("[")
    expect(page.locator("tbody tr").first).to_have_text(first, use_inner_text=True)
    page.goto(deep)
    assert page.locator("tbody tr").all_inner_texts() == rows


def test_keys_do_what_their_list_says(watched: Watched) -> None:
    page = watched.goto("/traces")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.on")).to_have_count(1)
    target = page.locator("tr.on a").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")
    page.keyboard.press("c")
    expect(page.locator("[data-copy=command]")).to_have_text("Copied")
    page.keyboard.press("u")
    page.wait_for_url("**/traces")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 26)"
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_pages_filter_and_page_without_javascript(chromium: Any, served: Served) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.way_in())
    page.goto(f"{served.base}/traces")
    page.get_by_label("Verdict").select_option("wrong")
    page.get_by_role("button", name="Filter").click()
    assert page.url.endswith("verdict=wrong")
    assert page.locator("tbody tr").count() == 1
    page.goto(f"{served.base}/traces")
    page.get_by_role("link", name="Older").click()
    assert "after=" in page.url
    context.close()


def test_the_policy_stops_a_script_that_got_in(watched: Watched) -> None:
    """The negative control of everything that says nothing is executed."""
    watched.expected |= {"Content Security Policy", "Content-Security-Policy"}
    page = watched.goto("/")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); }"
    )
    assert page.evaluate("window.ran") is None
    page.evaluate("() => { const i = new Image(); i.src = 'https://elsewhere.example/x.png'; document.body.append(i); }")
    page.wait_for_timeout(100)
    assert [each for each in watched.troubles if "elsewhere" not in each] == []
    watched.troubles.clear()


class Alive:
    """A run of the lab that goes on as long as the test writes to its folder."""

    def __init__(self, lab: Lab) -> None:
        self.settings, worker = lab.settings, str(uuid.uuid4())
        self.store = store.open_store(lab.settings)
        asked = runs.resolve(lab.settings, runs.TrainSpec(config=config("alive"), dataset="tiny-sums"))
        with self.store.unit_of_work() as connection:
            made = runs.submit(connection, asked, priority=9)
            runs.register(connection, worker, host="here", boot_id="b", pid=1, slots=1)
            self.run = runs.claim(connection, worker, lease=300, host="here", only=made.run_id) or made
            launched(connection, self.run, "recorded", {})
        self.folder = self.run.dir(lab.settings)
        self.folder.mkdir(parents=True)
        self.step = 0
        self.write("events.jsonl", {"kind": "plan", "steps": 40})
        with self.store.unit_of_work() as connection:
            runs.ingest(connection, self.run, self.folder / "events.jsonl")

    def write(self, name: str, row: dict[str, Any]) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(jsonl_line(row))

    def go_on(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.step += 1
            row = {"step": self.step, "loss": 4 / self.step, "seconds": 0.5, "useful_tokens_per_second": 800.0}
            self.write("metrics.jsonl", row)
        with (self.folder / "log.txt").open("a") as file:
            file.write(f"step {self.step} done\n")

    def end(self) -> None:
        with self.store.unit_of_work() as connection:
            runs.finish(connection, self.run, runs.Outcome("failed", "exception", "it was told to"))


@pytest.fixture
def alive(lab: Lab) -> Any:
    made = Alive(lab)
    yield made
    with made.store.reading() as connection:
        state = runs.get(connection, made.run.run_id).state
    if state == "running":
        made.end()
    made.store.close()


def test_a_live_page_shows_the_curve_the_log_and_the_end(watched: Watched, alive: Alive) -> None:
    alive.go_on(3)
    page = watched.goto(f"/runs/{alive.run.run_id}")
    expect(page.locator("[data-tile=step]")).to_have_text("3")
    line = page.locator("loss-chart path.smooth")
    before = line.get_attribute("d")
    alive.go_on(5)
    expect(page.locator("[data-tile=step]")).to_have_text("8")
    expect(page.locator("[data-log]")).to_contain_text("step 8 done")
    assert line.get_attribute("d") != before
    assert page.locator("progress").evaluate("bar => bar.value") == 8
    alive.end()
    expect(page.locator("[data-state]")).to_have_text("failed")
    expect(page.locator(".problem")).to_have_text("it was told to")


def test_live_pages_survive_a_restart_of_the_server(chromium: Any, lab: Lab, alive: Alive) -> None:
    own = Served(lab.settings)
    made = Watched(chromium, own)
    made.expected |= {"ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"}
    alive.go_on(2)
    page = made.goto(f"/runs/{alive.run.run_id}")
    expect(page.locator("[data-tile=step]")).to_have_text("2")
    own.stop()
    expect(page.locator("[data-connection]")).to_have_text("Reconnecting…", timeout=10_000)
    own.start()
    alive.go_on(2)
    expect(page.locator("[data-tile=step]")).to_have_text("4", timeout=15_000)
    expect(page.locator("[data-connection]")).to_have_text("")
    made.context.close()
    own.stop()
    assert made.troubles == []


def test_ten_live_tabs_at_once(watched: Watched, alive: Alive) -> None:
    alive.go_on(2)
    tabs = [watched.context.new_page() for _ in range(10)]
    for tab in tabs:
        tab.goto(f"{watched.base}/runs/{alive.run.run_id}")
    alive.go_on(5)
    began = time.monotonic()
    for tab in tabs:
        expect(tab.locator("[data-tile=step]")).to_have_text("7", timeout=10_000)
    assert time.monotonic() - began < 10


def test_a_probe_is_cancelled_by_its_button(watched: Watched, lab: Lab) -> None:
    opened = store.open_store(lab.settings)
    with opened.unit_of_work() as connection:
        run = runs.submit(connection, ProbeSpec(how="hang"))
    page = watched.goto(f"/runs/{run.run_id}")
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator("[data-state]")).to_have_text("cancelled")
    opened.close()


def test_an_evaluations_progress_is_counted_while_it_goes_on(watched: Watched, lab: Lab) -> None:
    """It has no metrics to follow, so the page asks the server for its figures."""
    opened, worker = store.open_store(lab.settings), str(uuid.uuid4())
    asked = runs.resolve(lab.settings, runs.EvalSpec(model="tiny", evalset="tiny-sums-eval", max_new_tokens=7))
    with opened.unit_of_work() as connection:
        made = runs.submit(connection, asked, priority=9)
        runs.register(connection, worker, host="here", boot_id="b", pid=1, slots=1)
        run = runs.claim(connection, worker, lease=300, host="here", only=made.run_id) or made
        launched(connection, run, "recorded", {})
    path = run.dir(lab.settings) / "generations.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}\n" * 3)
    page = watched.goto(f"/runs/{run.run_id}")
    expect(page.locator("[data-tile=step]")).to_have_text("3")
    path.write_bytes(b"{}\n" * 11)
    expect(page.locator("[data-tile=step]")).to_have_text("11", timeout=15_000)
    with opened.unit_of_work() as connection:
        runs.finish(connection, run, runs.Outcome("failed", "exception", "it was told to"))
    opened.close()
