import json
import shutil
from pathlib import Path

import pytest

from tunix_rt import datasets, errors, evidence, values
from tunix_rt.evidence import standalone
from tunix_rt.jobs import TrainJob

FILES = [
    *(("run", name) for name in ("run.json", "config.json", "metrics.jsonl", "environment.json")),
    *(("run", name) for name in ("adapter/adapter.safetensors", "adapter/adapter_config.json")),
    *((side, name) for side in ("base", "tuned") for name in ("config.json", "predictions.jsonl", "scores.jsonl")),
    *((data, name) for data in ("trainset", "evalset") for name in ("dataset.jsonl", "manifest.json")),
]


def test_a_packed_bundle_verifies(bundle):
    report = evidence.verify(bundle, 1)
    assert (report.ok, report.depth_reached, report.failures) == (True, 1, ())
    assert any("generated again" in text for text in report.unchecked)


def test_packing_twice_gives_the_same_bytes(folders, bundle, tmp_path):
    folders.pack(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_packing_elsewhere_gives_the_same_bytes(own_folders, bundle, tmp_path):
    own_folders.pack(tmp_path / "elsewhere.zip")
    assert (tmp_path / "elsewhere.zip").read_bytes() == bundle.read_bytes()


def test_the_manifest_names_every_file_and_what_the_bundle_is_of(folders, members, tmp_path):
    manifest = folders.pack(tmp_path / "again.zip")
    assert [entry.name for entry in manifest.files] == [name for name in members if name not in ("manifest.json", "BUNDLE")]
    run = values.read_json(folders.run / "run.json")
    for key in ("run_id", "model", "model_digest", "adapter_digest", "dataset", "dataset_digest"):
        assert getattr(manifest, key) == run[key]
    assert manifest.lock_digest == values.read_json(folders.run / "environment.json")["lock_digest"]
    assert evidence.Manifest.parse(json.loads(members["manifest.json"]), source="test") == manifest


def test_the_run_loses_its_folder_and_nothing_else(folders, members):
    run = values.read_json(folders.run / "run.json")
    assert run.pop("dir") == str(folders.run)
    assert json.loads(members["run.json"]) == run


def test_the_readme_says_what_the_comparison_says(members):
    comparison = json.loads(members["comparison.json"])
    readme = members["README.md"].decode()
    assert "How often this evaluation set was looked at was not counted." in readme
    assert f"**{comparison['verdict']}**, {100 * comparison['difference']:+.1f} points" in readme
    assert f"| tuned | strict | {json.loads(members['tuned/summary.json'])['correct']} of {comparison['n']} |" in readme


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_a_missing_file_is_named_and_nothing_is_written(own_folders, tmp_path, folder, name):
    comparison = own_folders.compared()
    path = getattr(own_folders, folder) / name
    path.unlink()
    with pytest.raises(errors.NotFound) as caught:
        own_folders.pack(tmp_path / "out" / "bundle.zip", comparison)
    assert caught.value.details["path"] == str(path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("leak", ["home", "folder", "workspace"])
def test_a_path_of_this_machine_is_refused(own_folders, tmp_path, leak):
    paths = {"home": Path.home() / "secret", "folder": own_folders.tuned, "workspace": own_folders.run.parent.parent}
    environment = values.read_json(own_folders.run / "environment.json")
    values.write_json(own_folders.run / "environment.json", {**environment, "cache": str(paths[leak])})
    with pytest.raises(errors.Invalid, match=r"environment\.json contains .* a path of this machine"):
        own_folders.pack(tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


def test_a_large_adapter_is_left_out_and_named(folders, tmp_path):
    manifest = folders.pack(tmp_path / "small.zip", adapter_limit_bytes=100)
    digest = values.sha256_file(folders.run / "adapter" / "adapter.safetensors")
    assert manifest.left_out[0].sha256 == digest == manifest.adapter_digest
    held = standalone.parse((tmp_path / "small.zip").read_bytes())
    assert not any(name.startswith("adapter/") for name in held)
    assert digest in held["README.md"].decode()
    report = evidence.verify(tmp_path / "small.zip", 1)
    assert report.ok
    assert any("adapter is not in the bundle" in text for text in report.unchecked)


def test_files_that_contradict_each_other_are_not_packed(own_folders, tmp_path):
    run = values.read_json(own_folders.run / "run.json")
    values.write_json(own_folders.run / "run.json", {**run, "loss": 0.01})
    with pytest.raises(errors.Invalid, match=r"not packed: run\.json: loss is 0\.01"):
        own_folders.pack(tmp_path / "bundle.zip")


def test_the_evaluation_of_another_run_is_not_packed(own_folders, tmp_path):
    shutil.rmtree(own_folders.tuned)
    shutil.copytree(own_folders.base, own_folders.tuned)
    with pytest.raises(errors.Invalid, match="tuned: adapter_digest is None"):
        own_folders.pack(tmp_path / "bundle.zip")


def test_a_failed_pack_leaves_an_older_bundle_alone(own_folders, tmp_path):
    own_folders.pack(tmp_path / "bundle.zip")
    before = (tmp_path / "bundle.zip").read_bytes()
    (own_folders.run / "metrics.jsonl").unlink()
    with pytest.raises(errors.NotFound):
        own_folders.pack(tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == before


@pytest.fixture
def curriculum(own_folders):
    """The made-up run as if it had gone on to a second dataset, selected from its first; that dataset's folder."""
    parent = datasets.open_dataset(own_folders.trainset)
    chosen = {"name": "second", "select": {"from": ["train-small"], "limit": 3}}
    selection = datasets.Selection.parse(chosen, source="test")
    second = own_folders.trainset.parent / "second"
    manifest = datasets.derive(selection, [datasets.pool(parent, "train-small")], second)
    digests = [parent.manifest.digest, manifest.digest]
    job = values.read_json(own_folders.run / "config.json")
    stages = [{"dataset": name, "epochs": 1} for name in ("train-small", "second")]
    job = TrainJob.parse({**job, "config": {**job["config"], "stages": stages}, "stage_digests": digests}, source="test")
    run = values.read_json(own_folders.run / "run.json")
    told = [
        {**stage, "dataset_digest": digest, "examples": 10, "steps": 2} for stage, digest in zip(stages, digests, strict=True)
    ]
    values.write_json(own_folders.run / "config.json", job.model_dump(mode="json"))
    values.write_json(own_folders.run / "run.json", {**run, "config_digest": job.config.digest, "stages": told})
    return second


def test_a_curriculum_brings_the_datasets_of_all_its_stages(own_folders, curriculum, tmp_path):
    own_folders.pack(tmp_path / "bundle.zip", later_dataset_dirs=[curriculum])
    members = standalone.parse((tmp_path / "bundle.zip").read_bytes())
    assert members["stages/2/dataset.jsonl"] == (curriculum / "dataset.jsonl").read_bytes()
    assert "stages/2/rejects.jsonl" in members
    assert "tuned on train-small, then second" in members["README.md"].decode()
    assert evidence.verify(tmp_path / "bundle.zip", 1).failures == ()


@pytest.mark.usefixtures("curriculum")
def test_a_curriculum_without_its_later_dataset_is_not_packed(own_folders, tmp_path):
    with pytest.raises(errors.NotFound, match=r"stages/2/manifest\.json"):
        own_folders.pack(tmp_path / "bundle.zip")


@pytest.mark.usefixtures("curriculum")
def test_another_dataset_is_not_taken_for_a_stage(own_folders, tmp_path):
    with pytest.raises(errors.Invalid, match="stage_digests"):
        own_folders.pack(tmp_path / "bundle.zip", later_dataset_dirs=[own_folders.trainset])
