"""Datasets in processor time: making, checking and writing traces, validating them, and taking a file of ten times as many
into a dataset and SQLite, each beside reading the same file with `json.loads` and pydantic alone.

    python benchmarks/data.py [--quick]

Every section is a function of its size and a folder; it prints medians of three rounds (taking in: of one), in which the
measured work and its baseline take turns, as traces per second of one processor core (waiting does not count).
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from tunix_rt import datasets, store, tasks, traces
from tunix_rt.datasets.manifests import DATA
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace, stored

P, T = ParamSpec("P"), TypeVar("T")
ROUNDS, SEED = 3, 20_26
FULL, QUICK = 100_000, 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} traces in place of {FULL:,}")
    size = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        for section in SECTIONS:
            section(size, Path(folder))


def generating(size: int, folder: Path) -> None:
    """Generate, check every claim, hash and write, against `json.loads` and `Trace.model_validate` of the written lines.

    Every round is a process of its own, since a task remembers results and a second build would find them.
    """
    recipe = every_task(size)
    rounds = [apart(build, recipe, folder / f"round-{number}") for number in range(ROUNDS)]
    made, read = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    report(f"generate + check + write ({len(recipe.tasks)} tasks, all levels)", size, made, "json.loads + model_validate", read)


def validating(size: int, folder: Path) -> None:
    """Reading with every rule of a trace and errors that name the line, which is what `check` and training do."""
    path = folder / "round-0" / DATA
    ours, read = alternating(lambda: [None for _ in traces.read(path)], lambda: validate(path))
    report("traces.read", size, ours, "json.loads + model_validate", read)


def ingesting(size: int, folder: Path) -> None:
    """Ten times as many distinct lines into a dataset folder and the database, in a process of its own, on the clock."""
    path, rows = folder / "many.jsonl", 10 * size
    with path.open("w", encoding="utf-8") as file:
        for copy in range(10):
            for line in (folder / "round-0" / DATA).open(encoding="utf-8"):
                file.write(line.replace('"prompt":"', f'"prompt":"Sheet {copy}. ', 1))
    wall, spent, peak = apart(ingest, path, folder)
    began = time.process_time()
    validate(path)
    report("data ingest, both processes", rows, spent, "json.loads + model_validate", time.process_time() - began, rounds=1)
    print(f"  by the clock {wall:.1f} s, {rows / wall:,.0f} rows a second; peak memory {peak:.0f} MB")


def ingest(path: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of the processor and peak memory in MB, of this process and of the one that reads ahead."""
    settings = Settings(home=folder / "home")
    opened = store.open_store(settings)
    wall, spent = time.perf_counter(), time.process_time()
    made = datasets.ingest(path, settings.datasets, opened)
    wall, spent = time.perf_counter() - wall, time.process_time() - spent
    own, second = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with opened.reading() as connection:
        assert stored.count(connection) == made.added
    return wall, spent + second.ru_utime + second.ru_stime, (own.ru_maxrss + second.ru_maxrss) / 1024


def build(recipe: datasets.Recipe, folder: Path) -> tuple[float, float]:
    """Processor seconds of building, and of reading what was built."""
    began = time.process_time()
    datasets.build(recipe, folder)
    built = time.process_time()
    validate(folder / DATA)
    return built - began, time.process_time() - built


def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def validate(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        for line in file:
            Trace.model_validate(json.loads(line))


def every_task(size: int) -> datasets.Recipe:
    """`size` traces of every task and level, dealt out evenly, up to a third of what a level certainly has."""
    room = {(name, level): task.capacity[level - 1] // 3 for name, task in tasks.CATALOGUE.items() for level in tasks.LEVELS}
    counts = level_out(size, room)
    shares = {
        name: {"count": sum(levels.values()), "levels": levels}
        for name in tasks.CATALOGUE
        for levels in [{level: counts[name, level] for level in tasks.LEVELS}]
    }
    about = {
        "name": "every-task",
        "version": 1,
        "seed": SEED,
        "split": "train",
        "description": "a benchmark",
        "licence": "none",
    }
    recipe = datasets.Recipe.parse({**about, "tasks": shares}, source="benchmark")
    assert datasets.plan(recipe).size == size  # refused here, not after minutes, where the tasks have less
    return recipe


def level_out(size: int, room: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """The smallest first: each takes an equal share of what is still wanted, or all it has."""
    counts = {}
    for place, (cell, most) in enumerate(sorted(room.items(), key=lambda entry: entry[1])):
        counts[cell] = min(most, (size - sum(counts.values())) // (len(room) - place))
    return counts


def alternating(*works: Callable[[], object]) -> list[float]:
    """The median processor seconds of each, over rounds in which they take turns."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, spent in zip(works, seconds, strict=True):
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
    return [statistics.median(spent) for spent in seconds]


def report(name: str, size: int, seconds: float, baseline: str, baseline_seconds: float, rounds: int = ROUNDS) -> None:
    how = f"medians of {rounds} rounds" if rounds > 1 else "one round"
    print(f"{size:,} traces, {how}, traces per core-second (microseconds a trace)")
    for title, spent in ((name, seconds), (baseline, baseline_seconds)):
        print(f"  {title:54}{size / spent:>10,.0f}{1e6 * spent / size:>8.1f}")
    print(f"  takes {seconds / baseline_seconds:.2f} times as long as the baseline")


SECTIONS: tuple[Callable[[int, Path], None], ...] = (generating, validating, ingesting)

if __name__ == "__main__":
    sys.exit(main())
