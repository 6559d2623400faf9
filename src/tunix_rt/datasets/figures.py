"""What a dataset is made of and how long its parts are, counted while its traces pass by once."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from statistics import median
from typing import Any

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
    """Add each trace's JSONL object once, then read `composition` and `figures`.

    Keeps 8 bytes for each length and each text, not the texts: distinct texts are counted by their 64-bit hashes.
    """

    def __init__(self) -> None:
        self._meta: Counter[tuple[str | None, ...]] = Counter()  # how often each combination of values occurs
        self._step_types: Counter[str] = Counter()
        self._lengths: dict[str, array[int]] = {key: array("q") for key in _LENGTHS}
        self._texts: dict[str, array[int]] = {key: array("Q") for key in ("prompts", "skeletons", "answers")}
        self._claims = self._with_claims = 0

    def add(self, line: Mapping[str, Any]) -> None:
        prompt, steps, answer, meta = line["prompt"], line["steps"], line["final_answer"], line["meta"]
        self._meta[tuple([str(meta[key]) if key in meta else None for key in _META_KEYS])] += 1
        texts = [prompt]
        for step in steps:
            texts.append(step["content"])
            self._step_types[step["type"]] += 1
            if "claims" in step:
                self._claims += len(step["claims"])
                self._with_claims += 1
        texts.append(answer)
        together = " ".join(texts)
        chars, words = len(together) - len(texts) + 1, len(together.split())
        measured = (len(prompt), chars, len(prompt.split()), words, len(steps))
        for lengths, length in zip(self._lengths.values(), measured, strict=True):
            lengths.append(length)
        for hashes, text in zip(self._texts.values(), (prompt, skeleton(prompt), answer), strict=True):
            hashes.frombytes(blake2b(text.encode(), digest_size=8).digest())

    @property
    def count(self) -> int:
        return len(self._lengths["steps"])

    @property
    def composition(self) -> Composition:
        counts: dict[str, Counter[str]] = {key: Counter() for key in _META_KEYS}
        for values, times in self._meta.items():
            for key, value in zip(_META_KEYS, values, strict=True):
                if value is not None:
                    counts[key][value] += times
        ordered = {key: dict(sorted(counter.items())) for key, counter in counts.items()}
        return Composition(**ordered, step_type=dict(sorted(self._step_types.items())))

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
        counted.add(trace.line())
    return counted


_META_KEYS = ("section", "task", "level", "group", "transform")
_LENGTHS = ("prompt_chars", "trace_chars", "prompt_words", "trace_words", "steps")


def _spread(lengths: Sequence[int]) -> Spread:
    return Spread(min=min(lengths), median=median(lengths), max=max(lengths))
