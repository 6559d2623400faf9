"""Looking after data at size: reading, near-duplicates, leakage and selection over 100,000 traces, each beside a plain way.

    python benchmarks/curation.py [--traces 100000]

The traces are items of every task and level. Each measurement runs in a process of its own, whose peak memory is shown.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from tunix_rt import datasets, tasks, traces, values
from tunix_rt.datasets import Pool, Selection, nearness

SEED, SAMPLE = 20_26, 2_000


class Measured(NamedTuple):
    what: str
    items: int
    seconds: float
    megabytes: float
    note: str


class PlainStep(BaseModel):
    i: int
    type: str
    content: str
    claims: list[dict[str, Any]] = []


class PlainTrace(BaseModel):
    trace_version: str
    prompt: str
    steps: list[PlainStep]
    final_answer: str
    meta: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--traces", type=int, default=100_000)
    size = parser.parse_args().traces
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.jsonl"
        values.write_jsonl(path, (trace.line() for trace in islice(distinct(), size)))
        print(f"{size} traces, {path.stat().st_size / 1e6:.0f} MB, seed {SEED}\n")
        print(f"{'':44}{'a second':>10}{'seconds':>9}{'peak MB':>9}")
        for measure in (plain_reading, reading, near_duplicates, repeats, leaking, selecting):
            show(apart(measure, path))
        print()
        show(apart(brute_force, path))


def apart(measure: Callable[[Path], Measured], path: Path) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, path).result()


def show(row: Measured) -> None:
    print(f"{row.what:44}{row.items / row.seconds:>10,.0f}{row.seconds:>9.1f}{row.megabytes:>9.0f}  {row.note}")


def distinct() -> Iterator[traces.Trace]:
    """Items of all tasks and levels in turn from the training side of the partition, each prompt once."""
    seen: set[str] = set()
    cells = [(task, level) for task in tasks.CATALOGUE.values() for level in tasks.LEVELS]
    for k in count():
        for task, level in cells:
            if k < task.capacity[level - 1]:
                trace = tasks.item(task, level, SEED, k)
                prompt = datasets.canonical_prompt(trace.prompt)
                if prompt not in seen and datasets.side(prompt) == "train":
                    seen.add(prompt)
                    yield trace


def measured(what: str, work: Callable[[], tuple[int, str]]) -> Measured:
    began = time.perf_counter()
    items, note = work()
    seconds = time.perf_counter() - began
    return Measured(what, items, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, note)


def plain_reading(path: Path) -> Measured:
    def work() -> tuple[int, str]:
        with path.open() as file:
            return sum(1 for line in file if PlainTrace.model_validate(json.loads(line))), ""

    return measured("validate: plain json.loads + pydantic loop", work)


def reading(path: Path) -> Measured:
    return measured("validate: traces.read", lambda: (sum(1 for _ in traces.read(path)), "every rule and claim of the format"))


def prompts(path: Path) -> Iterator[str]:
    return (datasets.canonical_prompt(row["prompt"]) for _, row in values.read_jsonl(path))


def near_duplicates(path: Path) -> Measured:
    texts = list(prompts(path))

    def work() -> tuple[int, str]:
        found = nearness.clusters(texts)
        return len(texts), f"{len(set(found.labels.tolist()))} clusters, {len(found.pairs)} verified pairs"

    return measured("near-duplicate clusters of prompts", work)


def repeats(path: Path) -> Measured:
    def work() -> tuple[int, str]:
        found = datasets.duplicates(traces.read(path))
        return found.traces, f"{found.skeleton.distinct} skeletons, {found.near.distinct} clusters"

    return measured("data dedup: read, all four keys", work)


def leaking(path: Path) -> Measured:
    held_out = datasets.generate(datasets.recipe("dev-reasoning-v2-eval"))

    def work() -> tuple[int, str]:
        found = datasets.leakage(traces.read(path), held_out)
        return found.trained, f"{found.exact} of {found.items} items exact, {found.skeletons} skeleton, {found.near} near"

    return measured("data leak: read, against 240 held-out items", work)


def selecting(path: Path) -> Measured:
    def work() -> tuple[int, str]:
        where = {"meta.level": {"min": 2, "max": 3}}
        chosen = Selection.parse({"name": "x", "select": {"from": ["all"], "where": where, "dedup": "prompt"}}, source="x")
        size = sum(1 for _ in values.read_jsonl(path))
        pool = Pool("all", "0" * 64, "Apache-2.0", {"unsplit": size}, size, traces.read(path))
        manifest = datasets.derive(chosen, [pool], path.parent / "selected")
        return size, f"{manifest.count} kept, {sum((manifest.dropped or {}).values())} listed with a reason"

    return measured("data select: read, filter, write", work)


def brute_force(path: Path) -> Measured:
    """Every pair of the first 2,000, and how much of what it finds the search finds."""
    texts = list(islice(prompts(path), SAMPLE))

    def work() -> tuple[int, str]:
        sets = [{text[at : at + nearness.GRAM] for at in range(max(1, len(text) - nearness.GRAM + 1))} for text in texts]
        pairs = [
            (i, j)
            for i, one in enumerate(sets)
            for j, other in enumerate(sets[:i])
            if len(one & other) >= nearness.THRESHOLD * len(one | other)
        ]
        labels = nearness.clusters(texts).labels
        found = sum(labels[i] == labels[j] for i, j in pairs)
        return len(texts), f"of {len(pairs)} pairs at {nearness.THRESHOLD} or more, {found} are in one cluster of the search"

    return measured(f"near-duplicates by brute force, first {SAMPLE:,}", work)


if __name__ == "__main__":
    main()
