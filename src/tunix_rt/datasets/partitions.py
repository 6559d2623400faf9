"""Splits of data that has no partition of its own: whole groups go to one side, and so do all traces with one canonical prompt.

Groups that share a prompt are joined first. The side of what is joined depends on the smallest of its keys and a seed, so it
does not depend on order, and a set that grows keeps its sides - except where a new trace joins groups that were apart, which
near-duplicate clusters will do now and then and whole problems never do.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from tunix_rt.datasets.capacities import Split
from tunix_rt.datasets.nearness import connected


def sides(groups: Sequence[int], prompts: Sequence[int], seed: int, eval_share: float) -> list[Split]:
    """The side of each trace, given the 128-bit keys of its group and of its canonical prompt."""
    numbers: dict[tuple[str, int], int] = {}
    edges = [
        (numbers.setdefault(("group", group), len(numbers)), numbers.setdefault(("prompt", prompt), len(numbers)))
        for group, prompt in zip(groups, prompts, strict=True)
    ]
    if not edges:
        return []
    labels = connected(np.array(edges, dtype=np.int64), len(numbers)).tolist()
    keys: dict[int, int] = {}
    for group, (number, _) in zip(groups, edges, strict=True):
        keys[labels[number]] = min(group, keys.get(labels[number], group))
    chosen = {label: _side(key, seed, eval_share) for label, key in keys.items()}
    return [chosen[labels[number]] for number, _ in edges]


def _side(key: int, seed: int, eval_share: float) -> Split:
    drawn = int.from_bytes(blake2b(f"split/{seed}/{key}".encode(), digest_size=8).digest(), "big")
    return "eval" if drawn < eval_share * 2**64 else "train"
