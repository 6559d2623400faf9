"""Recipes as values: what they may say, and the exact counts a plan makes of them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import datasets, errors, tasks
from tunix_rt.datasets.recipes import Recipe, largest_remainder

PLAIN: dict[str, Any] = {
    "name": "plain", "version": 1, "seed": 1, "split": "train", "description": "for tests", "licence": "Apache-2.0",
    "tasks": {"speed": {"count": 10}, "reverse": {"count": 5}},
}  # fmt: skip

SPACE = tasks.get("reverse").capacity[0]


def recipe(**changes: Any) -> Recipe:
    return Recipe.parse(PLAIN | changes, source="plain.toml")


def test_builtin_recipes_are_found_and_planned() -> None:
    found = datasets.builtin_recipes()
    assert {"dev-reasoning-v2", "dev-reasoning-v2-eval", "tiny-sums", "tiny-sums-eval"} <= set(found)
    for name in found:
        assert datasets.recipe(name).name == name
        assert datasets.plan(datasets.recipe(name)).size > 0


def test_a_recipe_is_also_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(datasets.builtin_recipes()["tiny-sums"].read_text().replace('"tiny-sums"', '"mine"'))
    assert datasets.recipe(str(path)).name == "mine"


def test_unknown_recipe_suggests_a_known_one() -> None:
    with pytest.raises(errors.NotFound, match=r"no data recipe 'dev-reasoning-v22'\. Did you mean 'dev-reasoning-v2'\?"):
        datasets.recipe("dev-reasoning-v22")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasksx": {}}, "plain.toml: unknown key 'tasksx'. Did you mean 'tasks'?"),
        ({"tasks": {"speed": {"cuont": 3, "count": 3}}}, "plain.toml: unknown key 'tasks.speed.cuont'. Did you mean 'count'?"),
        ({"tasks": {"speed": {}}}, "needs either count or weight"),
        ({"tasks": {"speed": {"weight": 2}}}, "task 'speed' has a weight, so the recipe needs a count"),
        ({"tasks": {"speed": {"count": 1, "levels": {4: 1}}}}, "tasks.speed.levels"),
        ({"split": "test"}, "'split' is 'test'"),
        ({"name": "../up"}, "'name' is '../up'"),
        ({"seed": -1}, "'seed' is -1"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        recipe(**changes)
    assert message in caught.value.message


def test_missing_key_is_named() -> None:
    with pytest.raises(errors.Invalid, match=r"plain\.toml: 'licence' is missing"):
        Recipe.parse({key: value for key, value in PLAIN.items() if key != "licence"}, source="plain.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"sped": {"count": 1}}}, "no task 'sped'. Did you mean 'speed'?"),
        ({"transforms": {"unicorn": 1}}, "no transform 'unicorn'. Did you mean 'unicode'?"),
        (
            {"tasks": {"reverse": {"count": 9_000, "levels": {1: 1}}}},
            f"which has only about {SPACE - SPACE // 8} on the train side",
        ),
        (
            {"tasks": {"reverse": {"count": 200, "levels": {1: 1}}}, "split": "eval"},
            "which has only about 125 on the eval side",
        ),
        ({"count": 14}, "asks for 14 items but its parts add up to 15"),
        ({"levels": {1: 0}}, "all weights are 0"),
    ],
)
def test_plan_refuses_what_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Mistake) as caught:
        datasets.plan(recipe(**changes))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("task", "levels", "message"),
    [
        ("decompose", {1: 400, 2: 1_000}, None),
        ("decompose", {1: 504, 2: 1_400}, "level 1, which has only about 327 on the train side of the split; other levels"),
        ("speed", {1: 600, 2: 1_100}, None),
        ("speed", {1: 700, 2: 1_100}, "level 1, which has only about 626 on the train side"),
    ],
)
def test_levels_that_share_prompts_are_planned_together(task: str, levels: dict[int, int], message: str | None) -> None:
    mixed = recipe(tasks={task: {"count": sum(levels.values()), "levels": levels}})
    if message is None:
        assert len(datasets.generate(mixed)) == sum(levels.values())
        return
    with pytest.raises(errors.Invalid, match=message):
        datasets.plan(mixed)


def test_plan_counts_are_exact() -> None:
    planned = datasets.plan(recipe(levels={1: 2, 2: 1}, transforms={"minimal": 3}))
    plain = {(cell.task, cell.level): cell.size for cell in planned.cells if cell.transform is None}
    assert plain == {("speed", 1): 7, ("speed", 2): 3, ("reverse", 1): 3, ("reverse", 2): 2}
    assert sum(cell.size for cell in planned.cells if cell.transform == "minimal") == 3
    assert planned.size == 18


def test_weights_share_what_counts_leave() -> None:
    mixed = {"speed": {"count": 10}, "reverse": {"weight": 2}, "stock": {"weight": 1}}
    planned = datasets.plan(recipe(count=40, tasks=mixed, transforms={"long": 3}))
    totals = {task: sum(cell.size for cell in planned.cells if cell.task == task and not cell.transform) for task in mixed}
    assert totals == {"speed": 10, "reverse": 18, "stock": 9}
    assert planned.size == 40


@given(total=st.integers(0, 5_000), weights=st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any))
def test_largest_remainder_is_exact_and_fair(total: int, weights: list[int]) -> None:
    shares = largest_remainder(total, dict(enumerate(weights)))
    assert sum(shares.values()) == total
    assert all(abs(shares[i] - total * weight / sum(weights)) < 1 for i, weight in enumerate(weights))


def test_a_retired_task_does_not_spoil_an_old_recipe() -> None:
    assert recipe(tasks={"retired": {"count": 1}}).tasks["retired"].count == 1
