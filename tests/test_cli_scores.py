"""`rescore`, `evals`, `leaderboard`, `baselines`, `flips` and `gate` as a person runs them, on a made-up workspace."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from endpoint import Answer, said, serving
from made_up import folders_in
from test_cli_prove import COMMAND, document, run
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
    assert (board["looks"], board["looks_at_runs"]) == (0, 0)
    compared = document("compare", folders.base, folders.tuned, home=home)
    assert (compared["looks"], compared["instructions_differ"]) == (0, False)
    assert "0 looks at this set" in run("compare", folders.base, folders.tuned, home=home)
    rows = document("compare", folders.base, folders.tuned, folders.base, home=home)["data"]
    assert [row["p_adjusted"] >= row["p_value"] for row in rows] == [True, True]
    assert "different runs" in run("compare", folders.base, folders.tuned, "--seeds", home=home, code=1, err=True)
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


def test_a_model_judges_only_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, key = tmp_path / "home", "sk-of-the-environment"
    tuned = folders_in(home).tuned
    monkeypatch.setenv("TUNIX_RT_JUDGE_KEY", key)
    assert "judge-model" in run("rescore", tuned, "--scorer", "judge", home=home, code=2, err=True)
    assert "asks no model" in run("rescore", tuned, "--scorer", "exact", "--judge-model", "m", home=home, code=2, err=True)
    assert not (tuned / "rescores").exists()
    with serving(lambda question: said("VERDICT: WRONG" if "naïve" in question else "VERDICT: CORRECT")) as endpoint:
        by = ("--scorer", "judge", "--judge-model", "m", "--judge-url", endpoint.url)
        made = document("rescore", tuned, *by, home=home)
        told = run("rescore", tuned, *by, home=home)
        assert len(endpoint.asked) == 24
    assert (made["n"], made["correct"], made["unjudged"], set(endpoint.keys)) == (24, 18, 0, {f"Bearer {key}"})
    assert made["measures"]["agreement"]["strict"]["kappa"] == 1
    assert "agrees with strict: 100.0 %" in told
    assert not [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_killed_judging_goes_on_and_asks_again_only_what_was_under_way(tmp_path: Path) -> None:
    home = tmp_path / "home"
    tuned = folders_in(home).tuned

    def slow(_question: str) -> Answer:
        time.sleep(0.1)
        return said("VERDICT: CORRECT")

    with serving(slow) as endpoint:
        by = ["rescore", tuned, "--scorer", "judge", "--judge-model", "m", "--judge-url", endpoint.url, "--judge-parallel", "2"]
        environment = {**os.environ, "TUNIX_RT_HOME": str(home)}
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([COMMAND, *map(str, by)], env=environment, **silent) as first:
            while len(endpoint.asked) < 8:
                time.sleep(0.01)
            first.send_signal(signal.SIGKILL)
        assert not (tuned / "rescores").exists()
        before = len(endpoint.asked)
        assert 8 <= before < 24
        assert document(*by, home=home)["n"] == 24
        assert 24 <= len(endpoint.asked) <= 26
        assert len({str(body) for body in endpoint.asked}) == 24
