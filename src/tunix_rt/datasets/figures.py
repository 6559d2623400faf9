"""What a dataset is made of and how long its parts are, counted while its traces pass by once."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median

from pydantic import Field

from tunix_rt.traces import Trace
from tunix_rt.values import Value

Counts = dict[str, int]


class Spread(Value):
    """Smallest, middle and largest of a length, over all traces."""

    min: int
    median: float
    max: int


class Composition(Value):
    section: Counts
    task: Counts
    level: Counts
    group: Counts
    transform: Counts = Field(default_factory=dict)
    step_type: Counts


class Figures(Value):
    """Lengths in characters and in white-space words; `skeletons` are prompts with every digit run masked."""

    prompt_chars: Spread
    trace_chars: Spread
    prompt_words: Spread
    trace_words: Spread
    steps: Spread
    claims: int
    steps_with_claims: int
    distinct_prompts: int
    distinct_skeletons: int
    distinct_answers: int


_DIGITS = re.compile(r"[0-9]+")


def skeleton(prompt: str) -> str:
    """The prompt with every run of digits masked: what two items share when only their numbers differ."""
    return _DIGITS.sub("#", prompt)


class Tally:
    """Add each trace once, then read `composition` and `figures`. Keeps lengths and texts' keys, not the traces."""

    def __init__(self) -> None:
        self._meta: dict[str, Counter[str]] = {key: Counter() for key in _META_KEYS}
        self._step_types: Counter[str] = Counter()
        self._lengths: dict[str, list[int]] = {key: [] for key in _LENGTHS}
        self._distinct: dict[str, set[str]] = {"prompts": set(), "skeletons": set(), "answers": set()}
        self._claims = self._with_claims = 0

    def add(self, trace: Trace) -> None:
        for key in _META_KEYS:
            if key in trace.meta:
                self._meta[key][str(trace.meta[key])] += 1
        for step in trace.steps:
            self._step_types[step.type] += 1
            self._claims += len(step.claims)
            self._with_claims += bool(step.claims)
        for key, measure in _LENGTHS.items():
            self._lengths[key].append(measure(trace))
        self._distinct["prompts"].add(trace.prompt)
        self._distinct["skeletons"].add(skeleton(trace.prompt))
        self._distinct["answers"].add(trace.final_answer)

    @property
    def count(self) -> int:
        return len(self._lengths["steps"])

    @property
    def composition(self) -> Composition:
        counts = {key: dict(sorted(counter.items())) for key, counter in self._meta.items()}
        return Composition(**counts, step_type=dict(sorted(self._step_types.items())))

    @property
    def figures(self) -> Figures:
        return Figures(
            **{key: _spread(lengths) for key, lengths in self._lengths.items()},
            claims=self._claims,
            steps_with_claims=self._with_claims,
            distinct_prompts=len(self._distinct["prompts"]),
            distinct_skeletons=len(self._distinct["skeletons"]),
            distinct_answers=len(self._distinct["answers"]),
        )


def tally(traces: Iterable[Trace]) -> Tally:
    counted = Tally()
    for trace in traces:
        counted.add(trace)
    return counted


def _texts(trace: Trace) -> list[str]:
    return [trace.prompt, *(step.content for step in trace.steps), trace.final_answer]


_META_KEYS = ("section", "task", "level", "group", "transform")
_LENGTHS: dict[str, Callable[[Trace], int]] = {
    "prompt_chars": lambda trace: len(trace.prompt),
    "trace_chars": lambda trace: sum(map(len, _texts(trace))),
    "prompt_words": lambda trace: len(trace.prompt.split()),
    "trace_words": lambda trace: sum(len(text.split()) for text in _texts(trace)),
    "steps": lambda trace: len(trace.steps),
}


def _spread(lengths: list[int]) -> Spread:
    return Spread(min=min(lengths), median=median(lengths), max=max(lengths))
