"""The step checker on model solutions to competition problems, against people's first-wrong-span labels (CHAMP, MIT licence).

    pip download champ-dataset==1.0.0 --no-deps, unzip it, and
    python benchmarks/champ.py champ_dataset/dataset_files/v0.json

Every line of a solution is a step, the problem is the prompt, and there is no reference. A first wrong step counts as exact
when its line overlaps the span that the annotator marked.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import checking
from tunix_rt.traces import Step, Trace


class Line(NamedTuple):
    text: str
    start: int
    end: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    problems = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))["problems"]
    score = Counter[str]()
    for problem in problems.values():
        for annotation in (problem.get("fws_annotations") or {}).values():
            score.update(judged(problem["_text"], annotation))
    for name in ("solutions", "steps", "checked steps", "solutions with a checked step"):
        print(f"{name:44}{score[name]:>6}")
    for kind in ("with a mistake", "without a mistake"):
        n = score[kind]
        for what in ("wrong step found", "exact", "too early", "wrong or ungrounded step found"):
            if score[f"{kind}: {what}"]:
                print(
                    f"{kind + ': ' + what:52}{score[f'{kind}: {what}']:>5} of {n} ({100 * score[f'{kind}: {what}'] / n:.1f} %)"
                )


def judged(prompt: str, annotation: dict[str, Any]) -> Iterator[str]:
    rows = list(lines(annotation["text"]))
    if not rows:
        return
    steps = tuple(Step(i=i, type="step", content=line.text) for i, line in enumerate(rows, 1))
    check = checking.check(Trace(prompt=prompt, steps=steps, final_answer="-"), mode="free")
    verdicts = [step.verdict for step in check.steps]
    yield "solutions"
    yield from ["steps"] * len(verdicts)
    checked = len(verdicts) - verdicts.count("unchecked")
    yield from ["checked steps"] * checked
    yield from ["solutions with a checked step"] * bool(checked)
    start, end = annotation.get("start_idx"), annotation.get("end_idx")
    kind = "without a mistake" if start is None or end is None else "with a mistake"
    yield kind
    if check.first_wrong is not None:
        yield f"{kind}: wrong step found"
        line = rows[check.first_wrong - 1]
        if start is not None and end is not None:
            yield from [f"{kind}: exact"] * (line.start < end and start < line.end)
            yield from [f"{kind}: too early"] * (line.end <= start)
    if check.first_wrong is not None or "ungrounded" in verdicts:
        yield f"{kind}: wrong or ungrounded step found"


def lines(text: str) -> Iterator[Line]:
    at = 0
    for row in text.split("\n"):
        if row.strip():
            yield Line(row, at, at + len(row))
        at += len(row) + 1


if __name__ == "__main__":
    main()
