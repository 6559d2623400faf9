"""How much of a held-out set a training set gives away, and how two datasets differ.

Exact overlap, of canonical prompts, is a leak and nothing else. Shared skeletons (prompts with their digits masked) and shared
word n-grams are a matter of degree: they say how far the held-out items are from what was trained on.
"""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple

from tunix_rt.datasets.figures import skeleton
from tunix_rt.datasets.generation import canonical_prompt
from tunix_rt.traces import Trace
from tunix_rt.values import Value

NGRAM = 5  # words; shorter prompts count as one n-gram
CLOSE = 0.8  # share of an item's n-grams from which it counts as close to the training set


class Leakage(Value):
    """`exact` and `skeletons` count held-out items; the n-gram figures are shares of an item's own n-grams.

    `examples` are prompts of exact leaks, at most ten, in the order of the held-out set.
    """

    items: int
    exact: int
    skeletons: int
    ngram: int = NGRAM
    ngram_median: float
    ngram_max: float
    ngram_close: int
    examples: tuple[str, ...]


class Changes(NamedTuple):
    """Traces by id: `added` are only in the second set, `removed` only in the first, in the order of their set."""

    added: tuple[Trace, ...]
    removed: tuple[Trace, ...]
    common: int


def leakage(train: Iterable[Trace], held_out: Iterable[Trace]) -> Leakage:
    """Overlap of every held-out prompt with all training prompts. Keeps hashes of the training prompts, not the traces."""
    prompts: set[str] = set()
    skeletons: set[str] = set()
    grams: set[int] = set()
    for trace in train:
        prompt = canonical_prompt(trace.prompt)
        prompts.add(prompt)
        skeletons.add(skeleton(prompt))
        grams.update(_ngrams(prompt))
    held = [canonical_prompt(trace.prompt) for trace in held_out]
    shares = [_share(prompt, grams) for prompt in held]
    return Leakage(
        items=len(held),
        exact=sum(prompt in prompts for prompt in held),
        skeletons=sum(skeleton(prompt) in skeletons for prompt in held),
        ngram_median=round(median(shares), 4) if shares else 0.0,
        ngram_max=round(max(shares, default=0.0), 4),
        ngram_close=sum(share >= CLOSE for share in shares),
        examples=tuple(prompt for prompt in held if prompt in prompts)[:10],
    )


def difference(first: Iterable[Trace], second: Iterable[Trace]) -> Changes:
    """Which traces came and went, by content id."""
    before = {trace.id: trace for trace in first}
    after = {trace.id: trace for trace in second}
    return Changes(
        added=tuple(trace for key, trace in after.items() if key not in before),
        removed=tuple(trace for key, trace in before.items() if key not in after),
        common=len(before.keys() & after.keys()),
    )


def _ngrams(prompt: str) -> Iterator[int]:
    words = prompt.split()
    for start in range(max(1, len(words) - NGRAM + 1)):
        yield hash(tuple(words[start : start + NGRAM]))


def _share(prompt: str, grams: set[int]) -> float:
    own = list(_ngrams(prompt))
    return sum(gram in grams for gram in own) / len(own)
