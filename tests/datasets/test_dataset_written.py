"""Written items: read only as the recipe names them, true, distinct, and on the evaluation side."""

import hashlib
import shutil
from pathlib import Path

import pytest

from tunix_rt import datasets, errors
from tunix_rt.datasets import Recipe

FALSE = '"claims": [{"op": "add", "args": [1, 1], "result": 3}]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("eval-v1.toml", "eval-v1.jsonl"):
        shutil.copy(datasets.builtin_recipes()["eval-v1"].with_name(name), tmp_path / name)
    return tmp_path


def rewritten(folder: Path, old: str, new: str) -> Recipe:
    """The recipe with its items changed and their new hash written down."""
    path, recipe = folder / "eval-v1.jsonl", folder / "eval-v1.toml"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    recipe.write_text(recipe.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest()))
    return datasets.recipe(str(recipe))


def test_written_items_make_a_dataset(folder: Path) -> None:
    recipe = datasets.recipe(str(folder / "eval-v1.toml"))
    manifest = datasets.build(recipe, folder / "set")
    assert (manifest.count, manifest.seed, manifest.generators, manifest.splits) == (25, None, {}, {"eval": 25})
    assert datasets.check(datasets.recipe("eval-v1"), folder / "set") == []
    assert str(folder) not in (folder / "set" / "manifest.json").read_text()
    first = datasets.plan(recipe).items[0]
    assert datasets.explain(recipe, first.id[:12]) == first


def test_a_recipe_out_of_a_manifest_makes_it_again(folder: Path) -> None:
    datasets.build(datasets.recipe("eval-v1"), folder / "set")
    kept = datasets.stats(folder / "set").recipe
    assert kept is not None
    assert datasets.check(kept, folder / "set") == []


def test_changed_items_are_refused(folder: Path) -> None:
    path = folder / "eval-v1.jsonl"
    path.write_text(path.read_text().replace("Priya", "Petra"))
    with pytest.raises(errors.Tampered, match="its sha256 is"):
        datasets.plan(datasets.recipe(str(folder / "eval-v1.toml")))
    path.unlink()
    with pytest.raises(errors.NotFound, match=r"in a file 'eval-v1\.jsonl'; there is none"):
        datasets.plan(datasets.recipe(str(folder / "eval-v1.toml")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Priya buys", "Pryia buys", "written item 1: its prompt lies on the train side"),
        ('"final_answer": "$5.00"', '"final_answer": "$5.10"', "written item 1: the last step does not state the answer"),
        ('"content": "Rolls', f'{FALSE}, "content": "Rolls', "written item 1: step 1 claims add"),
    ],
)  # fmt: skip
def test_items_that_are_not_right_are_refused(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        datasets.generate(rewritten(folder, old, new))


def test_items_that_occur_twice_are_refused(folder: Path) -> None:
    first = (folder / "eval-v1.jsonl").read_text().splitlines(keepends=True)[0]
    with pytest.raises(errors.Invalid, match="written item 2: its prompt occurs before"):
        datasets.generate(rewritten(folder, first, first + first))
