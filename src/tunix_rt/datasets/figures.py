"""What a dataset is made of and how long its parts are, counted while its traces pass by once."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
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
    """How many traces there are of each kind; `labels` are the recipe's own words for its kinds."""

    section: Counts
    task: Counts
    level: Counts
    group: Counts
    transform: Counts = Field(default_factory=dict)
    step_type: Counts
    labels: dict[str, Counts] = Field(default_factory=dict, exclude_if=lambda labels: not labels)


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
    """Add each trace once, then read `composition` and `figures`.

    Keeps 8 bytes for each length and each text, not the texts: distinct texts are counted by their 64-bit hashes.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._meta: dict[str, Counter[str]] = {key: Counter() for key in (*_META_KEYS, *labels)}
        self._step_types: Counter[str] = Counter()
        self._lengths: dict[str, array[int]] = {key: array("q") for key in LENGTHS}
        self._texts: dict[str, array[int]] = {key: array("Q") for key in ("prompts", "skeletons", "answers")}
        self._claims = self._with_claims = 0

    def add(self, trace: Trace) -> None:
        for key, counter in self._meta.items():
            if key in trace.meta:
                counter[str(trace.meta[key])] += 1
        for step in trace.steps:
            self._step_types[step.type] += 1
            self._claims += len(step.claims)
            self._with_claims += bool(step.claims)
        for key, measure in LENGTHS.items():
            self._lengths[key].append(measure(trace))
        self._texts["prompts"].append(_hash(trace.prompt))
        self._texts["skeletons"].append(_hash(skeleton(trace.prompt)))
        self._texts["answers"].append(_hash(trace.final_answer))

    @property
    def count(self) -> int:
        return len(self._lengths["steps"])

    @property
    def composition(self) -> Composition:
        counts = {key: dict(sorted(counter.items())) for key, counter in self._meta.items()}
        plain = {key: counts.pop(key) for key in _META_KEYS}
        return Composition(**plain, labels=counts, step_type=dict(sorted(self._step_types.items())))

    @property
    def figures(self) -> Figures:
        return Figures(
            **{key: _spread(lengths) for key, lengths in self._lengths.items()},
            claims=self._claims,
            steps_with_claims=self._with_claims,
            distinct_prompts=len(set(self._texts["prompts"])),
            distinct_skeletons=len(set(self._texts["skeletons"])),
            distinct_answers=len(set(self._texts["answers"])),
        )


def tally(traces: Iterable[Trace]) -> Tally:
    counted = Tally()
    for trace in traces:
        counted.add(trace)
    return counted


def _texts(trace: Trace) -> list[str]:
    return [trace.prompt, *(step.content for step in trace.steps), trace.final_answer]


_META_KEYS = ("section", "task", "level", "group", "transform")
LENGTHS: dict[str, Callable[[Trace], int]] = {
    "prompt_chars": lambda trace: len(trace.prompt),
    "trace_chars": lambda trace: sum(map(len, _texts(trace))),
    "prompt_words": lambda trace: len(trace.prompt.split()),
    "trace_words": lambda trace: sum(len(text.split()) for text in _texts(trace)),
    "steps": lambda trace: len(trace.steps),
}


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _spread(lengths: Sequence[int]) -> Spread:
    return Spread(min=min(lengths), median=median(lengths), max=max(lengths))
