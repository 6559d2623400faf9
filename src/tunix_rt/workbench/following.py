"""What a person sees while the engine works: its phases as lines, its steps as a bar."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunix_rt.workbench.desk import Desk

PHASES = {
    "loading": "loading the model",
    "training": "training (the first step compiles)",
    "generating": "answering",
    "saving": "saving",
}


class Tail:
    """Reads the complete new lines of a growing JSONL file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def training(desk: Desk, attempt: Path) -> Iterator[Callable[[], None]]:
    """Yields the callback that a launcher calls while the engine trains in `attempt`."""
    plan = Plan(attempt, "steps")
    metrics = Tail(attempt / "metrics.jsonl")
    with desk.progress("train") as update:

        def follow() -> None:
            plan.read()
            for line in metrics.new():
                plan.done = line["step"]
                plan.note = describe(line)
            if plan.news:
                desk.say(f"  {plan.news.pop()}")
            update(plan.done, plan.total, plan.note)

        yield follow


def describe(line: dict[str, Any]) -> str:
    """A step of `metrics.jsonl` in a few words."""
    padding = line["padding_tokens"] / (line["padding_tokens"] + line["tokens"] - line.get("shared_tokens", 0))
    parts = [
        f"loss {float(line['loss']):.3f}",
        f"held-out {line['eval_loss']:.3f}" if "eval_loss" in line else "",
        f"{line['useful_tokens_per_second']:.0f} tok/s",
        f"{100 * padding:.0f} % padding",
        f"{remaining(line['seconds_left'])} left" if line.get("seconds_left") else "",
    ]
    return "  ".join(part for part in parts if part)


def remaining(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def generating(desk: Desk, folder: Path, what: str) -> Iterator[Callable[[], None]]:
    """Yields the callback that a launcher calls while the engine answers an evaluation set in `folder`."""
    plan = Plan(folder, "items")
    rows = Tail(folder / "generations.jsonl")
    with desk.progress(what) as update:

        def follow() -> None:
            plan.read()
            plan.done += len(rows.new())
            update(plan.done, plan.total, plan.note)

        yield follow


class Plan:
    """How much there is to do and what is being done, as the engine's events tell."""

    def __init__(self, folder: Path, unit: str) -> None:
        self._events = Tail(folder / "events.jsonl")
        self._unit = unit
        self.total = 0
        self.done = 0
        self.note = ""
        self.news: list[str] = []

    def read(self) -> None:
        for event in self._events.new():
            if event["kind"] == "plan":
                self.total = event[self._unit]
                if "device" in event:
                    rows = f"{event['accumulation']} x {event['rows']} rows"
                    self.news.append(f"on {event['device']}: {event['steps']} steps of {rows}, {event['tokens']:,} tokens")
            elif event["kind"] == "phase":
                self.note = PHASES[event["name"]]
