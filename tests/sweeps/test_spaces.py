"""Search spaces: what is refused and how it is told, what a value does to the config, and what a grid holds."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landscape import SPACE, asked

from tunix_rt import errors, recipes, sweeps
from tunix_rt.jobs import TrainConfig
from tunix_rt.sweeps import sampling, spaces

BASE = TrainConfig(name="base", model="tiny")


@pytest.mark.parametrize("name", recipes.names("sweeps"))
def test_those_that_ship_are_sound(name: str) -> None:
    sweep = sweeps.shipped(name)
    assert sweep.name == name
    assert spaces.own(sweep.space, sweep.config)


RATE = "optimizer.learning_rate"
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"space": {"optimizer.learning_rat": SPACE[RATE]}}, "space.optimizer.learning_rat", f"Did you mean '{RATE}'?"),
    ({"space": {RATE: {**SPACE[RATE], "low": 1.0}}}, f"space.{RATE}.loguniform", "has to be below high"),
    ({"space": {RATE: {**SPACE[RATE], "low": 0.0}}}, f"space.{RATE}.loguniform.low", "is 0.0"),
    ({"space": {RATE: {**SPACE[RATE], "lo": 1.0}}}, f"space.{RATE}.loguniform.lo", "Did you mean 'low'?"),
    ({"space": {RATE: {**SPACE[RATE], "kind": "normal"}}}, f"space.{RATE}", "loguniform"),
    ({"space": {"epochs": {"kind": "int", "low": 0, "high": 3}}, "default_first": False}, "space.epochs", "0 cannot be"),
    ({"space": {"batch.rows": {"kind": "uniform", "low": 1.5, "high": 3}}, "default_first": False}, "space.batch.rows", "1.5"),
    ({"space": {"tuning.rank": {**SPACE["tuning.rank"]}}}, "space.tuning.rank.when.tuning.method", "has no key"),
    ({"space": {**SPACE, "tuning.rank": {**SPACE["tuning.rank"], "when": {"tuning.method": ["qlora"]}}}},
     "space.tuning.rank.when.tuning.method", "'qlora' is not among"),
    ({"space": {**SPACE, "tuning.rank": {"kind": "choice", "values": [2, 4]}}}, "space", "'when'"),
    ({"space": {"batch.rows": {"kind": "choice", "values": [4], "when": {"epochs": [1]}},
                "epochs": {"kind": "choice", "values": [1], "when": {"batch.rows": [4]}}}},
     "space.batch.rows.when", "each other"),
    ({"space": {RATE: {**SPACE[RATE], "low": 1e-3}}}, f"space.{RATE}", "outside the space"),
    ({"space": {}}, "space", "at least 1"),
    ({"objective": {"metric": "strickt"}}, "objective.metric", "Did you mean 'strict'?"),
    ({"test": {"evalset": "tiny-sums-val"}}, "test.evalset", "never saw"),
    ({"pruner": {"kind": "median"}, "config": {"name": "a", "model": "tiny"}, "default_first": False}, "pruner",
     "config.validation"),
    ({"config": {"base": "sft_tinny"}}, "config.base", "Did you mean 'sft_tiny'?"),
    ({"config": {"base": "../../secret.toml"}}, "config.base", "no training recipe"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "told"), REFUSED, ids=[told for _, _, told in REFUSED])
def test_a_mistake_names_the_field_and_what_to_do(changes: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        asked(**changes)
    assert told in raised.value.message
    assert raised.value.message.startswith("sweep: ")
    assert raised.value.details["field"] == field


def test_a_file_may_nest_its_keys_and_begin_with_another_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('name = "base"\nmodel = "tiny"\n[optimizer]\nwarmup = 0.2\nclip_norm = 2.0\n')
    text = """
name = "search"
dataset = "tiny-sums"
config = { base = "base.toml", optimizer = { warmup = 0.3 } }
val = { evalset = "a" }
test = { evalset = "b" }
budget = { trials = 3 }
[space]
optimizer.learning_rate = { kind = "loguniform", low = 1e-4, high = 1e-1 }
tuning.method = { kind = "choice", values = ["lora", "full"] }
"tuning.rank" = { kind = "choice", values = [8, 16], when = { tuning.method = ["lora"] } }
"""
    (tmp_path / "search.toml").write_text(text)
    sweep = sweeps.load(tmp_path / "search.toml")
    assert list(sweep.space) == ["optimizer.learning_rate", "tuning.method", "tuning.rank"]
    assert (sweep.config.optimizer.warmup, sweep.config.optimizer.clip_norm) == (0.3, 2.0)
    (tmp_path / "search.toml").write_text(text.replace("learning_rate", "learning_rte"))
    with pytest.raises(errors.Invalid, match=r"search\.toml: 'space': unknown key 'optimizer\.learning_rte'"):
        sweeps.load(tmp_path / "search.toml")


def test_another_variant_keeps_nothing_of_the_base() -> None:
    assert spaces.applied(BASE, {"tuning.method": "full"}).tuning.model_dump() == {"method": "full"}
    assert spaces.applied(BASE, {"tuning.rank": 4}).tuning.model_dump()["rank"] == 4
    assert spaces.applied(BASE, {"optimizer.learning_rate": 0.5}).optimizer.warmup == BASE.optimizer.warmup


def test_a_grid_holds_every_point_once() -> None:
    space = {**SPACE, "optimizer.learning_rate": {**SPACE["optimizer.learning_rate"], "points": 3}}
    sweep = asked(space=space, sampler={"kind": "grid"}, default_first=False)
    points = list(spaces.grid(sweep.space))
    assert len(points) == 3 * (2 + 1)  # two ranks with LoRA, none without
    assert len({str(point) for point in points}) == len(points)
    rates = sorted({point["optimizer.learning_rate"] for point in points})
    assert rates == pytest.approx([1e-4, 10**-2.5, 1e-1])
    with pytest.raises(errors.Invalid, match="'points'"):
        asked(sampler={"kind": "grid"}, default_first=False)


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(0, 50))
def test_every_drawn_trial_lies_in_the_space_and_is_a_config(seed: int, number: int) -> None:
    sweep = asked(sampler={"kind": "random", "seed": seed}, default_first=False)
    params = sampling.ask(sweep, [sampling.Told({}, "failed", None, ())] * number)
    assert ("tuning.rank" in params) == (params["tuning.method"] == "lora")
    assert all(spaces.contains(sweep.space[key], value) for key, value in params.items())
    assert spaces.applied(sweep.config, params).optimizer.learning_rate == params["optimizer.learning_rate"]
