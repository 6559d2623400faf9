"""Ingest keeps a file's traces in the database too: all of them or none, each once."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import counted
from tunix_rt import datasets, errors, store
from tunix_rt.datasets import Refused
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.traces import searching, stored

ROWS = 4_000
BROKEN = "stored.BATCH = 50; stored.add_entries = one_by_one"  # the control commits each batch on its own
HOARDING = "stored.add_entries = all_at_once"  # the control holds every row in memory
MANY, LARGEST_MB = 1_000_000, 500
PROCESS = """
import sys
from pathlib import Path
from tunix_rt import datasets, store
from tunix_rt.settings import Settings
from tunix_rt.traces import stored

opened = store.open_store(Settings(home=Path(sys.argv[1]), database=sys.argv[3] or None))
together = stored.add_entries

def one_by_one(connection, entries, source, unique):
    rows = list(entries)
    for at in range(0, len(rows), 50):
        together(connection, rows[at:at + 50], source, unique)
        connection.commit()
        connection.begin()

def all_at_once(connection, entries, source, unique):
    return together(connection, list(entries), source, unique)

{fault}
print("ready", flush=True)
datasets.ingest(Path(sys.argv[2]), Path(sys.argv[1]) / "datasets", opened)
"""


def write(path: Path, count: int, start: int = 0) -> Path:
    steps = [{"i": 1, "type": "compute", "content": "2 + 2 = 4"}]
    rows = ({"prompt": f"Question {k}?", "steps": steps, "final_answer": "4"} for k in range(start, start + count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kept(opened: Store) -> int:
    with opened.reading() as connection:
        return stored.count(connection)


def test_a_file_is_kept_once_whatever_it_is_called(opened: Store, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", 30), write(tmp_path / "b.jsonl", 40)
    datasets.ingest(first, tmp_path / "sets", opened)
    datasets.ingest(first, tmp_path / "sets", opened)
    assert kept(opened) == 30
    datasets.ingest(second, tmp_path / "sets", opened)
    assert kept(opened) == 40
    with opened.unit_of_work() as connection:
        while searching.catch_up(connection):
            pass
        assert list(stored.problems(connection)) == []
        assert stored.sources(connection) == {"tunix-rt": 40}
        (found,) = stored.search(connection, '"question 35"').data
    assert found.trace.meta["source"] == {"format": "tunix-rt", "file": "b.jsonl", "line": 36}


def test_a_bad_line_keeps_all_out_unless_it_is_left_out(opened: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 30)
    with path.open("a") as file:
        file.write('{"prompt": "?", "steps": [], "final_answer": "4"}\n')
    with pytest.raises(Refused):
        datasets.ingest(path, tmp_path / "sets", opened)
    assert kept(opened) == 0
    datasets.ingest(path, tmp_path / "sets", opened, skip_bad=True)
    assert kept(opened) == 30


def test_a_name_that_is_taken_keeps_the_traces_out_too(opened: Store, tmp_path: Path) -> None:
    datasets.ingest(write(tmp_path / "a.jsonl", 3), tmp_path / "sets", opened)
    with pytest.raises(errors.Conflict):
        datasets.ingest(write(tmp_path / "b.jsonl", 3, start=100), tmp_path / "sets", opened, name="a")
    assert kept(opened) == 3


def counts_after_kills(settings: Settings, path: Path, fault: str, kills: int) -> set[int]:
    """Kill an ingest at random moments, until one has finished; how many traces there were each time."""
    opened, draw, counts = store.open_store(settings), random.Random(1), set[int]()
    for _ in range(kills):
        command = [sys.executable, "-c", PROCESS.format(fault=fault), settings.home, path, settings.database or ""]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        until = time.monotonic() + 0.1 + draw.random() * 1.4
        while child.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
            if 0 < kept(opened) < ROWS:
                break
        child.kill()
        child.wait()
        child.stdout.close()
        counts.add(kept(opened))
    opened.close()
    return counts


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_kill_leaves_nothing_or_everything(database: str, home: Callable[[str], Settings], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    settings = home(database)
    assert counts_after_kills(settings, path, "", kills=4) <= {0, ROWS}
    opened = store.open_store(settings)
    datasets.ingest(path, settings.datasets, opened)
    assert kept(opened) == ROWS
    opened.close()
    control = settings.model_copy(update={"home": tmp_path / "control", "database": None})
    assert not counts_after_kills(control, path, BROKEN, kills=3) <= {0, ROWS}, "the control must be caught"


def taken_in(settings: Settings, path: Path, fault: str = "") -> dict[str, Any]:
    """Ingest the file in a process of its own: the most memory that it and the processes it starts had, added up."""
    command = [sys.executable, "-c", PROCESS.format(fault=fault), settings.home, path, settings.database or ""]
    began, peaks = time.monotonic(), dict[int, int]()
    child = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while child.poll() is None:
        for process in (child, *child.children(recursive=True)):
            peaks[process.pid] = max(peaks.get(process.pid, 0), peak(process.pid))
        time.sleep(0.1)
    assert child.returncode == 0
    opened = store.open_store(settings)
    rows = kept(opened)
    opened.close()
    return {"rows": rows, "peak_mb": round(sum(peaks.values()) / 1e6), "seconds": round(time.monotonic() - began)}


def peak(pid: int) -> int:
    """The most bytes that a process ever had resident; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def large(path: Path, count: int) -> Path:
    """Lines of 1 kB, all different."""
    words = " ".join(f"apples and {k} pears" for k in range(40))
    with path.open("w") as file:
        for k in range(count):
            steps = [{"i": 1, "type": "compute", "content": f"{k} + 1 = {k + 1}"}]
            file.write(json.dumps({"prompt": f"Question {k}: {words}?", "steps": steps, "final_answer": str(k + 1)}) + "\n")
    return path


@pytest.mark.long
def test_a_million_lines_are_taken_in_within_bounded_memory(either: Settings, tmp_path: Path) -> None:
    found = taken_in(either, large(tmp_path / "a.jsonl", MANY))
    name = "postgresql" if either.database else "sqlite"
    counted.record(f"ingest-memory-{name}", "D5", database=name, limit_mb=LARGEST_MB, **found)
    assert found["rows"] == MANY
    assert found["peak_mb"] < LARGEST_MB


@pytest.mark.long
def test_an_ingest_that_holds_its_rows_is_found(home: Callable[[str], Settings], tmp_path: Path) -> None:
    """Negative control for the test above, with a third of its lines."""
    found = taken_in(home("sqlite"), large(tmp_path / "a.jsonl", MANY // 3), HOARDING)
    assert (found["rows"], found["peak_mb"] > LARGEST_MB) == (MANY // 3, True)
