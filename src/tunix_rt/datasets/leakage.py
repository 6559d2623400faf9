"""How much of a held-out set a training set gives away, and how two datasets differ.

Exact overlap, of canonical prompts, is a leak and nothing else. Shared skeletons (prompts with their digits masked), shared
word n-grams and near-duplicate prompts are a matter of degree: they say how far held-out items are from what was trained on.
The held-out prompts are kept, as text, so nothing depends on a hash; the training traces only pass by.
"""

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import NamedTuple

from tunix_rt.datasets import nearness
from tunix_rt.datasets.figures import skeleton
from tunix_rt.datasets.generation import canonical_prompt
from tunix_rt.traces import Trace
from tunix_rt.values import Value

NGRAM = 5  # words; shorter prompts count as one n-gram
CLOSE = 0.8  # share of an item's n-grams from which it counts as close to the training set


class Overlap(Value):
    """`exact`, `skeletons` and `near` count held-out items; the n-gram figures are shares of an item's own n-grams."""

    items: int
    exact: int
    skeletons: int
    near: int
    ngram_median: float
    ngram_max: float
    ngram_close: int


class Leakage(Overlap):
    """Over all items, and by each value of `meta.tier` and `meta.section` that the held-out set has.

    `near` are items with a training prompt of at least `threshold` similarity, the exact ones among them. `examples` are
    prompts of exact leaks, at most ten, in the order of the held-out set.
    """

    trained: int
    ngram: int = NGRAM
    threshold: float
    tiers: dict[str, Overlap]
    sections: dict[str, Overlap]
    examples: tuple[str, ...]


class Changes(NamedTuple):
    """Traces by id: `added` are only in the second set, `removed` only in the first, in the order of their set."""

    added: tuple[Trace, ...]
    removed: tuple[Trace, ...]
    common: int


class ItemOverlap(NamedTuple):
    """One held-out item: whether its prompt, its skeleton is in training, and the share of its n-grams that are."""

    exact: bool
    skeleton: bool
    share: float


class Overlaps(NamedTuple):
    """A row for each held-out trace in its order; `trained` counts the training traces."""

    rows: list[ItemOverlap]
    trained: int


def overlaps(train: Iterable[Trace], held_out: Iterable[Trace]) -> Overlaps:
    """Item by item what `leakage` counts, near-duplicates left out, in one pass over each set."""
    prompts = [canonical_prompt(trace.prompt) for trace in held_out]
    seen = _Seen(prompts)
    for _ in seen.passing(train, None):
        pass
    return Overlaps([ItemOverlap(*seen.of(prompt)) for prompt in prompts], seen.count)


def leakage(
    train: Iterable[Trace],
    held_out: Iterable[Trace],
    threshold: float = nearness.THRESHOLD,
    update: Callable[[int], None] | None = None,
) -> Leakage:
    """Overlap of every held-out prompt with all training prompts, in one pass over each set."""
    items = [
        _Item(canonical_prompt(trace.prompt), str(trace.meta.get("tier", "")), str(trace.meta.get("section", "")))
        for trace in held_out
    ]
    seen = _Seen([item.prompt for item in items])
    near = nearness.near([item.prompt for item in items], seen.passing(train, update), threshold).tolist()
    rows = [_Row(item, *seen.of(item.prompt), close) for item, close in zip(items, near, strict=True)]
    return Leakage(
        **_overlap(rows).model_dump(),
        trained=seen.count,
        threshold=threshold,
        tiers=_by([(row.item.tier, row) for row in rows]),
        sections=_by([(row.item.section, row) for row in rows]),
        examples=tuple(row.item.prompt for row in rows if row.exact)[:10],
    )


class _Item(NamedTuple):
    prompt: str
    tier: str
    section: str


class _Row(NamedTuple):
    item: _Item
    exact: bool
    skeleton: bool
    share: float
    near: bool


class _Seen:
    """Which prompts, skeletons and n-grams of the held-out set have been met in training."""

    def __init__(self, held: list[str]) -> None:
        self._wanted = (set(held), {skeleton(prompt) for prompt in held}, {gram for prompt in held for gram in _ngrams(prompt)})
        self._met: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        self.count = 0

    def passing(self, train: Iterable[Trace], update: Callable[[int], None] | None) -> Iterator[str]:
        """Looks at every training prompt and hands it on."""
        prompts, skeletons, grams = self._wanted
        met_prompts, met_skeletons, met_grams = self._met
        for trace in train:
            self.count += 1
            prompt = canonical_prompt(trace.prompt)
            if prompt in prompts:
                met_prompts.add(prompt)
            masked = skeleton(prompt)
            if masked in skeletons:
                met_skeletons.add(masked)
            met_grams.update(gram for gram in _ngrams(prompt) if gram in grams)
            if update and self.count % 1_000 == 0:
                update(self.count)
            yield prompt

    def of(self, prompt: str) -> tuple[bool, bool, float]:
        own = list(_ngrams(prompt))
        prompts, skeletons, grams = self._met
        return prompt in prompts, skeleton(prompt) in skeletons, sum(gram in grams for gram in own) / len(own)


def _overlap(rows: list[_Row]) -> Overlap:
    shares = [row.share for row in rows]
    return Overlap(
        items=len(rows),
        exact=sum(row.exact for row in rows),
        skeletons=sum(row.skeleton for row in rows),
        near=sum(row.near for row in rows),
        ngram_median=round(median(shares), 4) if shares else 0.0,
        ngram_max=round(max(shares, default=0.0), 4),
        ngram_close=sum(share >= CLOSE for share in shares),
    )


def _by(rows: list[tuple[str, _Row]]) -> dict[str, Overlap]:
    """By the value that each row has; rows without one are in the whole only."""
    return {name: _overlap([row for own, row in rows if own == name]) for name in sorted({own for own, _ in rows if own})}


def difference(first: Iterable[Trace], second: Iterable[Trace]) -> Changes:
    """Which traces came and went, by content id. Keeps the first set, and of the second what the first lacks."""
    before = {trace.id: trace for trace in first}
    common: set[str] = set()
    added: dict[str, Trace] = {}
    for trace in second:
        key = trace.id
        if key in before:
            common.add(key)
        else:
            added[key] = trace
    removed = tuple(trace for key, trace in before.items() if key not in common)
    return Changes(added=tuple(added.values()), removed=removed, common=len(common))


def _ngrams(prompt: str) -> Iterator[str]:
    words = prompt.split()
    return (" ".join(words[start : start + NGRAM]) for start in range(max(1, len(words) - NGRAM + 1)))
