"""`models promote`, `versions`, `show`, `alias`, `rollback`, `check` and `download` as a person runs them."""

from pathlib import Path

from promoted import fill, opened
from test_cli_prove import document, run
from tunix_rt import values
from tunix_rt.settings import Settings


def test_a_run_is_promoted_named_rolled_back_checked_and_downloaded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fill(home)
    place = opened(Settings(home=home))
    place.store.close()
    good, damaged, gate = place.good.run_id, place.damaged.run_id, ("--baseline", place.base, "--margin", "0.05")
    refused = document("models", "promote", damaged, "--as", "sums", *gate, home=home, code=1)["error"]
    assert (refused["code"], refused["details"]["decision"]) == ("refused", "fail")
    assert "worse than the baseline by more than 5 points" in refused["message"]
    assert document("models", "versions", home=home) == {"data": [], "next": None}
    first = document("models", "promote", good, "--as", "sums", *gate, "--alias", "champion", home=home)
    assert (first["version"], first["new"], first["standing"], first["aliases"]) == (1, True, "passed", ["champion"])
    judged = document("models", "show", "sums", home=home)["admission"]["gate"]
    values.write_json(tmp_path / "gate.json", judged)
    again = document("models", "promote", good, "--as", "sums", "--gate", tmp_path / "gate.json", home=home)
    assert again == {**first, "new": False}
    forced = ("--force", "--reason", "shown at the fair", "--alias", "champion")
    assert document("models", "promote", damaged, "--as", "sums", *gate, *forced, home=home)["standing"] == "forced"
    assert [row["version"] for row in document("models", "versions", "sums", home=home)["data"]] == [2, 1]
    assert document("models", "rollback", "sums", home=home)["version"] == 1
    document("models", "alias", "sums@2", "challenger", home=home)
    assert "forced by" in run("models", "show", "sums@challenger", home=home)
    assert document("models", "versions", home=home)["data"][0]["aliases"] == {"challenger": 2, "champion": 1}
    made = document("models", "download", "sums@champion", "--out", tmp_path / "out", home=home)
    assert made["files"] == {path.name: values.sha256_file(path) for path in (tmp_path / "out").iterdir()}
    assert document("models", "check", home=home)["ok"]
    (stored,) = (home / "artifacts").glob(f"*/{place.good.adapter_digest}")
    stored.chmod(0o644)
    stored.write_bytes(b"\x01" + stored.read_bytes()[1:])
    broken = document("models", "check", home=home, code=1)["error"]
    assert [(one["name"], one["version"], one["file"]) for one in broken["details"]["problems"]] == [
        ("sums", 1, "adapter.safetensors")
    ]
    assert "sums@1: adapter.safetensors" in broken["message"]
    assert document("models", "promote", good, "--as", "sums", home=home, code=1)["error"]["code"] == "refused"
