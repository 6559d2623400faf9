"""With 50,000 traces a page asks the database as often, and weighs as much, as with a few."""

import gzip
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from filled import Lab, closed
from seen import Pages
from sqlalchemy import event
from test_pages import addresses

import asking
from tunix_rt import web
from tunix_rt.settings import Settings
from tunix_rt.traces import Step, Trace, stored
from tunix_rt.web import assets, curves

MANY = 50_000
LISTS = ("/traces", "/traces?q=ledger+7", "/traces?source=many", "/traces?after=20000")


def trace(i: int) -> Trace:
    steps = tuple(Step(i=k, type="compute", content=f"{i} + {k} = {i + k}") for k in range(1, 5))
    return Trace(prompt=f"The ledger {i % 97} holds {i} marks; four more come.", steps=steps, final_answer=str(i + 4))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    app = web.make(Settings(home=tmp_path_factory.mktemp("crowded")))
    with app.state.service.store.unit_of_work() as connection:
        stored.add_many(connection, map(trace, range(MANY)), "many")
    yield app
    closed(app)


@contextmanager
def counted(app: FastAPI) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    engine = app.state.service.store.reader
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("address", LISTS)
def test_a_list_is_asked_for_in_as_many_queries_as_ever(crowded: FastAPI, app: FastAPI, address: str) -> None:
    with counted(crowded) as many:
        page = Pages(asking.owner(crowded)).get(address)
    with counted(app) as few:
        Pages(asking.owner(app)).get(address)
    assert len(page.all("tbody tr")) == 50
    assert len(many) == len(few) <= 4, many


@pytest.mark.parametrize("address", LISTS)
def test_the_first_rows_are_there_within_half_a_second(crowded: FastAPI, address: str) -> None:
    pages, took = Pages(asking.owner(crowded)), []
    for _ in range(5):
        began = time.process_time()
        pages.get(address)
        took.append(time.process_time() - began)
    assert statistics.median(took) < 0.5


def test_every_page_with_all_it_loads_weighs_less_than_40_kb_compressed(crowded: FastAPI, pages: Pages, lab: Lab) -> None:
    files = sum(len(gzip.compress(content)) for content in assets.files().values())
    weights = {address: len(gzip.compress(pages.get(address).answer.content)) for address in addresses(lab.ids)}
    weights["crowded"] = len(gzip.compress(Pages(asking.owner(crowded)).get("/traces").answer.content))
    assert files + max(weights.values()) < 40_000, (files, weights)


def test_a_long_curve_is_thinned_without_losing_a_spike() -> None:
    points = [(step, 1.0 + (step % 7) / 100) for step in range(100_000)]
    points[31_415] = (31_415, 50.0)
    points[59_265] = (59_265, 0.0)
    thin = curves.thinned(points)
    assert len(thin) <= curves.MOST
    assert thin == sorted(thin)
    assert {(31_415, 50.0), (59_265, 0.0)} <= set(thin)
