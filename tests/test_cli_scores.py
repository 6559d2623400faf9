"""`rescore`, `evals`, `leaderboard`, `baselines`, `flips` and `gate` as a person runs them, on a made-up workspace."""

from pathlib import Path

from made_up import folders_in
from test_cli_prove import document, run
from tunix_rt import values


def test_stored_answers_are_scored_cut_and_decided_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folders = folders_in(home)
    base, tuned = (values.read_json(folder / "summary.json") for folder in (folders.base, folders.tuned))
    steps = document("rescore", folders.tuned, "--scorer", "steps", home=home)
    assert (steps["n"], steps["measures"]["right_answer_wrong_reasoning"]) == (24, 0)
    loose = document("rescore", folders.tuned, "--scorer", "numeric", "--option", "absolute=1", home=home)
    assert loose["n"] + loose["skipped"] == 24
    card = document("evals", "scorecard", folders.tuned, "--metric", "steps", home=home)
    assert {line["facet"] for line in card["data"]} >= {"section", "level", "group"}
    overlap = document("evals", "contamination", folders.tuned, "--train", "train-small", home=home)
    assert (overlap["exact"], overlap["all"]["n"]) == (0, 24)
    assert document("evals", "check", folders.evalset / "dataset.jsonl", home=home)["ok"]
    assert document("evals", "looks", home=home)["data"] == []
    board = document("leaderboard", "--on", "eval-small", home=home)["data"][0]
    assert next(entry["evaluation_id"] for entry in board["entries"]) == tuned["evaluation_id"]
    made = document("baselines", "set", "main", folders.base, home=home)
    assert document("baselines", "list", home=home)["data"] == [made]
    assert made["evaluation_id"] == base["evaluation_id"]
    assert len(document("flips", folders.base, folders.tuned, home=home)["data"]) == 24
    unsure = document("gate", folders.tuned, "--baseline", folders.base, "--out", tmp_path / "g", home=home, code=3)
    assert (unsure["decision"], unsure["exploratory"], unsure["n"]) == ("inconclusive", True, 24)
    assert (tmp_path / "g" / "gate.md").read_text().startswith("# Gate: inconclusive")
    assert values.read_json(tmp_path / "g" / "gate.json")["decision"] == "inconclusive"
    assert "main" not in run("rescore", folders.tuned, "--scorer", "exact", home=home)


def test_a_key_is_made_and_an_unfit_set_exits_with_1(tmp_path: Path) -> None:
    made = document("evidence", "key", tmp_path / "key.pem", home=tmp_path)
    assert len(made["key_id"]) == 64
    (tmp_path / "set.jsonl").write_text("{}\n")
    found = document("evals", "check", tmp_path / "set.jsonl", home=tmp_path, code=1)
    assert [problem["code"] for problem in found["problems"]] == ["no_trace", "empty"]
