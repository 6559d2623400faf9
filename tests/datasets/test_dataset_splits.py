"""Splits: no group and no canonical prompt on both sides, nothing lost, and sides that stay when a set grows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import datasets, errors, traces
from tunix_rt.datasets import Dataset, Pool, Selection, nearness
from tunix_rt.datasets.partitions import sides
from tunix_rt.traces import Step, Trace

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40)


def trace(prompt: str, **meta: Any) -> Trace:
    return Trace(prompt=prompt, steps=(Step(i=1, type="compute", content="x"),), final_answer="1", meta=meta)


def split(rows: Sequence[Trace], folder: Path, by: str, share: float = 0.3, seed: int = 0) -> dict[str, list[Trace]]:
    found = {}
    for side in ("train", "eval"):
        apart = {"side": side, "by": by, "eval_share": share}
        chosen = Selection.parse({"name": side, "seed": seed, "select": {"from": ["x"], "apart": apart}}, source="x")
        manifest = datasets.derive(chosen, [Pool("x", "0" * 64, "MIT", {"unsplit": len(rows)}, len(rows), rows)], folder / side)
        assert manifest.splits == {side: manifest.count}
        found[side] = list(traces.read(folder / side / "dataset.jsonl"))
    return found


@given(PAIRS, st.integers(0, 5), st.floats(0.01, 0.99))
def test_no_group_and_no_prompt_is_on_both_sides(pairs: list[tuple[int, int]], seed: int, share: float) -> None:
    found = sides([group for group, _ in pairs], [prompt for _, prompt in pairs], seed, share)
    assert len(found) == len(pairs)
    for at in (0, 1):
        parts = [{pair[at] for pair, side in zip(pairs, found, strict=True) if side == wanted} for wanted in ("train", "eval")]
        assert parts[0].isdisjoint(parts[1])


@given(PAIRS, PAIRS)
def test_a_set_that_grows_by_whole_problems_keeps_its_sides(pairs: list[tuple[int, int]], more: list[tuple[int, int]]) -> None:
    before = [prompt for _, prompt in pairs]
    after = before + [prompt for _, prompt in more]
    assert sides(after, after, 0, 0.5)[: len(before)] == sides(before, before, 0, 0.5)


@given(PAIRS, st.randoms())
def test_order_changes_nothing(pairs: list[tuple[int, int]], rng: Any) -> None:
    turned = rng.sample(pairs, len(pairs))
    one = dict(zip(pairs, sides(*_columns(pairs), 0, 0.5), strict=True))
    other = dict(zip(turned, sides(*_columns(turned), 0, 0.5), strict=True))
    assert one == other


def _columns(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [group for group, _ in pairs], [prompt for _, prompt in pairs]


def test_the_share_is_about_what_was_asked() -> None:
    keys = [group << 100 for group in range(4_000)]
    assert 340 < sides(keys, keys, 0, 0.1).count("eval") < 460


@pytest.mark.parametrize("by", ["template", "problem", "near", "meta.task"])
def test_a_dataset_falls_into_two_that_share_nothing(by: str, tmp_path: Path) -> None:
    rows = datasets.generate(datasets.recipe("dev-reasoning-v2"))
    parts = split(rows, tmp_path, by)
    assert sorted(row.id for part in parts.values() for row in part) == sorted(row.id for row in rows)
    train, held = parts["train"], parts["eval"]
    assert train
    assert held
    assert datasets.leakage(train, held).exact == 0
    if by == "near":
        assert datasets.leakage(train, held).near == 0
    elif by != "problem":
        field = "group" if by == "template" else "task"
        assert {row.meta[field] for row in train}.isdisjoint({row.meta[field] for row in held})
    assert datasets.leakage(train, [*held, train[0]]).exact == 1  # negative control: one trace on the wrong side is seen


def test_near_clusters_stay_together_where_problems_do_not(tmp_path: Path) -> None:
    rows = [
        trace(f"how many pens does ada have when she buys {i} boxes of pens in {j}?") for i in range(8) for j in ("may", "june")
    ]
    rows += [trace(f"{word} {word} {word}") for word in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")]
    by_problem, by_cluster = split(rows, tmp_path / "a", "problem"), split(rows, tmp_path / "b", "near")
    assert datasets.leakage(by_problem["train"], by_problem["eval"]).near > 0
    assert datasets.leakage(by_cluster["train"], by_cluster["eval"]).near == 0
    assert len(set(nearness.clusters([row.prompt for row in rows]).labels.tolist())) < len(rows)


def test_what_cannot_be_split_is_refused(tmp_path: Path, sums: Dataset) -> None:
    rows = list(traces.read(sums.path))
    with pytest.raises(errors.Invalid, match=r"1 of 65 traces have no 'meta\.group' to split by"):
        split([*rows, trace("and this?")], tmp_path, "template")
    with pytest.raises(errors.Invalid, match=r"all 1 groups by meta\.task fall on the"):
        split(rows, tmp_path, "meta.task")
    with pytest.raises(errors.Invalid, match="'group' is not template"):
        split(rows, tmp_path, "group")
