"""Inclusion proofs: every leaf of every small tree, and nothing that was tampered with."""

import hashlib

import pytest

from tunix_rt import datasets, errors
from tunix_rt.datasets import Dataset, Proof
from tunix_rt.values import merkle_climb, merkle_path, merkle_root

LEAVES = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(70)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("set")
    datasets.build(datasets.recipe("tiny-sums"), folder)
    return datasets.open_dataset(folder)


@pytest.mark.parametrize("count", range(1, 71))
def test_every_leaf_of_every_size_is_proved(count: int) -> None:
    leaves, root = LEAVES[:count], merkle_root(LEAVES[:count])
    for index, leaf in enumerate(leaves):
        path = merkle_path(leaves, index)
        assert len(path) <= (count - 1).bit_length()
        assert merkle_climb(leaf, index, count, path) == root


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 33, 64, 70])
def test_nothing_tampered_reaches_the_root(count: int) -> None:
    leaves, root = LEAVES[:count], merkle_root(LEAVES[:count])
    for index, leaf in enumerate(leaves):
        path = merkle_path(leaves, index)
        other = hashlib.sha256(b"other").hexdigest()
        changed = [
            merkle_climb(other, index, count, path),
            merkle_climb(leaf, index, count, [*path, other]),
            *(merkle_climb(leaf, place, count, path) for place in range(-1, count + 1) if place != index),
            *(merkle_climb(leaf, index, count, [*path[:i], other, *path[i + 1 :]]) for i in range(len(path))),
            *([merkle_climb(leaf, index, count, path[:-1])] if path else []),
        ]
        assert root not in changed


def test_an_inner_node_is_no_leaf() -> None:
    node = hashlib.sha256(b"".join(bytes.fromhex(leaf) for leaf in LEAVES[:2])).hexdigest()
    assert merkle_climb(node, 0, 1, []) != merkle_root(LEAVES[:2])


def test_a_trace_of_a_dataset_is_proved(dataset: Dataset) -> None:
    traces = datasets.generate(datasets.recipe("tiny-sums"))
    proof = datasets.prove(dataset, traces[7].id[:12])
    assert (proof.leaf, proof.index, proof.count, len(proof.siblings)) == (traces[7].id, 7, 64, 6)
    assert proof.holds()
    proof.verify(dataset.manifest.merkle_root)
    proof.about(traces[7])
    assert Proof.parse(proof.model_dump(mode="json"), source="again") == proof


def test_a_wrong_proof_is_refused(dataset: Dataset) -> None:
    traces = datasets.generate(datasets.recipe("tiny-sums"))
    proof = datasets.prove(dataset, traces[7].id)
    for change in (
        {"index": 6},
        {"count": 32},
        {"leaf": traces[6].id},
        {"siblings": proof.siblings[::-1]},
        {"root": LEAVES[0]},
    ):
        tampered = proof.model_copy(update=change)
        assert not tampered.holds()
        with pytest.raises(errors.Tampered, match="does not hold"):
            tampered.verify(tampered.root)
    with pytest.raises(errors.Tampered, match="another dataset's"):
        proof.verify(LEAVES[0])
    with pytest.raises(errors.Tampered, match="the proof is about trace"):
        proof.about(traces[8])
    with pytest.raises(errors.Tampered, match="but no trace was given"):
        proof.about(None)


@pytest.mark.parametrize(("start", "error"), [("zzzz", errors.NotFound), ("", errors.Invalid)])
def test_prove_wants_one_id(dataset: Dataset, start: str, error: type[errors.Mistake]) -> None:
    with pytest.raises(error):
        datasets.prove(dataset, start)
