"""The card and the Croissant file: from the manifest alone, and readable by the tools they are for."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from absl import logging

from tunix_rt import datasets
from tunix_rt.datasets import Manifest, cards

PLAIN = {"question": "What is 2 + 3?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    datasets.build(datasets.recipe("eval-v2"), tmp_path / "set")
    return tmp_path / "set"


def ingested(tmp_path: Path, licence: str) -> Manifest:
    path = tmp_path / "sums.jsonl"
    path.write_text(json.dumps(PLAIN) + "\n")
    return datasets.ingest(path, tmp_path / "sets", licence=licence).manifest


def test_both_come_from_the_manifest_alone(folder: Path) -> None:
    manifest = datasets.stats(folder)
    assert cards.files(manifest) == {name: (folder / name).read_bytes() for name in ("README.md", "croissant.json")}


def test_the_card_states_what_the_manifest_states(folder: Path) -> None:
    manifest, card = datasets.stats(folder), (folder / "README.md").read_text()
    for stated in (
        manifest.digest,
        manifest.merkle_root,
        *manifest.files.values(),
        "| section | core 60, edge 15, trace-sensitive 25 |",
    ):
        assert stated in card
    assert card.startswith('---\nlicense: apache-2.0\nlanguage:\n- en\npretty_name: "eval-v2"\n')
    assert '  - split: eval\n    path: "dataset.jsonl"\n' in card


def test_an_ingested_set_claims_no_more_than_is_known(tmp_path: Path) -> None:
    card = cards.readme(ingested(tmp_path, "My | own terms"))
    assert 'license: other\nlicense_name: "My | own terms"\npretty_name' in card
    assert "not checked when the set was made" in card
    assert "| licence | My \\| own terms |" in card
    assert "| file | sums.jsonl |" in card
    assert "language:" not in card
    assert (tmp_path / "sets" / "sums" / "README.md").read_text() == card


def test_written_items_are_not_called_generated(tmp_path: Path) -> None:
    card = cards.readme(datasets.build(datasets.recipe("eval-v1"), tmp_path / "set"))
    assert "Written by hand, in `eval-v1.jsonl`" in card
    assert "synthetic" not in card


def test_another_container_is_named(folder: Path) -> None:
    assert 'path: "data/train-*.parquet"' in cards.readme(datasets.stats(folder), "data/train-*.parquet")


def _read_by_croissant(path: Path) -> tuple[Any, list[dict[str, Any]]]:
    logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"rdflib\..*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, message="ConjunctiveGraph is deprecated")
        import mlcroissant  # noqa: PLC0415 - seconds to import, and only this test needs it

        found = mlcroissant.Dataset(str(path))
        return found.metadata.ctx.issues, list(found.records("traces"))


def test_croissant_is_valid_and_reads_the_rows(folder: Path) -> None:
    issues, rows = _read_by_croissant(folder / "croissant.json")
    assert not issues.errors
    assert ["datePublished" in text for text in issues.warnings] == [True], "a manifest holds no time"
    prompts = [json.loads(line)["prompt"] for line in (folder / "dataset.jsonl").read_text().splitlines()]
    assert [row["traces/prompt"].decode() for row in rows] == prompts
    assert rows[0]["traces/steps"]["traces/steps/i"] == [1, 2]
    broken = json.loads((folder / "croissant.json").read_text())
    broken["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "other.jsonl"
    (folder / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(Exception, match=r"other\.jsonl"):
        _read_by_croissant(folder / "broken.json")
