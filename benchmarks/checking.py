"""The step checker on clean and on corrupted traces of every task: false alarms, detection, the exact first step.

    python benchmarks/checking.py [--half held-out] [--each 300]

Template groups are divided in two by a hash of their name. The rules were written against one half; the other is reported.
No trace carries claims here, so only its text is judged. The reference is the clean trace with its calculations written without
the way between (`15 * 4 = 60`), so that a trace and its reference never agree merely by being equal.

Rates are medians of five rounds on one core; in every round the same traces are also read from their JSON lines and validated,
and the last column is how much longer checking takes than that.
"""

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import get_args

from tunix_rt import checking, tasks
from tunix_rt.checking import Mode, injecting, rewriting
from tunix_rt.checking.injecting import KINDS, Injected, Kind
from tunix_rt.traces import Trace

HALVES = ("development", "held-out")
MODES: tuple[Mode, ...] = get_args(Mode)
SEED, CLEAN_A_CELL, DRAWS_A_CELL, ROUNDS = 20_26, 40, 1_200, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--half", choices=HALVES, default="held-out")
    parser.add_argument("--each", type=int, default=300, help="corrupted traces of each kind")
    arguments = parser.parse_args()
    clean = [trace for task, level in cells() for trace in some(task, level, arguments.half, CLEAN_A_CELL)]
    print(f"{arguments.half} groups, seed {SEED}\n")
    report_clean(clean)
    report_corrupted(corrupted(arguments.half, arguments.each))


def half(trace: Trace) -> str:
    return HALVES[hashlib.sha256(trace.meta["group"].encode()).digest()[0] % 2]


def cells() -> list[tuple[tasks.Task, int]]:
    return [(task, level) for task in tasks.CATALOGUE.values() for level in tasks.LEVELS]


def some(task: tasks.Task, level: int, wanted: str, count: int) -> Iterator[Trace]:
    found = 0
    for k in range(min(DRAWS_A_CELL, task.capacity[level - 1])):
        trace = tasks.item(task, level, SEED, k)
        if half(trace) == wanted:
            found += 1
            yield trace
        if found == count:
            return


def bare(trace: Trace) -> Trace:
    return trace.model_copy(update={"steps": tuple(step.model_copy(update={"claims": ()}) for step in trace.steps)})


def shortened(trace: Trace) -> Trace:
    steps = tuple(step.model_copy(update={"content": rewriting.shortened(step.content), "claims": ()}) for step in trace.steps)
    return trace.model_copy(update={"steps": steps})


def report_clean(clean: list[Trace]) -> None:
    print(f"{len(clean)} clean traces, text only")
    print(f"{'mode':10}{'false alarms':>14}{'ungrounded steps':>18}{'coverage':>10}{'traces/s':>10}{'times reading':>15}")
    lines = [bare(trace).model_dump_json() for trace in clean]
    for mode in MODES:
        pairs = [(bare(trace), None if mode == "free" else shortened(trace)) for trace in clean]
        rows = [checking.check(trace, mode=mode, reference=reference) for trace, reference in pairs]
        summary = checking.summarise(rows)
        alarms = f"{summary.wrong_traces} ({100 * summary.wrong_traces / len(rows):.2f} %)"
        check, ratio = rates(mode, pairs, lines)
        found = f"{alarms:>14}{summary.ungrounded:>18}{100 * summary.coverage:>8.1f} %"
        print(f"{mode:10}{found}{len(rows) / check:>10.0f}{ratio:>15.1f}")


def rates(mode: Mode, pairs: list[tuple[Trace, Trace | None]], lines: list[str]) -> tuple[float, float]:
    """Median processor seconds of checking, and of its ratio to reading and validating the same traces."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for line in lines:
            Trace.model_validate(json.loads(line))
        between = time.process_time()
        for trace, reference in pairs:
            checking.check(trace, mode=mode, reference=reference)
        rounds.append((time.process_time() - between, (time.process_time() - between) / (between - began)))
    return statistics.median(check for check, _ in rounds), statistics.median(ratio for _, ratio in rounds)


def corrupted(wanted: str, each: int) -> list[tuple[Trace, Injected]]:
    """Up to `each` of every kind, spread over the tasks: one draw of every cell after another."""
    made: list[tuple[Trace, Injected]] = []
    count: Counter[Kind] = Counter()
    streams = [some(task, level, wanted, DRAWS_A_CELL) for task, level in cells()]
    while streams and any(count[kind] < each for kind in KINDS):
        for stream in list(streams):
            trace = next(stream, None)
            if trace is None:
                streams.remove(stream)
                continue
            for kind in KINDS:
                if count[kind] < each and (found := injecting.inject(trace, SEED, kind)):
                    count[kind] += 1
                    made.append((trace, found))
    return made


def report_corrupted(pairs: list[tuple[Trace, Injected]]) -> None:
    print(f"\n{len(pairs)} corrupted traces, text only: detected % / exact first step %")
    head = "".join(f"{title:>18}" for title in ("free", "free + ungrounded", "anchored", "hybrid"))
    print(f"{'kind':20}{'n':>5}{head}")
    total: Counter[str] = Counter()
    for kind in KINDS:
        rows = [(trace, found) for trace, found in pairs if found.label.kind == kind]
        score = Counter[str]()
        for trace, found in rows:
            score.update(judged(trace, found))
        total.update(score)
        print(line(kind, len(rows), score))
    print(line("all", len(pairs), total))


def judged(trace: Trace, found: Injected) -> Iterator[str]:
    reference = shortened(trace)
    for mode in MODES:
        check = checking.check(found.trace, mode=mode, reference=None if mode == "free" else reference)
        yield from marks(mode, check.wrong, check.first_wrong, found.label.step)
        if mode == "free":
            loose = next((step.i for step in check.steps if step.verdict in ("wrong", "ungrounded")), None)
            yield from marks("free + ungrounded", check.wrong or loose is not None, loose, found.label.step)


def marks(name: str, seen: bool, step: int | None, label: int | None) -> Iterator[str]:
    if seen:
        yield f"{name} seen"
        if step == label:
            yield f"{name} exact"


def line(kind: str, n: int, score: Counter[str]) -> str:
    names = ("free", "free + ungrounded", "anchored", "hybrid")
    shown = (f"{share(score[f'{name} seen'], n)} / {share(score[f'{name} exact'], n)}" for name in names)
    return f"{kind:20}{n:>5}{''.join(f'{cell:>18}' for cell in shown)}"


def share(part: int, n: int) -> str:
    """In percent, rounded down, so that 100.0 means all."""
    return f"{1000 * part // n / 10:.1f}"


if __name__ == "__main__":
    sys.exit(main())
