"""Dataset folders: same recipe, same bytes; other bytes, an error that names the file."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunix_rt import datasets, errors, traces
from tunix_rt.datasets import Manifest, Recipe, folders
from tunix_rt.datasets.rows import Row
from tunix_rt.settings import Settings
from tunix_rt.values import merkle_root, sha256_file

TINY = "tiny-sums"


@pytest.fixture
def recipe() -> Recipe:
    return datasets.recipe(TINY)


@pytest.fixture
def folder(tmp_path: Path, recipe: Recipe) -> Path:
    datasets.build(recipe, tmp_path / "set")
    return tmp_path / "set"


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_holds_data_and_manifest(folder: Path, recipe: Recipe) -> None:
    assert set(read_bytes(folder)) == {"dataset.jsonl", "README.md", "croissant.json", "manifest.json"}
    manifest, path = datasets.open_dataset(folder)
    rows = list(traces.read(path))
    assert rows == datasets.generate(recipe)
    assert manifest.count == len(rows) == manifest.statistics.distinct_prompts == 64
    assert manifest.merkle_root == merkle_root(row.id for row in rows)
    assert manifest.files == {"dataset.jsonl": sha256_file(path)}
    assert manifest.recipe == recipe
    assert manifest.recipe_digest == recipe.digest
    assert manifest.generators == {"arithmetic": 1}
    assert manifest.splits == {"train": 64}


def test_two_builds_give_identical_bytes(tmp_path: Path, folder: Path, recipe: Recipe) -> None:
    datasets.build(recipe, tmp_path / "again")
    assert read_bytes(folder) == read_bytes(tmp_path / "again")


@pytest.mark.parametrize("hash_seed", ["0", "999"])
def test_another_process_gives_identical_bytes(tmp_path: Path, folder: Path, hash_seed: str) -> None:
    program = (
        "import sys, pathlib\nfrom tunix_rt import datasets\n"
        f"datasets.build(datasets.recipe({TINY!r}), pathlib.Path(sys.argv[1]))"
    )
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "other")], env=environ, check=True)
    assert read_bytes(folder) == read_bytes(tmp_path / "other")


def test_the_reference_sets_are_the_same_in_another_process(tmp_path: Path) -> None:
    names = ("dev-reasoning-v2", "eval-v2", "eval-v1")
    program = "import sys, pathlib\nfrom tunix_rt import datasets\nfor name in sys.argv[2:]:\n"
    program += "    datasets.build(datasets.recipe(name), pathlib.Path(sys.argv[1]) / name)"
    environ = {**os.environ, "PYTHONHASHSEED": "4711"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path), *reversed(names)], env=environ, check=True)
    for name in names:
        assert datasets.check(datasets.recipe(name), tmp_path / name) == []


def test_building_again_changes_nothing(folder: Path, recipe: Recipe) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    manifest = datasets.build(recipe, folder)
    assert manifest.digest == datasets.stats(folder).digest
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_other_content_under_the_name_is_refused(folder: Path, recipe: Recipe) -> None:
    before = read_bytes(folder)
    with pytest.raises(errors.Conflict, match="already holds dataset 'tiny-sums' version 1 with other content"):
        datasets.build(recipe.model_copy(update={"seed": 43}), folder)
    assert read_bytes(folder) == before


def test_an_interrupted_build_is_finished(folder: Path, recipe: Recipe) -> None:
    whole = read_bytes(folder)
    (folder / "manifest.json").unlink()
    (folder / "dataset.jsonl").write_bytes(b"half")
    datasets.build(recipe, folder)
    assert read_bytes(folder) == whole


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = folders.rows

    def failing(planned: datasets.Plan) -> Iterator[Row]:
        yield from itertools.islice(rows(planned), 20)
        raise errors.Failed("a false claim.")

    monkeypatch.setattr(folders, "rows", failing)
    with pytest.raises(errors.Failed):
        datasets.build(recipe, tmp_path / "set")
    assert read_bytes(tmp_path / "set") == {}


def test_tampering_is_detected(folder: Path, recipe: Recipe) -> None:
    path = folder / "dataset.jsonl"
    path.write_bytes(path.read_bytes().replace(b"64", b"65", 1))
    with pytest.raises(errors.Tampered, match=r"dataset\.jsonl is not the file that manifest\.json describes"):
        datasets.open_dataset(folder)
    with pytest.raises(errors.Tampered):
        datasets.build(recipe, folder)


def test_missing_data_is_detected(folder: Path) -> None:
    (folder / "dataset.jsonl").unlink()
    with pytest.raises(errors.Tampered, match=r"dataset\.jsonl is missing"):
        datasets.open_dataset(folder)


@pytest.mark.parametrize("files", [{}, {"../dataset.jsonl": "0" * 64}])
def test_a_manifest_must_list_its_data(folder: Path, files: dict[str, str]) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    with pytest.raises(errors.Mistake, match=r"does not list dataset\.jsonl|files"):
        datasets.open_dataset(folder)


def test_check_finds_what_differs(folder: Path, recipe: Recipe) -> None:
    assert datasets.check(recipe, folder) == []
    changed = json.loads((folder / "manifest.json").read_text()) | {"description": "better"}
    (folder / "manifest.json").write_text(json.dumps(changed))
    (folder / "dataset.jsonl").unlink()
    (folder / "README.md").write_text("# Better than it is\n")
    found = {difference.file: difference.found for difference in datasets.check(recipe, folder)}
    assert set(found) == {"dataset.jsonl", "README.md", "manifest.json"}
    assert found["dataset.jsonl"] is None


def test_building_again_mends_what_is_said_about_the_data(folder: Path, recipe: Recipe) -> None:
    whole = read_bytes(folder)
    (folder / "README.md").unlink()
    (folder / "croissant.json").write_text("{}")
    datasets.build(recipe, folder)
    assert read_bytes(folder) == whole


def test_find_opens_by_name(tmp_path: Path, recipe: Recipe) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(errors.NotFound, match="`tunix-rt data build tiny-sums` makes it"):
        datasets.find(settings, TINY)
    built = datasets.build(recipe, settings.datasets / TINY)
    assert datasets.find(settings, TINY).manifest == built
    with pytest.raises(errors.NotFound, match=r"Did you mean 'tiny-sums'\?"):
        datasets.find(settings, "tiny-sum")


def test_find_stays_inside_the_workspace(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(errors.NotFound):
        datasets.find(Settings(home=tmp_path), f"../{folder.name}")


def test_digest_follows_content_only(folder: Path) -> None:
    manifest = datasets.stats(folder)
    assert Manifest.parse(manifest.model_dump(mode="json"), source="again").digest == manifest.digest
    assert manifest.model_copy(update={"seed": 43}).digest != manifest.digest
    assert str(folder) not in (folder / "manifest.json").read_text()


def test_manifest_with_an_unknown_key_is_explained(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"merkleroot": "x"}))
    with pytest.raises(errors.Invalid, match=r"unknown key 'merkleroot'\. Did you mean 'merkle_root'\?"):
        datasets.open_dataset(folder)
