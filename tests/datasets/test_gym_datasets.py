"""The example of reasoning-gym: the same bytes again with the version that made it, and a card that says what is absent."""

from pathlib import Path

import pytest

from tunix_rt import datasets, errors, evals, values
from tunix_rt.datasets import Manifest, cards


@pytest.fixture(scope="module")
def example(root: Path) -> datasets.Recipe:
    return datasets.recipe(str(root / "examples" / "reasoning-gym" / "gym-eval.toml"))


@pytest.fixture
def folder(tmp_path: Path, example: datasets.Recipe) -> Path:
    datasets.build(example, tmp_path / "set")
    return tmp_path / "set"


def test_the_example_is_fit_and_can_be_made_again(folder: Path, example: datasets.Recipe) -> None:
    manifest, path = datasets.open_dataset(folder)
    assert (manifest.count, manifest.of_gym, manifest.plugins) == (60, 60, {"reasoning-gym": "0.1.25"})
    assert datasets.check(example, folder) == []
    checked = evals.check_file(path)
    assert (checked.ok, checked.labels["section"]) == (True, {"short": 30, "story": 30})
    card = (folder / "README.md").read_text()
    assert "60 are of reasoning-gym and have no reasoning" in card
    assert "of the package reasoning-gym 0.1.25" in card


def test_another_version_of_the_package_is_named(folder: Path, example: datasets.Recipe) -> None:
    manifest = datasets.stats(folder).model_copy(update={"plugins": {"reasoning-gym": "0.1.24"}})
    values.write_json(folder / "manifest.json", manifest.model_dump(mode="json", exclude_none=True))
    with pytest.raises(errors.Conflict, match=r"made with reasoning-gym 0\.1\.24, of which 0\.1\.25 is here"):
        datasets.check(example, folder)
    assert datasets.open_dataset(folder).manifest.count == 60  # what is made can still be read


def test_sets_without_such_items_say_nothing_of_them(tmp_path: Path) -> None:
    made: Manifest = datasets.build(datasets.recipe("tiny-sums"), tmp_path / "set")
    assert "reasoning-gym" not in cards.readme(made)
