"""What a person sees while the engine works: its phases as lines, its steps as a bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tunix_rt.cli.console import Surface, Tail

PHASES = {
    "loading": "loading the model",
    "training": "training (the first step compiles)",
    "generating": "answering",
    "saving": "saving",
}


@contextmanager
def training(surface: Surface, attempt: Path) -> Iterator[Callable[[], None]]:
    """Yields the callback that a launcher calls while the engine trains in `attempt`."""
    plan = Plan(attempt, "steps")
    metrics = Tail(attempt / "metrics.jsonl")
    with surface.progress("train") as update:

        def follow() -> None:
            plan.read()
            for line in metrics.new():
                plan.done = line["step"]
                plan.note = f"loss {float(line['loss']):.3f}  {line['useful_tokens_per_second']:.0f} tok/s"
            update(plan.done, plan.total, plan.note)

        yield follow


@contextmanager
def generating(surface: Surface, folder: Path, what: str) -> Iterator[Callable[[], None]]:
    """Yields the callback that a launcher calls while the engine answers an evaluation set in `folder`."""
    plan = Plan(folder, "items")
    rows = Tail(folder / "generations.jsonl")
    with surface.progress(what) as update:

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

    def read(self) -> None:
        for event in self._events.new():
            if event["kind"] == "plan":
                self.total = event[self._unit]
            elif event["kind"] == "phase":
                self.note = PHASES[event["name"]]
