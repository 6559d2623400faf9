import json
from pathlib import Path

import pytest
from submitted import PLACE, Made, made_in

from tunix_rt import datasets, errors, evidence, jobs, submission, values
from tunix_rt.submission import kaggle

MISSING = {
    "a finished run": ("run", "run.json", "no finished run"),
    "the tuned evaluation": ("tuned", "summary.json", "has no evaluation yet: run tunix-rt eval"),
    "the base evaluation": ("base", "summary.json", "its base is not: run tunix-rt eval tiny"),
    "stored answers": ("tuned", "predictions.jsonl", "predictions.jsonl"),
    "scores": ("base", "scores.jsonl", "scores.jsonl"),
    "the dataset's manifest": ("trainset", "manifest.json", "manifest.json is missing"),
    "the evaluation set's manifest": ("evalset", "manifest.json", "tunix-rt data build eval-small"),
    "the log": ("run", "log.txt", "holds the log of its run"),
    "events": ("run", "events.jsonl", "holds the log of its run"),
    "metrics": ("run", "metrics.jsonl", "metrics.jsonl is missing"),
    "the environment": ("run", "environment.json", "environment.json is missing"),
}


def test_it_holds_what_it_promises_and_is_small(made: Made, tmp_path: Path) -> None:
    members = made.pack(tmp_path / "a.zip")
    data = ("train-small", "eval-small")
    assert set(members) == {
        "README.md", "contents.json", "evidence.json", "model_card.md",
        "kernel/kernel-metadata.json", "kernel/tunix-rt-small.ipynb", "inputs/dataset-metadata.json", "inputs/train.toml",
        "inputs/evalset/eval-small.jsonl", *(f"inputs/manifests/{name}.json" for name in data),
        *(f"inputs/recipes/{name}.toml" for name in data), "evaluation/comparison.json",
        *(f"evaluation/{side}/{name}.json" for side in ("base", "tuned") for name in ("config", "summary")),
        *(f"run/{name}.json" for name in ("run", "config", "environment")),
        "run/metrics.jsonl", "run/events.jsonl", "run/log.txt",
    }  # fmt: skip
    assert (tmp_path / "a.zip").stat().st_size < submission.LIMIT
    listed = json.loads(members["contents.json"])["files"]
    assert {row["name"]: row["sha256"] for row in listed} == {
        name: values.sha256(data) for name, data in members.items() if name != "contents.json"
    }


def test_the_same_run_gives_the_same_bytes_anywhere(made: Made, own: Made, tmp_path: Path) -> None:
    for number, workspace in enumerate((made, made, own)):
        workspace.pack(tmp_path / f"{number}.zip")
    assert len({(tmp_path / f"{number}.zip").read_bytes() for number in range(3)}) == 1


def test_it_names_the_bundle_that_evidence_pack_writes(made: Made, tmp_path: Path) -> None:
    members = made.pack(tmp_path / "a.zip")
    manifest = evidence.pack_run(made.settings, made.run, tmp_path / "evidence.zip")
    assert json.loads(members["evidence.json"])["merkle_root"] == manifest.merkle_root
    assert manifest.merkle_root in members["README.md"].decode()


def test_config_and_recipes_read_back_as_what_was_run(made: Made, tmp_path: Path) -> None:
    members = made.pack(tmp_path / "a.zip")
    for name in ("inputs/train.toml", "inputs/recipes/train-small.toml"):
        values.write_bytes(tmp_path / name, members[name])
    assert jobs.read_config(tmp_path / "inputs/train.toml").digest == made.run.config_digest
    manifest = datasets.stats(made.folders.trainset)
    assert datasets.load(tmp_path / "inputs/recipes/train-small.toml").digest == manifest.recipe_digest


@pytest.mark.parametrize("name", sorted(datasets.builtin_recipes()))
def test_every_recipe_that_ships_reads_back_from_its_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(datasets.recipe_text(datasets.recipe(name)))
    assert datasets.load(path).digest == datasets.recipe(name).digest


@pytest.mark.parametrize("what", MISSING)
def test_missing_evidence_is_named_and_nothing_is_written(what: str, own: Made, tmp_path: Path) -> None:
    folder, name, said = MISSING[what]
    (getattr(own.folders, folder) / name).unlink()
    with pytest.raises(errors.NotFound, match=said):
        own.pack(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("file", ["log.txt", "events.jsonl"])
def test_a_secret_in_the_log_is_refused(file: str, own: Made, tmp_path: Path) -> None:
    with (own.folders.run / file).open("a") as log:
        log.write("hf_" + "a1" * 17 + "\n")
    with pytest.raises(errors.Unsafe, match="Hugging Face token"):
        own.pack(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_secret_of_the_environment_is_refused(own: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (own.folders.run / "log.txt").open("a") as log:
        log.write("harmless-looking-words\n")
    own.pack(tmp_path / "a.zip")
    monkeypatch.setenv("SOME_API_TOKEN", "harmless-looking-words")
    with pytest.raises(errors.Unsafe, match="this machine's environment"):
        own.pack(tmp_path / "b.zip")


def test_places_in_the_log_are_called_by_their_roles(made: Made, tmp_path: Path) -> None:
    members = made.pack(tmp_path / "a.zip")
    assert members["run/log.txt"] == b"loaded <workspace>/models/tiny\n"
    assert not any(str(made.settings.home).encode() in data for data in members.values())


def test_data_no_recipe_makes_has_to_be_included(own: Made, tmp_path: Path) -> None:
    manifest = datasets.stats(own.folders.evalset)
    source = {"file": "a.jsonl", "sha256": "0" * 64, "format": "own", "rows": 24, "added": 24, "duplicates": 0, "rejected": 0}
    rows = manifest.model_dump(mode="json", exclude={"recipe", "recipe_digest", "seed"}, exclude_none=True)
    ingested = datasets.Manifest.parse({**rows, "generators": {}, "source": {**source, "reasoning_absent": 0}}, source="test")
    data = submission.Data.of(ingested)
    assert data.attached
    assert not submission.Data.of(manifest).attached
    members = own.pack(tmp_path / "a.zip", with_data=True)
    assert members["inputs/datasets/eval-small/dataset.jsonl"] == members["inputs/evalset/eval-small.jsonl"]
    for name in ("train-small", "eval-small"):
        for file in ("dataset.jsonl", "manifest.json", "README.md", "croissant.json"):
            values.write_bytes(tmp_path / name / file, members[f"inputs/datasets/{name}/{file}"])
        assert datasets.open_dataset(tmp_path / name).manifest == datasets.manifest(own.settings, name)


def test_the_metadata_is_made_of_facts(made: Made, tmp_path: Path) -> None:
    members = made.pack(tmp_path / "a.zip")
    kernel = json.loads(members["kernel/kernel-metadata.json"])
    inputs = json.loads(members["inputs/dataset-metadata.json"])
    assert kernel["id"] == "jane/tunix-rt-small"
    assert kernel["dataset_sources"] == [inputs["id"]] == ["jane/tunix-rt-small-inputs"]
    assert f"kernel/{kernel['code_file']}" in members
    assert kernel["title"].replace(" ", "-") == PLACE.slug
    assert (kernel["enable_internet"], kernel["enable_gpu"], kernel["enable_tpu"]) == (False, True, False)
    assert kernel["machine_shape"] == "NvidiaTeslaT4"
    assert "eval-small is under CC0-1.0" in inputs["description"]
    assert 6 <= len(inputs["title"]) <= 50


@pytest.mark.parametrize(
    ("user", "slug", "option"),
    [(None, None, "--user"), ("Jane Doe", None, "--user"), ("jane", "A", "--slug"), ("jane", "x" * 60, "--slug")],
)
def test_a_place_that_kaggle_would_not_take_names_the_option(user: str | None, slug: str | None, option: str) -> None:
    with pytest.raises(errors.Invalid, match=option):
        kaggle.place(user, slug, "sft_demo", "none")
    assert kaggle.place("jane", None, "sft_demo", "none").slug == "tunix-rt-sft-demo"


def test_a_long_config_name_still_makes_a_slug() -> None:
    found = kaggle.place("jane", None, "a very long name, longer than any Kaggle takes", "tpu")
    assert len(found.inputs) <= 50
    assert kaggle.kernel_metadata(found)["enable_tpu"]


def test_a_workspace_elsewhere_is_no_part_of_it(tmp_path: Path) -> None:
    first, second = made_in(tmp_path / "a" / "home"), made_in(tmp_path / "b" / "deeper" / "home")
    assert first.pack(tmp_path / "1.zip") == second.pack(tmp_path / "2.zip")


def test_a_smoke_run_is_called_one(own: Made, tmp_path: Path) -> None:
    assert b"smoke run" not in own.pack(tmp_path / "a.zip")["README.md"]
    run = values.read_json(own.folders.run / "run.json")
    values.write_json(own.folders.run / "run.json", {**run, "reason": "smoke"})
    assert b"It was a smoke run" in own.pack(tmp_path / "b.zip")["README.md"]
