"""`models promote`, `versions`, `show`, `alias`, `rollback`, `check` and `download` as a person runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from promoted import fill, opened

from test_cli_prove import document as by_process
from tunix_rt import errors, values
from tunix_rt.cli import app
from tunix_rt.settings import Settings

Said = pytest.CaptureFixture[str]


def run(said: Said, home: Path, *arguments: object) -> str:
    """In this process, which has everything imported."""
    app([*map(str, arguments), "--home", str(home)], standalone_mode=False)
    return said.readouterr().out


def document(said: Said, home: Path, *arguments: object) -> Any:
    return json.loads(run(said, home, *arguments, "--json"))


def test_a_run_is_promoted_named_rolled_back_checked_and_downloaded(tmp_path: Path, capsys: Said) -> None:
    home = tmp_path / "home"
    fill(home)
    place = opened(Settings(home=home))
    place.store.close()
    good, damaged, gate = place.good.run_id, place.damaged.run_id, ("--baseline", place.base, "--margin", "0.05")

    def models(*arguments: object) -> Any:
        return document(capsys, home, "models", *arguments)

    refused = by_process("models", "promote", damaged, "--as", "sums", *gate, home=home, code=1)["error"]
    assert (refused["code"], refused["details"]["decision"]) == ("refused", "fail")
    assert "worse than the baseline by more than 5 points" in refused["message"]
    assert models("versions") == {"data": [], "next": None}
    first = models("promote", good, "--as", "sums", *gate, "--alias", "champion")
    assert (first["version"], first["new"], first["standing"], first["aliases"]) == (1, True, "passed", ["champion"])
    values.write_json(tmp_path / "gate.json", models("show", "sums")["admission"]["gate"])
    assert models("promote", good, "--as", "sums", "--gate", tmp_path / "gate.json") == {**first, "new": False}
    with pytest.raises(errors.Refused, match="no gate was named"):
        models("promote", good, "--as", "sums")
    forced = ("--force", "--reason", "shown at the fair", "--alias", "champion")
    assert models("promote", damaged, "--as", "sums", *gate, *forced)["standing"] == "forced"
    assert [row["version"] for row in models("versions", "sums")["data"]] == [2, 1]
    assert models("rollback", "sums")["version"] == 1
    models("alias", "sums@2", "challenger")
    assert "forced by" in run(capsys, home, "models", "show", "sums@challenger")
    assert models("versions")["data"][0]["aliases"] == {"challenger": 2, "champion": 1}
    made = models("download", "sums@champion", "--out", tmp_path / "out")
    assert made["files"] == {path.name: values.sha256_file(path) for path in (tmp_path / "out").iterdir()}
    assert models("check")["ok"]
    (stored,) = (home / "artifacts").glob(f"*/{place.good.adapter_digest}")
    stored.chmod(0o644)
    stored.write_bytes(b"\x01" + stored.read_bytes()[1:])
    broken = by_process("models", "check", home=home, code=1)["error"]
    assert [(one["name"], one["version"], one["file"]) for one in broken["details"]["problems"]] == [
        ("sums", 1, "adapter.safetensors")
    ]
    assert "sums@1: adapter.safetensors" in broken["message"]
