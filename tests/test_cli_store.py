"""Traces and the store on the command line, as a person runs it."""

import json
import sqlite3
from pathlib import Path

import pytest

from test_cli import document, run

LINE = {"trace_version": "1.0", "steps": [{"i": 1, "type": "compute", "content": "2 + 2 = 4"}], "final_answer": "4"}


@pytest.fixture
def traces_file(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps({**LINE, "prompt": f"What is 2 + 2, for the {k}th time?"}) + "\n" for k in range(30)))
    return path


def test_traces_are_kept_listed_found_and_shown(traces_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert document("traces", "add", traces_file, home=home)["added"] == 30
    assert document("traces", "add", traces_file, home=home)["duplicates"] == 30
    first = document("traces", "list", "--limit", 20, home=home)
    rest = document("traces", "list", "--limit", 20, "--after", first["next"], home=home)
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (20, 10, None)
    (found,) = document("traces", "search", '"the 7th time"', home=home)["data"]
    shown = run("traces", "show", found["id"][:20], home=home).stdout
    assert "for the 7th time" in shown
    assert "1. [compute] 2 + 2 = 4" in shown


def test_a_bad_line_keeps_everything_out(traces_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with traces_file.open("a") as file:
        file.write('{"prompt": "no steps", "final_answer": "4", "steps": []}\n')
    error = document("traces", "add", traces_file, home=home, code=1)["error"]
    assert error["details"]["rejected"][0]["line"] == 31
    assert document("traces", "list", home=home)["data"] == []


def test_a_dataset_is_selected_from_stored_traces(traces_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run("traces", "add", traces_file, home=home)
    made = document("data", "select", "some", "--from", "stored", "--where", "meta.source.line<=10", home=home)
    (parent,) = made["parents"]
    assert (made["count"], parent["name"], parent["count"], parent["taken"]) == (10, "stored", 30, 10)
    more = tmp_path / "more.jsonl"
    more.write_text(traces_file.read_text().replace("2 + 2, for", "2 and 2, for"))
    run("traces", "add", more, home=home)
    pinned = ("--from", f"stored@{parent['dataset_digest'][:12]}", "--where", "meta.source.line<=10")
    assert "made anew since" in run("data", "select", "same", *pinned, home=home, code=1).stderr
    assert document("data", "ingest", traces_file, "--name", "stored", home=home, code=1)["error"]["code"] == "conflict"


def test_a_backup_goes_into_a_new_workspace(traces_file: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run("traces", "add", traces_file, home=old)
    assert document("store", "check", home=old)["traces"] == 30
    document("store", "backup", tmp_path / "b.zip", home=old)
    assert document("store", "restore", tmp_path / "b.zip", home=new)["tables"]["traces"] == 30
    assert document("traces", "list", home=new) == document("traces", "list", home=old)
    assert "not empty" in run("store", "restore", tmp_path / "b.zip", home=new, code=1).stderr


def test_checking_finds_a_changed_row(traces_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run("traces", "add", traces_file, home=home)
    with sqlite3.connect(home / "tunix-rt.db") as connection:
        connection.execute("UPDATE traces SET body = replace(body, '2 + 2 = 4', '2 + 2 = 5') WHERE seq = 7")
    connection.close()
    error = document("store", "check", home=home, code=1)["error"]
    assert error["code"] == "tampered"
    assert "number 7" in error["message"]
