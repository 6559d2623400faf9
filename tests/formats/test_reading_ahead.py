"""Reading ahead in a second process gives what reading here gives, and needs that process for nothing."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tunix_rt import formats
from tunix_rt.formats import Bad, BadFile, Reader
from tunix_rt.formats.ahead import Ahead

ROW: dict[str, Any] = {"prompt": "2 + 2?", "steps": [{"i": 1, "type": "compute", "content": "2 + 2 = 4"}], "final_answer": "4"}
ODD = [
    {**ROW, "meta": {"share": 0.1, "many": 1e300}},
    {**ROW, "meta": {"large": 10**25, "deep": [[None, True, {"a": 1.5}]]}},
    {**ROW, "prompt": '½ 🙂\u2028 \\ "quoted"\n\ttab'},
    {**ROW, "final_answer": ""},
    {**ROW, "steps": [{**ROW["steps"][0], "i": 7}]},
]


def write(path: Path, rows: list[dict[str, Any]], *more: str) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "".join(line + "\n" for line in more))
    return path


def here(path: Path, form: str | None = None) -> list[Any]:
    reader = Reader(path, formats.named(form) if form else None)
    rows = [found if isinstance(found, Bad) else (found[0], found[1].line()) for found in reader]
    return [rows, reader.format, reader.rows.sha256, reader.rows.count]


def ahead(path: Path, form: str | None = None) -> list[Any]:
    reader = Ahead(path, formats.named(form) if form else None, smallest=0)
    rows = list(reader)
    return [rows, reader.format, reader.sha256, reader.count]


@pytest.mark.parametrize("form", [None, "tunix-rt"])
def test_it_gives_the_same_rows(tmp_path: Path, form: str | None) -> None:
    path = write(tmp_path / "a.jsonl", [*ODD, ROW], "{", '{"a": 1, "a": 2}', '"\\ud800"', json.dumps([1]))
    assert ahead(path, form) == here(path, form)


def test_an_error_of_the_whole_file_is_met_here(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"question,answer\n1 + 1?,2\n\xff,3\n")
    with pytest.raises(BadFile, match="line 3 is not UTF-8"):
        ahead(path)


def test_when_the_process_is_killed_the_rest_is_read_here(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "prompt": f"Question {k}? " + "x" * 5_000} for k in range(2_000)])
    reader = Ahead(path, None, smallest=0)
    rows = iter(reader)
    first = [next(rows) for _ in range(10)]
    (child,) = readers()
    os.kill(child.pid, signal.SIGKILL)
    assert [[*first, *rows], reader.format, reader.sha256, reader.count] == here(path)


def test_leaving_early_ends_the_process(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{**ROW, "prompt": f"Question {k}? " + "x" * 5_000} for k in range(2_000)])
    rows = iter(Ahead(path, None, smallest=0))
    next(rows)
    assert len(readers()) == 1
    rows.close()  # type: ignore[attr-defined]
    assert readers() == []


def readers() -> list[psutil.Process]:
    """The second processes that are alive. Other tests' ended children, which nobody has waited for, have no command line."""
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "tunix_rt.formats.ahead" in one.cmdline()]
