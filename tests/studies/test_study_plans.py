"""A study as a value: what it refuses, what it asks of the ledger, and that a lock is a lock."""

from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, studies, values
from tunix_rt.settings import Settings
from tunix_rt.studies import Study

TINY = Path(__file__).parent / "tiny.toml"


def changed(**changes: Any) -> Study:
    return Study.parse({**values.read_toml(TINY), **changes}, source="changed")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": [1, 1]}, "a seed occurs twice"),
        ({"seeds": [1]}, "seeds"),
        ({"references": ["bose"]}, "Did you mean 'base'"),
        ({"config": {"name": "x", "model": "tiny"}}, "'config.steps' is missing"),
        ({"arms": {"base": {"about": "x", "stages": ["tiny-sums"]}}}, "no arm is called 'base'"),
        ({"questions": {"one": {"about": "x", "evalset": "tiny-sums-eval", "metric": "strikt"}}}, "Did you mean 'strict'"),
    ],
)
def test_what_makes_no_study_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        changed(**changes)


def test_the_study_that_ships_reads_and_trains_every_arm_alike() -> None:
    study = studies.load("reasoning-data")
    assert {"golden", "v1", "v2", "curriculum", "self-correction"} == set(study.arms)
    specs = [studies.asked(study, arm, seed) for arm, seed in study.pairs]
    assert {spec.config.steps for spec in specs} == {study.config.steps}
    assert {spec.config.batch.model_dump_json() for spec in specs} == {study.config.batch.model_dump_json()}
    keys = {studies.dedup_key(study, arm, seed) for arm, seed in study.pairs}
    assert len(keys) == len(specs) == len(study.arms) * len(study.seeds)


def test_a_round_of_all_arms_comes_before_the_next_seed(study: Study) -> None:
    assert study.pairs == (("sums", 1), ("ordered", 1), ("sums", 2), ("ordered", 2))


def test_several_stages_are_a_curriculum(study: Study) -> None:
    spec = studies.asked(study, "ordered", 2)
    assert [stage.dataset for stage in spec.config.stages] == ["sums-first", "sums-then"]
    assert (spec.dataset, spec.config.seed, spec.config.name) == ("sums-first", 2, "tiny-ordered")


def test_a_lock_keeps_its_time_and_a_changed_study_is_another(prepared: Settings, study: Study) -> None:
    locked = studies.lock(prepared, study)
    assert studies.lock(prepared, study) == locked
    other = changed(margin=0.1)
    assert studies.folder(prepared, other) != studies.folder(prepared, study)
    assert studies.missing(prepared, study)[:2] == ["base", "sums seed 1"]


def test_what_was_locked_cannot_change_under_the_study(prepared: Settings, study: Study) -> None:
    studies.lock(prepared, study)
    path = studies.folder(prepared, study) / "plan.json"
    plan = values.read_json(path)
    values.write_json(path, {**plan, "datasets": {**plan["datasets"], "tiny-sums": "0" * 64}})
    with pytest.raises(errors.Conflict, match="was locked as '0000"):
        studies.lock(prepared, study)
