"""A whole study with the tiny model: one command, begun again after it was cut off, then its report and its bundles."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, evidence, runs, studies, values
from tunix_rt.cli import study as command
from tunix_rt.cli.console import Surface
from tunix_rt.studies import Study

TINY = Path(__file__).parent / "tiny.toml"


@pytest.fixture(scope="module")
def small() -> Study:
    """One arm, a curriculum, and one question: five processes."""
    data: dict[str, Any] = tomllib.loads(TINY.read_text())
    question = {**data["questions"]["detection"], "also": ["strict", "lenient", "steps"], "limit": 2, "max_new_tokens": 4}
    changes = {"references": ["base"], "arms": {"ordered": data["arms"]["ordered"]}, "questions": {"detection": question}}
    return Study.parse({**data, **changes}, source="small")


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Surface:
    return Surface(tmp_path_factory.mktemp("study"), as_json=False)


@pytest.fixture(scope="module")
def finished(surface: Surface, small: Study) -> Path:
    """The study's folder, after its seeds were run one by one, a run's note was lost, and it was run again."""
    folder = studies.folder(surface.settings, small)
    command.conduct(surface, small, None, command.Share(seeds=(1,), adapters=False))
    assert studies.missing(surface.settings, small) == ["ordered seed 2"]
    assert not (folder / "study.md").exists()
    command.conduct(surface, small, None, command.Share(arms=("ordered",), seeds=(2,)))
    assert (folder / "study.md").exists()
    kept = values.read_json(folder / "cells" / "ordered-2.json")
    (folder / "cells" / "ordered-2.json").unlink()
    with pytest.raises(errors.Conflict, match="ordered seed 2"):
        command.finished(surface, small)
    command.conduct(surface, small, None)
    again = values.read_json(folder / "cells" / "ordered-2.json")
    assert {**again, "finished_at": 0} == {**kept, "finished_at": 0}
    return folder


@pytest.mark.parametrize(
    ("share", "told"),
    [(command.Share(arms=("orderd",)), "no arm 'orderd'.*ordered"), (command.Share(seeds=(7,)), "no seed 7; it has 1, 2")],
)
def test_a_share_names_what_the_study_has(small: Study, share: command.Share, told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        share.of(small)


@pytest.mark.usefixtures("finished")
def test_no_run_is_made_twice(surface: Surface, small: Study) -> None:
    made = [one.run_id for one in studies.cells(surface.settings, small) if one.run_id]
    assert sorted(path.parent.name for path in surface.settings.runs.glob("*/run.json")) == sorted(made)
    assert len(made) == len(small.pairs) == 2
    assert {runs.find(surface.settings, name).steps for name in made} == {small.config.steps}


def test_every_run_has_a_bundle_that_verifies(finished: Path) -> None:
    bundles = sorted((finished / "evidence").glob("*.zip"))
    assert [path.name for path in bundles] == ["tiny-ordered-1-detection.zip", "tiny-ordered-2-detection.zip"]
    for path in bundles:
        report = evidence.verify(path, 1)
        assert (report.ok, report.depth_reached, report.failures) == (True, 1, ())


def test_the_datasets_of_a_curriculum_are_made_again_at_depth_2(surface: Surface, finished: Path) -> None:
    report = evidence.verify(finished / "evidence" / "tiny-ordered-1-detection.zip", 2, settings=surface.settings)
    assert (report.ok, report.depth_reached, report.failures) == (True, 2, ())
    assert any("stages/2 made again" in text for text in report.checked)


def test_the_report_holds_what_was_measured(finished: Path) -> None:
    page, data = (finished / "study.md").read_text(), json.loads((finished / "results" / "study.json").read_text())
    assert (finished / "images" / "study.svg").read_text().startswith("<svg")
    for one in data["contrasts"]:
        assert f"| {one['arm']} | {one['reference']} | {100 * one['difference']:+.1f} |" in page
    for cell in data["cells"][1:]:
        assert cell["bundles"]["detection"][:16] in page
    assert str(finished) not in page + json.dumps(data)
    assert data["plan"]["locked_at"] < min(cell["finished_at"] for cell in data["cells"])


def test_an_arm_that_runs_out_of_data_is_refused_before_anything_is_trained(small: Study, tmp_path: Path) -> None:
    surface, longer = (
        Surface(tmp_path, as_json=False),
        small.model_copy(update={"config": small.config.model_copy(update={"steps": 9})}),
    )
    with pytest.raises(
        errors.Invalid, match=r"asks for 9 steps.*'ordered' \(seed 1\) for 2, 'ordered' \(seed 2\) for 2; raise"
    ):
        command.conduct(surface, longer, None)
    assert not list(surface.settings.runs.glob("*"))
    assert not list(surface.settings.evals.glob("*"))


def test_every_arm_of_the_study_that_ships_has_data_for_its_steps(tmp_path: Path) -> None:
    surface, shipped = Surface(tmp_path, as_json=False), studies.load("reasoning-data")
    command.build(surface, shipped)
    command.hold_enough(surface, shipped, [(arm, shipped.seeds[0]) for arm in shipped.arms])
