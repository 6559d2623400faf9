"""`data ingest` and `data export` as a person runs them: real processes, real files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunix_rt.formats import IMPORTS, exports
from tunix_rt.settings import Settings

COMMAND = Path(sys.executable).parent / "tunix-rt"
ROWS = [
    {"question": f"What is {a} + 3?", "answer": f"We add: {a} + 3 = <<{a}+3={a + 3}>>{a + 3}.\nThat is all.\n#### {a + 3}"}
    for a in range(24)
]


def run(*arguments: object, home: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TUNIX_RT_HOME": str(home), "COLUMNS": "400"}
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def document(*arguments: object, home: Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", home=home, code=code).stdout)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0]]))
    return path


def test_a_file_is_ingested_checked_and_exported(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = document("data", "ingest", file, "--name", "mine", "--licence", "MIT", home=home)
    assert (made["added"], made["duplicates"], made["rejected"], made["format"]) == (24, 1, [], "gsm8k")
    assert made["dir"] == str(home / "datasets" / "mine")
    again = document("data", "ingest", file, "--name", "mine", "--licence", "MIT", home=home)
    assert (again["added"], again["duplicates"], again["digest"]) == (0, 25, made["digest"])
    stats = document("data", "stats", "mine", home=home)
    assert (stats["digest"], stats["source"]["file"], stats["licence"]) == (made["digest"], "sums.jsonl", "MIT")
    checked = document("check", "mine", home=home)["summary"]
    assert (checked["traces"], checked["wrong_traces"], checked["coverage"]) == (24, 0, 0.5)
    exported = document("data", "export", "mine", "--to", "alpaca", "--out", tmp_path / "out", home=home)
    assert (exported["count"], exported["dataset_digest"]) == (24, made["digest"])
    back = document("data", "ingest", tmp_path / "out" / "train.jsonl", home=home)
    assert (back["added"], back["format"], back["without_reasoning"]) == (24, "alpaca", 0)


def test_a_bad_line_exits_with_1_and_stores_nothing(file: Path, tmp_path: Path) -> None:
    home, rejects = tmp_path / "home", tmp_path / "rejects.jsonl"
    with file.open("a") as out:
        out.write('{"question": "?", "answer": "no mark"}\n')
    refused = document("data", "ingest", file, home=home, code=1)
    assert refused["error"]["code"] == "bad_lines"
    assert refused["added"] == 0
    assert [(row["line"], row["code"], row["field"]) for row in refused["rejected"]] == [(26, "no_answer", "answer")]
    assert "line 26: no_answer" in run("data", "ingest", file, home=home, code=1).stderr
    assert list((home / "datasets").iterdir()) == []
    kept = document("data", "ingest", file, "--skip-bad", "--rejects", rejects, home=home)
    assert (kept["added"], kept["by_code"]) == (24, {"no_answer": 1})
    assert json.loads(rejects.read_text())["line"] == 26


@pytest.mark.usefixtures("tiny")
def test_an_ingested_dataset_can_be_trained_on(file: Path, workspace: Settings, root: Path, tmp_path: Path) -> None:
    document("data", "ingest", file, "--name", "ingested-sums", home=workspace.home)
    config = root / "recipes/train/sft_tiny.toml"
    run_options = ("--config", config, "--output", tmp_path / "run", "--device", "cpu", "--smoke-steps", 1)
    done = document("train", "--dataset", "ingested-sums", *run_options, home=workspace.home)
    assert (done["state"], done["steps"]) == ("completed", 1)


def test_mistakes_are_explained(file: Path, tmp_path: Path) -> None:
    cases = [
        (("data", "ingest", tmp_path / "none.jsonl"), "not_found"),
        (("data", "ingest", tmp_path), "is_directory"),
        (("data", "ingest", file, "--format", "gsm8"), "not_found"),
        (("data", "ingest", file, "--name", "My Data"), "invalid"),
        (("data", "ingest", file, "--format", "alpaca"), "bad_lines"),
        (("data", "export", "nothing", "--to", "alpaca", "--out", tmp_path / "o"), "not_found"),
    ]
    for arguments, code in cases:
        assert document(*arguments, home=tmp_path / "home", code=1)["error"]["code"] == code
    run("data", "export", "mine", home=tmp_path, code=2)


def test_help_and_docs_name_every_format(root: Path, tmp_path: Path) -> None:
    helped = {verb: run("data", verb, "--help", home=tmp_path).stdout for verb in ("ingest", "export")}
    table = (root / "docs" / "formats.md").read_text()
    for verb, names in (("ingest", IMPORTS), ("export", exports.NAMES)):
        assert all(name in helped[verb] for name in names)
        assert all(f"| `{name}` |" in table for name in names)
