"""A team's set-up: two servers take runs in, several workers carry them out, one PostgreSQL database; priorities are kept.

The count marked `long` writes docs/results, with what a run costs.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import chaos
import psutil
import pytest
from sqlalchemy import select, text

import counted
from served import Served, Talker, served
from tunix_rt import runs, store
from tunix_rt.runs import ENDED, Run, ledger
from tunix_rt.runs.tables import RUNS
from tunix_rt.settings import Settings
from tunix_rt.store import Store

PRIORITIES = 5


def submit(servers: list[Served], count: int) -> list[float]:
    """Seconds that each submission took; the servers are asked in turn, priorities are mixed."""
    talkers = [Talker(server) for server in servers]
    took = []
    for number in range(count):
        began = time.perf_counter()
        body = {"spec": {"kind": "probe", "seconds": 0.0}, "priority": number * 7 % PRIORITIES}
        status, answer = talkers[number % len(talkers)].ask("POST", "/api/runs", body)
        assert status == 202, answer
        took.append(time.perf_counter() - began)
    for talker in talkers:
        talker.close()
    return took


def worked_off(where: Settings, opened: Store, workers: int, build: str, limit: float) -> tuple[float, float]:
    """(seconds, processor seconds of the workers) until nothing is left."""
    began = time.monotonic()
    children = [chaos.start(where, build, slots=1) for _ in range(workers)]
    try:
        while _left(opened) and time.monotonic() - began < limit:
            time.sleep(0.2)
        times = [psutil.Process(child.pid).cpu_times() for child in children]
        return time.monotonic() - began, sum(one.user + one.system for one in times)
    finally:
        for child in children:
            chaos.end(child)


def _left(opened: Store) -> int:
    with opened.reading() as connection:
        counts = runs.counts(connection)
    return sum(count for state, count in counts.items() if state not in ENDED)


def unfair(found: list[Run], workers: int) -> list[str]:
    """Runs that began before one of a higher priority which had waited as long; as many as there are workers begin at once."""
    order = sorted(found, key=lambda run: (run.started, run.run_id))
    highest_after = list(itertools.accumulate((run.priority for run in reversed(order)), max))[::-1]
    return [
        run.run_id
        for place, run in enumerate(order[: -workers - 1])
        if highest_after[place + workers] > run.priority
    ]  # fmt: skip


def crowd(where: Settings, jobs: int, workers: int, build: str = "sound", limit: float = 120.0) -> dict[str, Any]:
    opened = store.open_store(where)
    before = _bytes(opened)
    with ExitStack() as stack:
        servers = [stack.enter_context(served(where)) for _ in range(2)]
        took = submit(servers, jobs)
        seconds, processor = worked_off(where, opened, workers, build, limit)
    with opened.reading() as connection:
        found = [ledger.read(row) for row in connection.execute(select(*RUNS.c).order_by(RUNS.c.seq)).mappings()]
    grown = _bytes(opened) - before
    opened.close()
    times = Counter({run.run_id: _lines(run.dir(where) / "done.log") for run in found})
    return {
        "jobs": len(found),
        "servers": 2,
        "workers": workers,
        "lost": sum(run.state != "completed" or times[run.run_id] == 0 for run in found),
        "twice": sum(count > 1 for count in times.values()),
        "unfair": len(unfair(found, workers)),
        "submit_ms_median": round(1000 * sorted(took)[len(took) // 2], 1),
        "seconds": round(seconds, 1),
        "worker_processor_ms_a_run": round(1000 * processor / len(found), 1),
        "database_bytes_a_run": round(grown / len(found)),
    }


def _bytes(opened: Store) -> int:
    with opened.reading() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def test_two_servers_and_two_workers_lose_nothing_and_keep_priorities(home: Callable[[str], Settings]) -> None:
    found = crowd(home("postgresql"), jobs=30, workers=2)
    assert (found["jobs"], found["lost"], found["twice"], found["unfair"]) == (30, 0, 0, 0)


def test_workers_that_take_the_oldest_first_are_found_unfair(home: Callable[[str], Settings]) -> None:
    found = crowd(home("postgresql"), jobs=30, workers=2, build="oldest first")
    assert (found["lost"], found["twice"]) == (0, 0)
    assert found["unfair"] > 10


@pytest.mark.long
def test_a_thousand_runs_of_a_team(home: Callable[[str], Settings]) -> None:
    found = crowd(home("postgresql"), jobs=1_000, workers=4, limit=3_000)
    counted.record("team-postgresql", "team", **found)
    assert (found["jobs"], found["lost"], found["twice"], found["unfair"]) == (1_000, 0, 0, 0)
