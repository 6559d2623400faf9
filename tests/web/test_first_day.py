"""The whole job as a new user does it in a browser, with a real worker and a real training."""

import json
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from browsing import Served, Watched
from playwright.sync_api import Browser, Page, expect

from tunix_rt.settings import Settings

SECONDS = 90_000  # the longest a part may take on a busy machine, in ms


@pytest.fixture
def new_user(chromium: Browser, tmp_path: Path) -> Iterator[Watched]:
    served = Served(Settings(home=tmp_path / "home"), worker=True)
    made = Watched(chromium, served)
    yield made
    made.context.close()
    served.stop()
    assert made.troubles == []


def ended(page: Page) -> None:
    expect(page.locator("[data-state]")).to_have_text("completed", timeout=SECONDS)


def build(page: Page, recipe: str) -> None:
    page.get_by_role("link", name="Datasets", exact=True).first.click()
    page.get_by_role("link", name="Build from a recipe").first.click()
    page.get_by_role("link", name=recipe, exact=True).click()
    expect(page.locator("section.report")).to_contain_text(f"{recipe} makes 64 traces" if recipe == "tiny-sums" else recipe)
    page.get_by_role("button", name="Build").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(recipe)


def test_from_an_empty_workspace_to_verified_evidence(new_user: Watched, tmp_path: Path) -> None:
    page = new_user.page
    expect(page.get_by_role("heading", name="The way through")).to_be_visible()

    lines = [{"question": f"What is {a} + {a}?", "answer": f"{a} + {a} = {2 * a}\n#### {2 * a}"} for a in range(3, 8)]
    file = tmp_path / "homework.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page.goto(f"{new_user.base}/datasets/ingest")
    page.get_by_label("File", exact=True).set_input_files(str(file))
    page.get_by_role("button", name="Take in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("homework")
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(5)

    build(page, "tiny-sums-eval")
    build(page, "tiny-sums")
    page.get_by_role("link", name="Train on it").click()
    page.get_by_label("epochs").fill("3")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-tile=step]")).not_to_have_text("0", timeout=SECONDS)
    line = page.locator("loss-chart path.smooth")
    first = line.get_attribute("d", timeout=SECONDS)
    ended(page)
    assert line.get_attribute("d") != first

    page.get_by_label("Evaluate it and its base on").select_option("tiny-sums-eval")
    page.get_by_label("items").fill("8")
    page.get_by_label("longest answer").fill("16")
    run = page.url
    page.get_by_role("button", name="Evaluate").click()
    ended(page)
    page.goto(run)
    page.get_by_role("link", name="against its base").click()
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator("h2", has_text="In pairs")).to_be_visible()
    page.goto(run)
    page.get_by_role("button", name="Pack the evidence").click()
    page.get_by_role("link", name="Verify every number").click()
    expect(page.locator("section.report")).to_contain_text("Verified to depth 1", timeout=SECONDS)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "verify.py" in ZipFile(download.value.path()).namelist()
