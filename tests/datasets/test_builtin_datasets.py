"""The datasets that ship: their sizes and sections, every step checked, and nothing of an evaluation set in a training set."""

import re
import tomllib
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import checking, datasets, tasks
from tunix_rt.tasks import CATALOGUE, holdout
from tunix_rt.tasks.rng import Rng
from tunix_rt.traces import Trace

NAMES = sorted(datasets.builtin_recipes())
TRAIN = [name for name in NAMES if datasets.recipe(name).split == "train"]
EVAL = [name for name in NAMES if datasets.recipe(name).split == "eval"]
CHECKED = 2_000  # traces of a set that the checker reads here; `tunix-rt check` reads all of them


@cache
def made(name: str) -> tuple[Trace, ...]:
    return tuple(datasets.generate(datasets.recipe(name)))


@cache
def prompts(name: str) -> frozenset[str]:
    return frozenset(datasets.canonical_prompt(trace.prompt) for trace in made(name))


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("dev-reasoning-v1", {"reasoning": 140, "synthetic": 60}),
        ("golden-v2", {"golden": 100}),
        ("eval-v1", {"written": 25}),
        ("eval-v2", {"core": 60, "trace-sensitive": 25, "edge": 15}),
    ],
)
def test_sections(name: str, sections: dict[str, int]) -> None:
    assert Counter(trace.meta["section"] for trace in made(name)) == sections


def test_the_large_set_has_every_family_and_only_seen_forms() -> None:
    traces = made("dev-reasoning-v3")
    assert len(traces) >= 20_000
    assert {trace.meta["task"] for trace in traces} == set(CATALOGUE)
    assert {trace.meta["level"] for trace in traces} == {1, 2}
    assert not {trace.meta["group"] for trace in traces} & {
        group for task in CATALOGUE.values() for group in holdout.groups(task, "unseen")
    }


def test_its_evaluation_set_has_three_tiers() -> None:
    groups = {trace.meta["group"] for trace in made("dev-reasoning-v3")}
    tiers: dict[str, list[dict[str, Any]]] = {"iid": [], "level": [], "template": []}
    for trace in made("dev-reasoning-v3-eval"):
        tiers[trace.meta["tier"]].append(trace.meta)
    assert {tier: len(metas) for tier, metas in tiers.items()} == {"iid": 220, "level": 220, "template": 220}
    assert {meta["level"] for meta in tiers["level"]} == {3}
    assert {meta["group"] for meta in tiers["iid"]} <= groups
    assert {meta["group"] for meta in tiers["template"]}.isdisjoint(groups)
    assert all({meta["task"] for meta in metas} == set(CATALOGUE) for metas in tiers.values())


@pytest.mark.parametrize("name", ["eval-v1", "eval-v2"])
def test_evaluation_items_say_what_they_are(name: str) -> None:
    assert all({"section", "category", "difficulty"} <= trace.meta.keys() for trace in made(name))
    assert {trace.meta["difficulty"] for trace in made(name)} == {"easy", "medium", "hard"}
    assert len({trace.meta["category"] for trace in made(name)}) >= 7


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_distinct_and_on_their_side(name: str) -> None:
    assert len(prompts(name)) == len(made(name))
    assert {datasets.side(datasets.problem(trace)) for trace in made(name)} == {datasets.recipe(name).split}


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_reads_every_step_and_finds_nothing_wrong(name: str) -> None:
    traces = made(name)[:: max(1, len(made(name)) // CHECKED)]
    found = checking.summarise([checking.check(trace) for trace in traces])
    least = 0.5 if any("review" in trace.meta for trace in traces) else 1.0  # a remark on a step is no sum to check
    assert (found.wrong_traces, found.ungrounded, found.coverage >= least) == (0, 0, True)


@pytest.mark.parametrize(("train", "held_out"), list(product(TRAIN, EVAL)))
def test_no_training_set_holds_an_evaluation_prompt(train: str, held_out: str) -> None:
    assert prompts(train).isdisjoint(prompts(held_out))


@pytest.mark.parametrize("seed", [7, 2026])
def test_nor_does_a_recipe_of_a_user(seed: int) -> None:
    mix = {name: {"weight": 1} for name in CATALOGUE}
    row = {"name": "mine", "version": 1, "seed": seed, "split": "train", "description": "mine", "licence": "MIT", "tasks": mix}
    recipe = datasets.Recipe.parse({**row, "count": 2_000, "transforms": {"minimal": 200, "distractor": 200}}, source="mine")
    trained = {datasets.canonical_prompt(trace.prompt) for trace in datasets.generate(recipe)}
    assert len(trained) == 2_000
    assert all(trained.isdisjoint(prompts(name)) for name in EVAL)


def test_the_comparison_can_fail() -> None:
    """The negative control: the same items, when nothing keeps them apart."""
    shared = made("eval-v2")[0]
    assert not (prompts("golden-v2") | {datasets.canonical_prompt(shared.prompt)}).isdisjoint(prompts("eval-v2"))


@pytest.mark.parametrize(
    ("name", "recipe", "dataset"),
    [
        ("dev-reasoning-v2", "e63e7ec191102f9e", "bcb4806202ced73b"),
        ("dev-reasoning-v2-eval", "fdc5acb1347cc831", "e260cdc9a1100ec1"),
        ("tiny-sums", "c291ed7cdd202399", "e2ae3e5e40f0259e"),
    ],
)
def test_published_sets_keep_their_identity(name: str, recipe: str, dataset: str, tmp_path: Path) -> None:
    """People have these datasets: a new field of a recipe or manifest, or a mended task, must leave them alone."""
    assert datasets.recipe(name).digest.startswith(recipe)
    assert datasets.build(datasets.recipe(name), tmp_path / name).digest.startswith(dataset)


def test_the_page_shows_the_traces_that_were_drawn(root: Path) -> None:
    page = (root / "docs" / "datasets.md").read_text()
    pool = [trace for name in ("dev-reasoning-v3", "dev-reasoning-v3-eval", "eval-v2") for trace in made(name)]
    shown = [page.index(f"({trace.id[:12]})\n\n    {trace.prompt}\n") for trace in Rng(2026, "docs", 0).some(pool, 10)]
    assert shown == sorted(shown)


def test_the_page_names_what_there_is(root: Path) -> None:
    page = (root / "docs" / "datasets.md").read_text()
    words = set(re.findall(r"[a-z0-9-]+", page))
    assert {*NAMES, *CATALOGUE, *tasks.TRANSFORMS} <= words
    assert {*datasets.Recipe.model_fields, *datasets.Part.model_fields, *datasets.Written.model_fields} - {"folder"} <= words


def test_the_recipes_of_the_page_work(root: Path) -> None:
    page = (root / "docs" / "datasets.md").read_text()
    mine, items = (tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
    made_of = datasets.plan(datasets.Recipe.parse(mine, source="page"))
    assert made_of.size == 600
    assert set(mine) == {*datasets.Recipe.model_fields} - {"written"}
    assert datasets.Recipe.parse(items, source="page").written is not None


def test_transforms_with_numbers_leave_the_checker_calm() -> None:
    for task in CATALOGUE.values():
        for level in tasks.LEVELS:
            for k in range(3):
                found = checking.check(tasks.item(task, level, 9, k, "distractor"))
                assert not found.wrong and found.coverage == 1.0 and all(step.verdict == "ok" for step in found.steps)
