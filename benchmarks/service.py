"""The service under requests from this machine: requests a second, and server processor time for each.

    python benchmarks/service.py [--traces 50000] [--seconds 5] [--database postgresql://user@host/empty]

The server is a process of its own; its processor time is what the kernel counts for it. Rows take turns of a second; what is
shown of each are its best second, since neighbours only ever add to it, and the middle one. `healthz` does nothing, so it says
what a request costs in itself. One client on one connection sends the next request when the answer is there, so requests a
second say how long one takes, not how many the server could take. Batches and files are made before the clock runs. The
library's own batch insert is measured in this process, from traces to committed rows. The database named must be empty.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from tunix_rt import access, store
from tunix_rt.api import serving
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace, searching, stored

BATCHED = 20_000  # traces for each way to bring many
WORDS = ["apples", "pears", "trains", "tickets", "metres", "litres", "boxes", "coins", "marbles", "pages"]


def trace(k: int) -> dict[str, Any]:
    """About 1 kB, four steps."""
    a, b = 10 + k % 90, 3 + k % 17
    thing, other = WORDS[k % 10], WORDS[(k // 10) % 10]
    steps = [f"There are {a} {thing} in each of {b} rows, so multiply {a} by {b}.", f"{a} * {b} = {a * b}",
             f"Item number {k} of the {other} is one more.", f"{a * b} + 1 = {a * b + 1}"]  # fmt: skip
    return {
        "prompt": f"Case {k}: a hall has {b} rows with {a} {thing} each, and one of the {other} more. How many are there? "
        + "Think. " * 60,
        "steps": [{"i": i, "type": "compute", "content": text} for i, text in enumerate(steps, 1)],
        "final_answer": str(a * b + 1),
        "meta": {"case": k},
    }


def fill(settings: Settings, count: int) -> None:
    opened = store.open_store(settings)
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, count, 50_000):
        made = (Trace.model_validate(trace(k)) for k in range(start, min(count, start + 50_000)))
        with opened.unit_of_work() as connection:
            stored.add_many(connection, made, "benchmark")
    told(f"made and added {count:,}", count, time.perf_counter() - began, time.process_time() - used)
    while True:
        with opened.unit_of_work() as connection:
            if not searching.catch_up(connection, 10_000):
                break
    opened.close()


class Client:
    def __init__(self, settings: Settings) -> None:
        port = int(serving.announced(settings).url.rsplit(":", 1)[1])
        self._connection = HTTPConnection("127.0.0.1", port)
        self._headers = {"Authorization": f"Bearer {access.read_owner_token(settings)}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status < 300, data
        return data


class Row:
    """One kind of request: how long each took by the clock, and the server's processor time for all of them."""

    def __init__(self, ask: Callable[[int], object]) -> None:
        self.ask, self.times, self.blocks = ask, list[float](), list[float]()

    def block(self, server: psutil.Process, seconds: float) -> None:
        used, began, before = running(server), time.perf_counter(), len(self.times)
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            self.ask(len(self.times))
            self.times.append(time.perf_counter() - start)
        self.blocks.append((running(server) - used) / (len(self.times) - before))

    def told(self, what: str) -> None:
        times = sorted(self.times)
        middle, late = (1000 * times[int(len(times) * share)] for share in (0.5, 0.95))
        print(
            f"{what:28} {len(times) / sum(times):8.0f} requests/s  server CPU {1000 * min(self.blocks):6.2f} ms, middle "
            f"{1000 * statistics.median(self.blocks):6.2f}  p50 {middle:6.2f}  p95 {late:6.2f} ms"
        )


def measure(rows: dict[str, Row], server: psutil.Process, seconds: float) -> None:
    """Ask each again and again, in turns of a second, so that a busy machine is as unkind to one row as to the next."""
    for row in rows.values():
        for k in range(-20, 0):
            row.ask(k)
    for _ in range(max(1, round(seconds))):
        for row in rows.values():
            row.block(server, min(1.0, seconds))
    for what, row in rows.items():
        row.told(what)


def running(server: psutil.Process) -> float:
    """Seconds that the server's threads have run so far, to the microsecond where the kernel tells."""
    told = [path.read_text().split()[0] for path in Path(f"/proc/{server.pid}/task").glob("*/schedstat")]
    return sum(map(int, told)) / 1e9 if told else processor(server)


def processor(server: psutil.Process) -> float:
    """Seconds that the server and the processes it has waited for have used."""
    return sum(server.cpu_times()[:4])


def batches(server: psutil.Process, client: Client, size: int, first: int) -> None:
    """Batches of `size` over HTTP: traces a second by the clock, and the server's processor time for one trace."""
    bodies = [
        json.dumps({"traces": [trace(first + start + k) for k in range(size)]}).encode()
        for start in range(0, max(BATCHED, 2 * size), size)
    ]
    client.ask("POST", "/api/traces/batch", bodies.pop())
    used, began = processor(server), time.perf_counter()
    for body in bodies:
        client.ask("POST", "/api/traces/batch", body)
    passed = time.perf_counter() - began
    told(f"batches of {size:,} over HTTP", size * len(bodies), passed, processor(server) - used)


def ingest(server: psutil.Process, client: Client, first: int) -> None:
    """One upload of a file, from its first byte to the committed dataset: both processes that read it are counted."""
    body = b"".join(json.dumps(trace(first + k)).encode() + b"\n" for k in range(2 * BATCHED))
    used, began = processor(server), time.perf_counter()
    client.ask("POST", "/api/datasets/ingest?file=benchmark.jsonl", body)
    told("ingest of a file over HTTP", 2 * BATCHED, time.perf_counter() - began, processor(server) - used)


def library(settings: Settings, first: int) -> None:
    """`stored.add_many` alone, one transaction for each 5,000 traces; its processor time is this process's."""
    made = [Trace.model_validate(trace(first + k)) for k in range(BATCHED)]
    opened = store.open_store(settings)
    used, began = time.process_time(), time.perf_counter()
    for start in range(0, BATCHED, 5_000):
        with opened.unit_of_work() as connection:
            stored.add_many(connection, made[start : start + 5_000], "benchmark")
    told("traces.stored.add_many", BATCHED, time.perf_counter() - began, time.process_time() - used)
    opened.close()


def told(what: str, count: int, passed: float, used: float) -> None:
    print(f"{what:28} {count / passed:8.0f} traces/s    CPU {1e6 * used / count:6.1f} us a trace")


def deep(settings: Settings, pages: int) -> str:
    """The cursor of the page so deep, from the number of the last trace."""
    opened = store.open_store(settings)
    with opened.reading() as connection:
        newest = stored.listed(connection, limit=1).data[0].seq
    opened.close()
    return str(max(21, newest - 20 * pages))


def served(settings: Settings) -> Iterator[psutil.Process]:
    environment = {**os.environ, **({"TUNIX_RT_DATABASE": settings.database} if settings.database else {})}
    command = [sys.executable, "-m", "tunix_rt.cli", "serve", "--port", "0", "--no-worker", "--home", str(settings.home)]
    began = time.perf_counter()
    with (settings.home / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=environment)
    while not any((settings.home / serving.FOLDER).glob("*.json")):
        assert process.poll() is None, (settings.home / "log").read_text()
        time.sleep(0.01)
    Client(settings).ask("GET", "/healthz")
    server = psutil.Process(process.pid)
    memory = server.memory_info().rss / 1e6
    print(f"answers {time.perf_counter() - began:.2f} s after its start, resident {memory:.0f} MB")
    try:
        yield server
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--traces", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row")
    parser.add_argument("--database", help="an empty PostgreSQL database; SQLite without")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), database=asked.database)
        fill(settings, asked.traces)
        for server in served(settings):
            rows(settings, server, asked.seconds, asked.traces)


def rows(settings: Settings, server: psutil.Process, seconds: float, count: int) -> None:
    client, fresh = Client(settings), iter(range(10 * count, 10**12))
    pages = min(5_000, count // 20 - 2)
    newest, after = deep(settings, 1), deep(settings, pages)

    def got(path: str) -> Row:
        return Row(lambda k: client.ask("GET", path.format(k=k % count, word=WORDS[k % 10])))

    asked = {
        "healthz": got("/healthz"),
        "POST trace": Row(lambda _: client.ask("POST", "/api/traces", json.dumps(trace(next(fresh))).encode())),
        "list 20": got("/api/traces?limit=20"),
        "list 20, page 2": got(f"/api/traces?limit=20&after={newest}"),
        f"list 20, page {pages:,}": got(f"/api/traces?limit=20&after={after}"),
        "search, one hit": got("/api/traces/search?limit=20&text=%22case+{k}%22"),
        "search, many hits": got("/api/traces/search?limit=20&text=hall+{word}"),
    }
    measure(asked, server, seconds)
    for size in (1_000, 5_000):
        batches(server, client, size, 10**12 * size)
    ingest(server, client, 10**14)
    library(settings, 10**11)
    print("load of the last 1, 5 and 15 minutes: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))


if __name__ == "__main__":
    main()
