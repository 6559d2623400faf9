"""Tasks of reasoning-gym: the same item everywhere, nothing made up, and every dataset that cannot be had honestly refused."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tunix_rt import datasets, errors, tasks
from tunix_rt.datasets import Recipe
from tunix_rt.tasks import gym
from tunix_rt.tasks.rng import Rng

PLAIN: dict[str, Any] = {
    "name": "mixed",
    "version": 1,
    "seed": 5,
    "split": "eval",
    "licence": "Apache-2.0",
    "description": "for tests",
    "tasks": {"gym:gcd": {"count": 2}, "arithmetic": {"count": 2}},
}
# What every dataset gives to a few seeds, in one order or the other: question and answer, or what it raises.
SURVEY = """
import contextlib, io, json, sys
from tunix_rt.tasks import gym
names = [name.removeprefix(gym.PREFIX) for name in gym.names()]
changing, odd = gym.UNFIT[gym.CHANGES], gym.UNFIT[gym.NO_LINE]
asked = {**dict.fromkeys((*names, *odd), (7,)), **dict.fromkeys(changing, (7, 8, 9))}
keys = [(name, level, seed) for name, seeds in asked.items() for level in (1, 2, 3)
        if not gym._refusal(name, level, {}) for seed in seeds]
made = {}
for key in keys[:: int(sys.argv[1])]:
    with contextlib.redirect_stdout(io.StringIO()):
        item = gym._item(key[0], key[1], {}, key[2]).entry
    made["/".join(map(str, key))] = [item["question"], item["answer"]]
print(json.dumps(made))
"""


KNIGHTS = "gym:knight_swap"  # the package refuses every level of its own curriculum


def recipe(**changes: Any) -> Recipe:
    return Recipe.parse({**PLAIN, **changes}, source="test")


@cache
def survey(hash_seed: int, order: int) -> dict[str, tuple[str, Any]]:
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-c", SURVEY, str(order)], env=environ, capture_output=True, text=True, check=True
    ).stdout
    return {key: tuple(pair) for key, pair in json.loads(done).items()}


def of_dataset(key: str) -> str:
    return key.partition("/")[0]


def test_exactly_the_datasets_that_change_between_processes_are_refused_for_it() -> None:
    """The refused ones are the negative control: the same comparison finds them."""
    first, other = survey(1, 1), survey(2, -1)
    changing = {of_dataset(key) for key, pair in first.items() if other[key] != pair}
    assert changing == set(gym.UNFIT[gym.CHANGES])


def test_an_answer_that_is_no_line_of_text_is_refused() -> None:
    odd = {of_dataset(key) for key, (_, answer) in survey(1, 1).items() if not gym.one_line(answer)}
    assert odd == {*gym.UNFIT[gym.NO_LINE]}


def test_every_task_makes_items_whose_answer_its_verifier_accepts() -> None:
    for number, name in enumerate(gym.names()):
        if name == KNIGHTS:
            continue
        task = tasks.get(name)
        levels = [level for level in tasks.LEVELS if task.capacity[level - 1]]
        made = tasks.item(task, levels[number % len(levels)], 3, 0)
        assert [step.content for step in made.steps] == [made.final_answer]
        assert made.meta["source"]["reasoning"] == "absent"
        assert gym.mark(made, (made.final_answer,)) == 1


def test_an_item_can_be_had_from_the_package_alone() -> None:
    made = tasks.item(tasks.get("gym:chain_sum", {"max_digits": 5, "min_terms": 5, "max_terms": 6}), 1, 42, 3)
    source = made.meta["source"]
    curriculum = gym.library().create_curriculum("chain_sum")
    curriculum.set_global_level(0)
    config = vars(curriculum.generate_configuration()) | source["options"] | {"seed": source["seed"], "size": 1}
    assert gym.library().create_dataset(source["dataset"], **config)[0]["question"] == made.prompt
    assert made.prompt.count("+") + made.prompt.count("-") >= 4


def test_levels_are_the_packages_own() -> None:
    longest = [max(len(tasks.item(tasks.get("gym:chain_sum"), level, 1, k).prompt) for k in range(20)) for level in (1, 2, 3)]
    assert longest == sorted(set(longest))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"gym:gdc": {"count": 1}}}, "no task 'gym:gdc'. Did you mean 'gym:gcd'?"),
        (
            {"tasks": {"gym:gcd": {"count": 1, "options": {"min_number": 2}}}},
            "no option 'min_number'. Did you mean 'min_numbers'?",
        ),
        ({"tasks": {"gym:gcd": {"count": 1, "options": {"min_numbers": 0}}}}, "refuses gym:gcd level 1 with the options"),
        ({"tasks": {"gym:gcd": {"count": 1, "options": {"seed": 1}}}}, "each item has one of its own"),
        ({"tasks": {"gym:spell_backward": {"count": 1, "options": {"data_file": "../x"}}}}, "would name a file"),
        ({"tasks": {"gym:gcd": {"count": 1, "options": {"max_value": "many"}}}}, "refuses gym:gcd"),
        ({"tasks": {"arithmetic": {"count": 1, "options": {"digits": 2}}}}, "task 'arithmetic' has no options"),
        ({"tasks": {"gym:countdown": {"count": 1}}}, gym.RUNS),
        ({"tasks": {KNIGHTS: {"count": 1}}}, "min_nodes must be >= 6"),
        ({"tasks": {"gym:gsm_symbolic": {"count": 1}}}, gym.FALSE),
        ({"transforms": {"minimal": 1}}, "no prompt that may be changed"),
        ({"tasks": {}, "parts": {"a": {"tasks": {"gym:gcd": {"count": 2}}, "review": "find"}}}, "no steps to review"),
        ({"tasks": {"gym:acre": {"count": 2, "levels": {2: 1}}}}, "has only about 0"),
        ({"forms": "seen", "tasks": {"gym:gcd": {"count": 2}}}, "has only about 0 in seen forms"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Mistake) as caught:
        datasets.plan(recipe(**changes))
    assert message in caught.value.message


def test_no_option_names_a_file() -> None:
    fields = {field for kind in gym.library().DATASETS.values() for field in kind[1].__dataclass_fields__}
    assert {field for field in fields if "file" in field or "dir" in field.split("_")} <= gym.OWN.keys()


HIDDEN = """
import sys
from importlib import metadata
real = metadata.version
def version(name):
    if name == "reasoning-gym":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
from tunix_rt import datasets, errors, tasks
assert len(datasets.builtin_recipes()) == len([datasets.plan(datasets.recipe(name)) for name in datasets.builtin_recipes()])
try:
    tasks.get("gym:gcd")
except errors.Missing as missing:
    print(missing.message)
assert "reasoning_gym" not in sys.modules
"""


def test_without_the_package_everything_else_works_and_the_extra_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert "in the repository: pip install -e '.[gym]'" in done.stdout


def test_seeds_of_neighbouring_items_are_far_apart() -> None:
    """The package's own rule is seed + index, by which two sets of neighbouring seeds share nearly all items."""
    seeds = [{Rng(seed, "gym:gcd@1/1", k).below(1 << 31) for k in range(100)} for seed in (1, 2)]
    assert not seeds[0] & seeds[1]
