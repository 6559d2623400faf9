"""D1, D2 and A4: a served workspace under many clients, under SIGKILL and under a steady load. Each has its broken twin."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import counted
from served import Served, Talker, served, together, working
from tunix_rt import runs, store
from tunix_rt.api.examples import TRACE
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.traces import Trace, searching, stored

CLIENTS, WORKERS = 16, 4
DRY = {"spec": {"kind": "probe"}, "dry_run": True}
_numbers = itertools.count()


def fresh() -> dict[str, Any]:
    k = next(_numbers)
    return TRACE | {"prompt": f"Of {k} apples and {k % 97} pears, how many are fruit?", "final_answer": str(k + k % 97)}


# D1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Crowd:
    """What clients saw. Every answer that is not good is kept, and every trace that a good one acknowledged."""

    def __init__(self) -> None:
        self.bad: list[tuple[int, Any]] = []
        self.traces: list[str] = []
        self.runs: list[str] = []
        self.requests = 0

    def ask(self, talker: Talker, k: int) -> bool:
        """Whether anybody answered."""
        before = len(self.bad)
        match k % 10:
            case 0 | 1 | 2 | 3:
                self._good(self.traces, "id", talker.ask("POST", "/api/traces", fresh()))
            case 4:
                self._good([], "added", talker.ask("POST", "/api/traces/batch", {"traces": [fresh() for _ in range(20)]}))
            case 5:
                self._good(self.runs, "run_id", talker.ask("POST", "/api/runs", DRY))
            case 6:
                self._good([], "data", talker.ask("GET", "/api/traces/search?text=pears&limit=5"))
            case _:
                self._good([], "data", talker.ask("GET", "/api/traces?limit=20"))
        return (0, None) not in self.bad[before:]

    def _good(self, kept: list[str], key: str, answer: tuple[int, Any]) -> None:
        self.requests += 1
        if 200 <= answer[0] < 300:
            kept.append(answer[1][key])
        else:
            self.bad.append(answer)


def crowded(settings: Settings, seconds: float, fault: str = "") -> dict[str, int]:
    """Clients, workers and a backup that is made again and again, all on one database; what went wrong."""
    crowd, backups = Crowd(), itertools.count()
    opened = store.open_store(settings)

    def client(nth: int) -> None:
        talker = Talker(server)
        for k in itertools.count(nth):
            crowd.ask(talker, k)
            if time.monotonic() > until:
                break
        talker.close()

    def back_up() -> None:
        while True:
            store.backup(opened, settings.home / f"backup-{next(backups)}.zip")
            if time.monotonic() > until:
                return

    with served(settings, fault) as server, working(settings, WORKERS, fault) as workers:
        server.ready()
        until = time.monotonic() + seconds
        together(CLIENTS + 1, lambda k: client(k) if k < CLIENTS else back_up())
        (settings.home / "stop").touch()
        for worker in workers:
            worker.join(30)
        ended = [worker.exitcode for worker in workers]
    logs = "".join(path.read_text() for path in settings.home.glob("*.log"))
    told = {
        "requests": crowd.requests,
        "backups": next(backups),
        "bad_answers": len(crowd.bad),
        "workers_ended_badly": sum(code != 0 for code in ended),
        "locked": logs.count("locked") + sum("locked" in str(answer) for _, answer in crowd.bad),
        "lost": len(missing(opened, crowd.traces, crowd.runs)),
        "problems": len(opened.problems()),
    }
    opened.close()
    return told


def missing(opened: Store, traces: list[str], submitted: list[str]) -> list[str]:
    """What was acknowledged and is not there."""
    with opened.reading() as connection:
        there = set(connection.scalars(stored.TABLE.select().with_only_columns(stored.TABLE.c.id)))
        there |= set(connection.scalars(runs.tables.RUNS.select().with_only_columns(runs.tables.RUNS.c.run_id)))
    return [each for each in (*traces, *submitted) if each not in there]


FINE = {"bad_answers": 0, "workers_ended_badly": 0, "locked": 0, "lost": 0, "problems": 0}


def test_sixteen_clients_four_workers_and_a_backup_are_never_locked_out(either: Settings) -> None:
    told = crowded(either.model_copy(update={"lease_seconds": 1.0}), 5.0)
    assert told.pop("requests") > 3 * CLIENTS
    assert told.pop("backups") > 0
    assert told == FINE


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_database_that_does_not_wait_is_found_out(home: Callable[[str], Settings], database: str) -> None:
    """Negative control for the test above: SQLite that is locked at once, PostgreSQL that refuses whatever met another."""
    told = crowded(home(database).model_copy(update={"lease_seconds": 1.0}), 2.0, "impatient")
    assert told["locked" if database == "sqlite" else "bad_answers"] > 0, told


@pytest.mark.long
def test_sixteen_clients_for_a_minute(either: Settings) -> None:
    told = crowded(either.model_copy(update={"lease_seconds": 1.0}), 60.0)
    counted.record(f"service-crowd-{dialect(either)}", "D1", clients=CLIENTS, workers=WORKERS, seconds=60, **told)
    assert {key: told[key] for key in FINE} == FINE


def dialect(settings: Settings) -> str:
    return "postgresql" if settings.database else "sqlite"


# D2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def killed(settings: Settings, kills: int, fault: str = "") -> dict[str, int]:
    """Kill a server that four clients write to, again and again; count what it had acknowledged and is not there."""
    crowd, draw = Crowd(), random.Random(kills)
    opened = store.open_store(settings)
    for _ in range(kills):
        server, wanted = Served(settings, fault), len(crowd.traces) + 1
        writers = threading.Thread(target=together, args=(4, lambda k, server=server: write(crowd, server, k)))
        writers.start()
        until = time.monotonic() + 30
        while len(crowd.traces) < wanted and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(draw.random() * 0.1)
        server.kill()
        writers.join()
    with opened.unit_of_work() as connection:
        broken = [*opened.problems(), *stored.problems(connection)]
    lost = missing(opened, crowd.traces, crowd.runs)
    opened.close()
    return {"kills": kills, "acknowledged": len(crowd.traces) + len(crowd.runs), "lost": len(lost), "problems": len(broken)}


def write(crowd: Crowd, server: Served, nth: int) -> None:
    """Until the server is gone: three write traces, one submits runs."""
    talker = Talker(server)
    while crowd.ask(talker, 5 if nth == 3 else 0):
        pass
    talker.close()


def test_a_killed_server_loses_nothing_it_acknowledged(either: Settings) -> None:
    told = killed(either, 10)
    assert told["acknowledged"] >= 10
    assert (told["lost"], told["problems"]) == (0, 0)


def test_a_server_that_answers_before_it_commits_loses_rows(home: Callable[[str], Settings]) -> None:
    """Negative control for the test above."""
    assert killed(home("sqlite"), 3, "early")["lost"] > 0


@pytest.mark.long
def test_a_server_killed_two_hundred_times_loses_nothing(either: Settings) -> None:
    told = killed(either, 200)
    counted.record(f"service-kills-{dialect(either)}", "D2", **told)
    assert (told["lost"], told["problems"]) == (0, 0)


# A4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def load(server: Served, known: int, seconds: float, rate: int = 50) -> dict[str, Any]:
    """Requests leave at fixed times whatever became of those before, four reads to a write; times count from then."""
    due = itertools.count()
    began, draw = time.monotonic() + 0.2, random.Random(4)
    plan = [draw.random() for _ in range(int(seconds * rate))]
    times: dict[str, list[float]] = {"read": [], "write": []}
    crowd = Crowd()

    def sender(_: int) -> None:
        talker = Talker(server)
        while (nth := next(due)) < len(plan):
            at = began + nth / rate
            time.sleep(max(0.0, at - time.monotonic()))
            kind = "write" if plan[nth] < 0.2 else "read"
            crowd._good([], "id" if kind == "write" else "data", request(talker, kind, plan[nth], known))
            times[kind].append(time.monotonic() - at)
        talker.close()

    together(24, sender)
    figures = {f"{kind}_{name}_ms": quantile(found, share) for kind, found in times.items() for name, share in SHARES.items()}
    return {"requests": crowd.requests, "errors": len(crowd.bad), **figures}


SHARES = {"p50": 0.5, "p95": 0.95}


def quantile(found: list[float], share: float) -> float:
    return round(1000 * sorted(found)[int(len(found) * share)], 1)


def request(talker: Talker, kind: str, drawn: float, known: int) -> tuple[int, Any]:
    if kind == "write":
        return talker.ask("POST", "/api/traces", fresh())
    if drawn < 0.3:
        return talker.ask("GET", f"/api/traces/search?limit=20&text=%22{int(drawn * 10**6) % known}%20apples%22")
    return talker.ask("GET", f"/api/traces?limit=20&after={int(drawn * known) + 21}")


def filled(settings: Settings, count: int) -> None:
    opened = store.open_store(settings)
    with opened.unit_of_work() as connection:
        stored.add_many(connection, (Trace.model_validate(fresh()) for _ in range(count)), "cli")
    while True:  # what an idle worker does
        with opened.unit_of_work() as connection:
            if not searching.catch_up(connection, 10_000):
                break
    opened.close()


def test_a_steady_load_meets_no_error(either: Settings) -> None:
    filled(either, 500)
    with served(either) as server:
        told = load(server, 500, 3.0)
    assert (told["requests"], told["errors"]) == (150, 0)
    assert load(server, 500, 0.2)["errors"] == 10  # nobody is there any more: the count does see it


@pytest.mark.long
def test_fifty_requests_a_second_over_fifty_thousand_traces(either: Settings) -> None:
    filled(either, 50_000)
    with served(either) as server:
        told = load(server, 50_000, 60.0)
    counted.record(f"service-load-{dialect(either)}", "A4", traces=50_000, seconds=60, per_second=50, **told)
    assert told["errors"] == 0
