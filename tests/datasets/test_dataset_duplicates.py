"""Near-duplicates against brute force, repeats by every key, and the same answer from every process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import datasets
from tunix_rt.datasets import nearness
from tunix_rt.traces import Step, Trace


def trace(prompt: str, content: str = "x", **meta: object) -> Trace:
    return Trace(prompt=prompt, steps=(Step(i=1, type="compute", content=content),), final_answer="1", meta=meta)


def grams(text: str) -> set[str]:
    padded = text.ljust(nearness.GRAM, "\0")
    return {padded[at : at + nearness.GRAM] for at in range(len(padded) - nearness.GRAM + 1)}


def similarity(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    return len(a & b) / len(a | b)


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    return [datasets.canonical_prompt(row.prompt) for row in datasets.generate(datasets.recipe("dev-reasoning-v2"))]


@pytest.fixture(scope="module")
def similar(prompts: list[str]) -> dict[tuple[int, int], float]:
    sets = [grams(prompt) for prompt in prompts]
    return {(i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i in range(len(sets)) for j in range(i)}


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8])
def test_clusters_are_those_of_brute_force(prompts: list[str], similar: dict[tuple[int, int], float], threshold: float) -> None:
    found = nearness.clusters(prompts, threshold)
    pairs = [pair for pair, jaccard in similar.items() if jaccard >= threshold]
    assert len(pairs) > 30
    missed = [pair for pair in pairs if found.labels[pair[0]] != found.labels[pair[1]]]
    assert len(missed) <= 0.01 * len(pairs)
    for pair in found.pairs:
        assert pair.jaccard == pytest.approx(similarity(prompts[pair.first], prompts[pair.second]))
        assert pair.jaccard >= threshold


def test_a_large_bucket_of_one_template_is_one_cluster() -> None:
    texts = [
        f"how many apples does tom have after he buys {i} more apples at the market in the old town?" for i in range(3_000)
    ]
    found = nearness.clusters(iter(texts))
    assert set(found.labels.tolist()) == {0}
    assert len(found.pairs) < 4 * len(texts)


def test_short_empty_and_repeated_texts() -> None:
    assert nearness.clusters([]).labels.tolist() == []
    assert nearness.clusters(["a", "b", "a", "", "ab"]).labels.tolist() == [0, 1, 0, 3, 4]
    assert nearness.near(["a", "b"], []).tolist() == [False, False]
    assert nearness.near([], ["a"]).tolist() == []


def test_near_finds_what_clusters_find(prompts: list[str]) -> None:
    held, others = prompts[:100], prompts[100:]
    found = nearness.near(held, iter(others)).tolist()
    assert found == [any(similarity(one, other) >= nearness.THRESHOLD for other in others) for one in held]
    assert any(found)


WORDS = st.lists(st.sampled_from(["ab", "cde", "fgh", "klm", "12", "7", "é", "好"]), max_size=12).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_similarity_is_real(texts: list[str]) -> None:
    sets = nearness.gram_sets(texts)
    a, b = (part.ravel() for part in np.meshgrid(np.arange(len(texts)), np.arange(len(texts))))
    expected = [similarity(texts[i], texts[j]) for i, j in zip(a.tolist(), b.tolist(), strict=True)]
    assert nearness.jaccard(sets, a, sets, b).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_bands_propose_pairs_at_the_threshold(threshold: float) -> None:
    count, size = nearness.bands(threshold)
    assert 1 - (1 - threshold**size) ** count >= nearness.RECALL
    assert count * size <= nearness.PERMUTATIONS


def test_repeats_by_every_key() -> None:
    long = "a rather long prompt about the price of bread in a small town by the sea, number"
    rows = [
        trace("2 + 3?"),
        trace("2 + 3?", line=2),
        trace(" 2 +  3? ", "another way"),
        trace("7 + 9?"),
        trace(f"{long} one"),
        trace(f"{long} two"),
    ]
    found = datasets.duplicates(rows)
    counts = {key: (part.distinct, part.duplicates, part.repeated, part.largest) for key, part in found if key in _KEYS}
    assert counts == {"content": (5, 1, 1, 2), "prompt": (4, 2, 1, 3), "skeleton": (3, 3, 1, 4), "near": (3, 3, 2, 3)}
    (pair,) = found.pairs
    assert (pair.positions, pair.ids) == ((5, 6), (rows[4].id, rows[5].id))
    assert pair.jaccard == round(similarity(rows[4].prompt, rows[5].prompt), 4)


_KEYS = ("content", "prompt", "skeleton", "near")


def test_the_hash_seed_changes_nothing(prompts: list[str]) -> None:
    program = """
import sys
from tunix_rt import datasets
rows, held = (datasets.generate(datasets.recipe(name)) for name in ("tiny-sums", "tiny-sums-eval"))
print(datasets.duplicates(rows, 0.5).model_dump_json(), datasets.leakage(rows, held, 0.5).model_dump_json())
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1
    assert prompts
