"""`data select`, `dedup`, `split`, `stats`, `leak` and `check` as a person runs them."""

import json
from pathlib import Path

import pytest

from test_cli_data import document, run
from tunix_rt import values
from tunix_rt.datasets import Dataset
from tunix_rt.settings import Settings

SUM = {"prompt": "2+3?", "steps": [{"i": 1, "type": "compute", "content": "2 + 3 = 5"}], "final_answer": "5"}
WRONG = {**SUM, "prompt": "and 2+3?", "steps": [{"i": 1, "type": "compute", "content": "2 + 3 = 6"}], "final_answer": "6"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (SUM, WRONG, {**SUM, "prompt": " 2+3? "})))
    return path


def test_flags_and_a_file_select_the_same(sums: Dataset, workspace: Settings, tmp_path: Path) -> None:
    home, digest = workspace.home, sums.manifest.digest
    flags = ("--from", "tiny-sums", "--where", "meta.level=1", "--where", "steps<=9", "--verdict", "ok", "--sample", 12)
    made = document("data", "select", "by-flags", *flags, home=home)
    assert (made["count"], made["parents"]) == (
        12,
        [{"name": "tiny-sums", "dataset_digest": digest, "count": 64, "taken": 12}],
    )
    assert sum(made["dropped"].values()) == 52
    assert document("data", "select", "by-flags", *flags, "--check", home=home)["identical"]
    toml = tmp_path / "sel.toml"
    toml.write_text(
        'name = "by-file"\n[select]\nfrom = ["tiny-sums"]\nsteps.max = 9\nverdict = "ok"\nsample = 12\nwhere.meta.level = 1\n'
    )
    built = document("data", "build", toml, home=home)
    assert built["files"] == made["files"]
    (home / "datasets" / "by-file" / "rejects.jsonl").write_text("")
    assert document("data", "build", toml, "--check", home=home, code=1)["error"]["code"] == "tampered"


@pytest.mark.usefixtures("sums")
def test_a_split_shares_nothing_and_is_told(workspace: Settings) -> None:
    home = workspace.home
    refused = document("data", "split", "tiny-sums", "--by", "problem", home=home, code=1)
    assert "built-in recipe" in refused["error"]["message"]
    made = document("data", "split", "tiny-sums", "--by", "problem", "--eval-share", 0.25, "--out", "halves", home=home)
    assert made["train"]["count"] + made["eval"]["count"] == 64
    assert document("data", "leak", "halves-train", "halves-eval", home=home)["exact"] == 0
    assert document("data", "leak", "tiny-sums", "halves-eval", home=home, code=1)["exact"] == made["eval"]["count"]


def test_repeats_are_shown_and_left_out(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    document("data", "ingest", file, "--name", "mine", home=home)
    found = document("data", "dedup", "mine", "--by", "prompt", "--out", "once", home=home)
    assert (found["content"]["duplicates"], found["prompt"]["duplicates"], found["made"]["count"]) == (0, 1, 2)
    (reject,) = (row for _, row in values.read_jsonl(home / "datasets" / "once" / "rejects.jsonl"))
    assert (reject["code"], reject["field"]) == ("duplicate", "prompt")
    stats = document("data", "stats", "mine", home=home)
    assert (stats["count"], stats["examination"]["check"]["wrong_traces"]) == (3, 1)


def test_wrong_traces_are_not_ingested_under_check(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = document("data", "ingest", file, "--check", "--skip-bad", home=home)
    assert (made["added"], made["by_code"], made["check"]["traces"]) == (2, {"wrong_step": 1}, 3)


def test_check_shows_wrong_traces_or_all(file: Path, tmp_path: Path) -> None:
    told = run("check", file, home=tmp_path).stdout
    assert (told.count("line 2"), told.count("line 1")) == (1, 0)
    assert "step 1  wrong    2 + 3 = 6  arithmetic  6        5" in told
    everything = run("check", file, "--all", home=tmp_path).stdout
    assert [everything.count(f"line {number}") for number in (1, 2, 3)] == [1, 1, 1]
    found = document("check", file, home=tmp_path)
    assert [row["line"] for row in found["traces"]] == [1, 2, 3]
    assert found["summary"]["wrong_traces"] == 1


def test_a_mistake_in_the_last_line_leaves_no_half_of_a_document(file: Path, tmp_path: Path) -> None:
    with file.open("a") as out:
        out.write("{\n")
    assert document("check", file, home=tmp_path, code=1)["error"]["details"]["line"] == 4


def test_mistakes_are_explained(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    document("data", "ingest", file, "--name", "mine", home=home)
    cases = [
        (("--from", "mien"), "Did you mean 'mine'?"),
        (("--from", "mine", "--where", "meta.sorce.line=1"), "Did you mean 'meta.source.line'?"),
    ]
    for arguments, message in cases:
        assert message in document("data", "select", "new", *arguments, home=home, code=1)["error"]["message"]
    assert not (home / "datasets" / "new").exists()
