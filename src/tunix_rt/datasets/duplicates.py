"""What counts as the same trace, by four keys, and how often each of them repeats in a dataset.

`content`: prompt, steps and answer, whatever the meta. `prompt`: the canonical prompt. `skeleton`: the canonical prompt with
its digits masked. `near`: connected by near-duplicate prompts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from tunix_rt.datasets import nearness
from tunix_rt.datasets.figures import skeleton
from tunix_rt.datasets.generation import canonical_prompt
from tunix_rt.traces import Trace, content_of
from tunix_rt.values import Value

EXAMPLES = 10


class Repeats(Value):
    """`distinct` groups; `duplicates` are traces after the first of their group; `repeated` groups have more than one trace."""

    distinct: int
    duplicates: int
    repeated: int
    largest: int


class NearPair(Value):
    """Two traces with different prompts, the verified similarity of these, and where the traces stand (from 1)."""

    positions: tuple[int, int]
    ids: tuple[str, str]
    jaccard: float


class Duplicates(Value):
    """`pairs` are the most similar of the `near_pairs` that were verified and connect the clusters, at most ten."""

    traces: int
    threshold: float
    content: Repeats
    prompt: Repeats
    skeleton: Repeats
    near: Repeats
    near_pairs: int
    pairs: tuple[NearPair, ...]


class Repetition:
    """Counts keys while traces pass by. 16 bytes of hash are kept for each key and the id of each prompt's first trace."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {key: Counter() for key in ("content", "prompt", "skeleton")}
        self._first: list[tuple[int, bytes]] = []

    def prompts(self, traces: Iterable[Trace]) -> Iterator[str]:
        """Counts every trace; yields each canonical prompt once."""
        for position, trace in enumerate(traces, start=1):
            prompt = canonical_prompt(trace.prompt)
            key = text_key(prompt)
            self._counts["content"][content_key(trace.line())] += 1
            self._counts["skeleton"][text_key(skeleton(prompt))] += 1
            self._counts["prompt"][key] += 1
            if self._counts["prompt"][key] == 1:
                self._first.append((position, bytes.fromhex(trace.id)))
                yield prompt

    def report(self, found: nearness.Clusters, threshold: float) -> Duplicates:
        sizes: Counter[int] = Counter()
        for label, count in zip(found.labels.tolist(), self._counts["prompt"].values(), strict=True):
            sizes[label] += count
        closest = sorted(found.pairs, key=lambda pair: (-pair.jaccard, pair))[:EXAMPLES]
        return Duplicates(
            traces=self._counts["content"].total(),
            threshold=threshold,
            **{key: _repeats(list(counts.values())) for key, counts in self._counts.items()},
            near=_repeats(list(sizes.values())),
            near_pairs=len(found.pairs),
            pairs=tuple(self._pair(pair) for pair in closest),
        )

    def _pair(self, pair: nearness.Pair) -> NearPair:
        (one, first), (other, second) = self._first[pair.first], self._first[pair.second]
        return NearPair(positions=(one, other), ids=(first.hex(), second.hex()), jaccard=round(pair.jaccard, 4))


def duplicates(traces: Iterable[Trace], threshold: float = nearness.THRESHOLD) -> Duplicates:
    """Repeats by every key, in one pass."""
    counted = Repetition()
    return counted.report(nearness.clusters(counted.prompts(traces), threshold), threshold)


def content_key(line: Mapping[str, Any]) -> int:
    """What names a trace line's prompt, steps with their types and claims, and answer, as a number; meta does not count."""
    return int.from_bytes(content_of(line), "big")


def text_key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")


def _repeats(sizes: Sequence[int]) -> Repeats:
    return Repeats(
        distinct=len(sizes),
        duplicates=sum(sizes) - len(sizes),
        repeated=sum(size > 1 for size in sizes),
        largest=max(sizes, default=0),
    )
