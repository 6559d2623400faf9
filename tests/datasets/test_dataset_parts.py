"""Parts of a recipe: labels, held-out ways of asking, and capacities that know of both."""

from pathlib import Path
from typing import Any

import pytest

from tunix_rt import datasets, errors, tasks
from tunix_rt.datasets import Recipe, labels
from tunix_rt.tasks import CATALOGUE, Task, holdout
from tunix_rt.tasks.holdout import Forms

BASE: dict[str, Any] = {
    "name": "parted", "version": 1, "seed": 5, "split": "train", "description": "for tests", "licence": "Apache-2.0",
    "levels": {1: 1},
}  # fmt: skip
CORE: dict[str, Any] = {"count": 12, "tasks": {"speed": {"weight": 1}, "sets": {"weight": 2}}, "label": {"section": "core"}}
EDGE: dict[str, Any] = {"count": 4, "tasks": {"speed": {"weight": 1}}, "transforms": {"long": 3, "distractor": 1}}


def recipe(**changes: Any) -> Recipe:
    return Recipe.parse(BASE | {"parts": {"core": CORE, "edge": EDGE}} | changes, source="parted.toml")


def test_each_part_has_its_own_mix_and_label() -> None:
    made = datasets.generate(recipe(tasks={"stock": {"count": 3}}, facets=["category", "difficulty"]))
    sections = {trace.meta["section"]: sum(t.meta["section"] == trace.meta["section"] for t in made) for trace in made}
    assert sections == {"reasoning": 3, "core": 12, "edge": 4}
    assert {trace.meta.get("part") for trace in made if trace.meta["section"] == "edge"} == {"edge"}
    assert {trace.meta["category"] for trace in made if trace.meta["task"] == "sets"} == {"logic"}
    assert {trace.meta["difficulty"] for trace in made} == {"easy"}
    assert len({trace.prompt for trace in made}) == len(made) == 19


def test_parts_of_one_stream_do_not_repeat_each_other() -> None:
    twice = {"one": CORE, "two": {**CORE, "label": {"section": "again"}}}
    made = datasets.generate(recipe(parts=twice))
    assert len({datasets.canonical_prompt(trace.prompt) for trace in made}) == 24


def test_labels_are_counted_in_the_manifest(tmp_path: Path) -> None:
    manifest = datasets.build(recipe(facets=["difficulty"]), tmp_path / "set")
    assert manifest.composition.labels == {"part": {"edge": 4}, "difficulty": {"easy": 16}}
    assert manifest.generators == {"speed": 1, "sets": 1, "long": 1, "distractor": 1}


def test_other_parts_are_other_content(tmp_path: Path) -> None:
    datasets.build(recipe(), tmp_path / "set")
    assert datasets.check(recipe(), tmp_path / "set") == []
    for parts in ({"core": CORE}, {"core": CORE, "edge": {**EDGE, "label": {"tier": "hard"}}}, {"core": CORE, "egde": EDGE}):
        with pytest.raises(errors.Conflict, match="already holds dataset 'parted' version 1 with other content"):
            datasets.build(recipe(parts=parts), tmp_path / "set")
        assert datasets.check(recipe(parts=parts), tmp_path / "set") != []
    assert datasets.check(recipe(), tmp_path / "set") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": {"core": {**CORE, "form": "seen"}}}, "unknown key 'parts.core.form'. Did you mean 'forms'?"),
        ({"part": {}}, "unknown key 'part'. Did you mean 'parts'?"),
        ({"parts": {"core": {**CORE, "label": {"task": "x"}}}}, "label 'task' says how a trace is made again"),
        ({"parts": {"core": {**CORE, "count": None}}}, "task 'speed' has a weight, so the part needs a count"),
        ({"parts": {"core": {**CORE, "forms": "new"}}}, "'parts.core.forms' is 'new'"),
        ({"parts": {}}, "needs tasks or parts to generate, or written items, and not both"),
        ({"count": 9}, "count and transforms go with tasks; each part has its own"),
        ({"written": {"file": "x.jsonl", "sha256": "0" * 64}}, "needs tasks or parts to generate, or written items"),
        ({"facets": ["colour"]}, "'facets.0' is 'colour'"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        recipe(**changes)
    assert message in caught.value.message


def test_a_part_that_does_not_add_up_is_named() -> None:
    with pytest.raises(errors.Invalid, match="recipe 'parted', part 'edge', asks for 3 items but its parts add up to 4"):
        datasets.plan(recipe(parts={"edge": {**EDGE, "count": 3}}))


def test_a_capacity_is_shared_by_parts_and_cut_by_forms() -> None:
    half = {"tasks": {"reverse": {"count": 700}}, "forms": "seen"}
    datasets.plan(recipe(parts={"one": half}))
    with pytest.raises(errors.Invalid, match="asks for 1400 items of task 'reverse' level 1, which has only about"):
        datasets.plan(recipe(parts={"one": half, "two": half}))
    with pytest.raises(errors.Invalid, match="in unseen forms on the train side"):
        datasets.plan(recipe(parts={"one": {**half, "forms": "unseen"}}))
    with pytest.raises(errors.Invalid, match="has only about 35 in unseen forms"):
        datasets.plan(recipe(parts={"one": {"tasks": {"fractions": {"count": 60}}, "forms": "unseen"}}))


def test_a_stream_that_runs_dry_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout, "_FEW", {})
    with pytest.raises(errors.Invalid, match=r"too few different items \(unseen forms, train side\)"):
        datasets.generate(recipe(parts={"one": {"tasks": {"fractions": {"count": 60}}, "forms": "unseen"}}))


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=CATALOGUE)
def test_every_task_keeps_and_holds_out_forms(task: Task) -> None:
    seen, unseen = holdout.groups(task, "seen"), holdout.groups(task, "unseen")
    assert seen | unseen == holdout.groups(task, "all") == set(task.groups)
    assert not seen & unseen
    assert 0.15 <= len(unseen) / len(task.groups) <= 0.35


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=CATALOGUE)
def test_capacities_by_forms_are_there(task: Task) -> None:
    for level in tasks.LEVELS:
        wanted = {forms: min(60, holdout.capacity(task, level, forms)) for forms in ("seen", "unseen")}
        found: dict[str, set[str]] = {forms: set() for forms in wanted}
        for k in range(min(4_000, task.capacity[level - 1])):
            trace = tasks.item(task, level, 42, k)
            forms = "unseen" if trace.meta["group"] in holdout.groups(task, "unseen") else "seen"
            found[forms].add(trace.prompt)
            if all(len(found[forms]) >= count for forms, count in wanted.items()):
                break
        assert {forms for forms, count in wanted.items() if len(found[forms]) < count} == set(), level


def test_about_a_quarter_of_all_forms_is_held_out() -> None:
    held = sum(len(holdout.groups(task, "unseen")) for task in CATALOGUE.values())
    assert 0.22 < held / sum(len(task.groups) for task in CATALOGUE.values()) < 0.3


def test_held_out_forms_are_pinned() -> None:
    """A change of the rule would put forms that models were trained on into the held-out tier."""
    assert holdout.groups(tasks.get("speed"), "unseen") == {
        "speed/distance-trip", "speed/legs-first", "speed/speed-average", "speed/time-long"
    }  # fmt: skip
    assert holdout.groups(tasks.get("uppercase"), "unseen") == {"uppercase/capitals"}


@pytest.mark.parametrize("forms", ["seen", "unseen"])
def test_forms_are_what_was_asked_for(forms: Forms) -> None:
    mix = {"tasks": {name: {"count": 4} for name in CATALOGUE}, "levels": {2: 1}, "forms": forms}
    made = datasets.generate(recipe(parts={"only": mix}))
    assert all(trace.meta["group"] in holdout.groups(tasks.get(trace.meta["task"]), forms) for trace in made)


def test_every_task_has_one_category() -> None:
    named = [name for names in labels.CATEGORIES.values() for name in names]
    assert sorted(named) == sorted(CATALOGUE)
    assert set(labels.DIFFICULTIES) == set(tasks.LEVELS)
