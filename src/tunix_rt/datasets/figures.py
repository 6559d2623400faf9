"""What a dataset is made of and how long its parts are, counted while its traces pass by once."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from statistics import median
from typing import Any, NamedTuple

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


StepSize = tuple[str, int]  # a step's type, and how many claims it makes


class Measured(NamedTuple):
    """What is counted of a trace: its values of `meta_keys`, its LENGTHS, and the hashes of prompt, skeleton and answer."""

    meta: tuple[str | None, ...]
    lengths: tuple[int, ...]
    texts: bytes
    steps: Sequence[StepSize]


def meta_keys(labels: Iterable[str]) -> tuple[str, ...]:
    return (*_META_KEYS, *labels)


def measure(keys: Sequence[str], line: Mapping[str, Any]) -> Measured:
    prompt, answer, meta = line["prompt"], line["final_answer"], line["meta"]
    values = tuple([str(meta[key]) if key in meta else None for key in keys])
    steps = [_step_size(step) for step in line["steps"]]
    found = lengths([prompt, answer, *[step["content"] for step in line["steps"]]])
    texts = _hash(prompt) + _hash_of_few(skeleton(prompt)) + _hash_of_few(answer)
    return Measured(values, found, texts, steps)


def _step_size(step: Mapping[str, Any]) -> StepSize:
    return step["type"], len(step["claims"]) if "claims" in step else 0


class Tally:
    """Add each trace's JSONL object once, then read `composition` and `figures`.

    Keeps 8 bytes for each length and each text, not the texts: distinct texts are counted by their 64-bit hashes.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._keys = meta_keys(labels)
        self._meta: Counter[tuple[str | None, ...]] = Counter()  # how often each combination of values occurs
        self._steps: Counter[StepSize] = Counter()  # how often each occurs
        self._lengths = array("q")  # those of LENGTHS, trace after trace
        self._texts = array("Q")  # hashes of prompt, skeleton and answer, trace after trace

    def add(self, line: Mapping[str, Any]) -> None:
        self.take(measure(self._keys, line))

    def take(self, one: Measured) -> None:
        """Add a trace that has been measured already, with `meta_keys` of the same labels."""
        self._meta[one.meta] += 1
        for size in one.steps:
            self._steps[size] += 1
        self._lengths.extend(one.lengths)
        self._texts.frombytes(one.texts)

    @property
    def count(self) -> int:
        return len(self._lengths) // len(LENGTHS)

    @property
    def composition(self) -> Composition:
        counts: dict[str, Counter[str]] = {key: Counter() for key in self._keys}
        for values, times in self._meta.items():
            for key, value in zip(self._keys, values, strict=True):
                if value is not None:
                    counts[key][value] += times
        ordered = {key: dict(sorted(counter.items())) for key, counter in counts.items()}
        plain = {key: ordered.pop(key) for key in _META_KEYS}
        step_types: Counter[str] = Counter()
        for (kind, _), times in self._steps.items():
            step_types[kind] += times
        return Composition(**plain, labels=ordered, step_type=dict(sorted(step_types.items())))

    @property
    def figures(self) -> Figures:
        spreads = {key: _spread(self._lengths[i :: len(LENGTHS)]) for i, key in enumerate(LENGTHS)}
        prompts, skeletons, answers = (len(set(self._texts[i::3])) for i in range(3))
        return Figures(
            **spreads,
            claims=sum(claims * times for (_, claims), times in self._steps.items()),
            steps_with_claims=sum(times for (_, claims), times in self._steps.items() if claims),
            distinct_prompts=prompts,
            distinct_skeletons=skeletons,
            distinct_answers=answers,
        )


def tally(traces: Iterable[Trace]) -> Tally:
    counted = Tally()
    for trace in traces:
        counted.add(trace.line())
    return counted


_META_KEYS = ("section", "task", "level", "group", "transform")
LENGTHS = ("prompt_chars", "trace_chars", "prompt_words", "trace_words", "steps")


def lengths(texts: Sequence[str]) -> tuple[int, ...]:
    """Those of `LENGTHS`, of a trace's prompt, answer and step texts."""
    prompt, together = texts[0], " ".join(texts)
    return len(prompt), len(together) - len(texts) + 1, len(prompt.split()), len(together.split()), len(texts) - 2


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


_hash_of_few = lru_cache(maxsize=10_000)(_hash)  # of texts that come again and again


def _spread(lengths: Sequence[int]) -> Spread:
    return Spread(min=min(lengths), median=median(lengths), max=max(lengths))
