"""Files that are wrong in one way each: one clear error with its code, its line and its field, and nothing stored."""

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tunix_rt import datasets, errors, values
from tunix_rt.datasets import Refused
from tunix_rt.formats import BadFile, BadRow, containers, strict

GOOD: dict[str, Any] = {"prompt": "2+3?", "steps": [{"i": 1, "type": "add", "content": "2 + 3 = 5"}], "final_answer": "5"}
LINE = json.dumps(GOOD).encode() + b"\n"


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode() + b"\n"


def step(**changes: Any) -> dict[str, Any]:
    return {**GOOD["steps"][0], **changes}


def said(*roles: str, content: object = "x", **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": role, "content": content, **more} for role in roles]}).encode() + b"\n"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.jsonl", LINE)
    return out.getvalue()


def table(**columns: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


WHOLE = table(question=["2+3?"], answer=["add\n#### 5"])

# name, bytes, code: the file as a whole cannot be read.
FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("x.jsonl", b"", "empty_file"),
    "blank lines only": ("x.jsonl", b"\n\r\n  \n\t\n", "empty_file"),
    "byte-order mark only": ("x.jsonl", b"\xef\xbb\xbf", "empty_file"),
    "UTF-16 with its mark": ("x.jsonl", LINE.decode().encode("utf-16"), "wrong_encoding"),
    "UTF-16 without its mark": ("x.jsonl", LINE.decode().encode("utf-16-le"), "wrong_encoding"),
    "UTF-16, big end first": ("x.json", b"\x00[" + LINE.decode().encode("utf-16-be"), "wrong_encoding"),
    "gzip": ("x.jsonl.gz", gzip.compress(LINE), "compressed"),
    "bzip2": ("x.jsonl", bz2.compress(LINE), "compressed"),
    "xz": ("x.jsonl", lzma.compress(LINE), "compressed"),
    "zip": ("x.jsonl", zipped(), "compressed"),
    "zstd": ("x.jsonl", b"\x28\xb5\x2f\xfd" + LINE, "compressed"),
    "Inspect archive": ("x.eval", zipped(), "compressed"),
    "Arrow file": ("x.arrow", b"ARROW1\x00\x00" + LINE, "not_text"),
    "database": ("x.db", b"SQLite format 3\x00" + LINE, "not_text"),
    "PDF": ("x.pdf", b"%PDF-1.7\n" + LINE, "not_text"),
    "document cut off": ("x.json", b"[" + LINE[:-20], "bad_json"),
    "document of nothing": ("x.json", b"[]", "empty_file"),
    "document in Latin-1": ("x.json", '[{"prompt": "é"}]'.encode("latin-1"), "not_utf8"),
    "document too deep": ("x.json", b"[" * 100_000, "too_deep"),
    "document with a key twice": ("x.json", b'[{"prompt": "a", "prompt": "b"}]', "duplicate_key"),
    "document with NaN": ("x.json", b'[\n{"prompt": NaN}]', "not_finite"),
    "CSV header only": ("x.csv", b"question,answer\n", "empty_file"),
    "CSV header without names": ("x.csv", b",,\n1,2,3\n", "bad_csv"),
    "CSV header with a name twice": ("x.csv", b"question,question\na,b\n", "duplicate_key"),
    "CSV in Latin-1": ("x.csv", "question,answer\né,b\n".encode("latin-1"), "not_utf8"),
    "CSV with a huge line": ("x.csv", b"question,answer\n" + b"x" * (containers.LONGEST_LINE + 1), "line_too_long"),
    "Parquet cut off": ("x.parquet", WHOLE[:-9], "bad_parquet"),
    "Parquet by name only": ("x.parquet", LINE, "bad_parquet"),
    "Parquet of no rows": ("x.parquet", table(question=pyarrow.array([], pyarrow.string())), "empty_file"),
}

# name, bytes, line, code, field: a line of it, after a good one where the container has such.
LINES: dict[str, tuple[str, bytes, int, str, str | None]] = {
    "cut off": ("x.jsonl", LINE + LINE[:-9], 2, "bad_json", None),
    "Latin-1": ("x.jsonl", LINE + '{"prompt": "é"}'.encode("latin-1"), 2, "not_utf8", None),
    "NUL": ("x.jsonl", LINE + b'{"prompt": "a\x00"}', 2, "nul", None),
    "escaped NUL": ("x.jsonl", LINE + line(prompt="a\x00"), 2, "nul", None),
    "huge line": ("x.jsonl", LINE + b'"' + b"x" * containers.LONGEST_LINE + b'"', 2, "line_too_long", None),
    "byte-order mark inside": ("x.jsonl", LINE + b"\xef\xbb\xbf" + LINE, 2, "bad_json", None),
    "two objects": ("x.jsonl", LINE + LINE[:-1] + LINE, 2, "bad_json", None),
    "single quotes": ("x.jsonl", LINE + b"{'prompt': 'x'}", 2, "bad_json", None),
    "a key twice": ("x.jsonl", LINE + LINE[:-2] + b', "prompt": "x"}', 2, "duplicate_key", "prompt"),
    "a key twice, inside": ("x.jsonl", LINE + LINE[:-2] + b', "meta": {"a": 1, "a": 1}}', 2, "duplicate_key", "a"),
    "a key twice, with a colon":
        ("x.jsonl", LINE + LINE[:-2] + b', "meta": {"a": ":", "a": "\\u003a:"}}', 2, "duplicate_key", "a"),
    "too deep": ("x.jsonl", LINE + b'{"a":' * 70 + b"1" + b"}" * 70, 2, "too_deep", None),
    "bottomless": ("x.jsonl", LINE + b"[" * 100_000, 2, "too_deep", None),
    "NaN": ("x.jsonl", LINE + b'{"a": NaN}', 2, "not_finite", None),
    "infinity": ("x.jsonl", LINE + b'{"a": -Infinity}', 2, "not_finite", None),
    "number too large": ("x.jsonl", LINE + b'{"a": 1e999}', 2, "not_finite", None),
    "number too long": ("x.jsonl", LINE + b'{"a": ' + b"9" * 5_000 + b"}", 2, "bad_number", None),
    "half a surrogate pair": ("x.jsonl", LINE + LINE[:-2] + b', "meta": {"a": "\\ud83d"}}', 2, "lone_surrogate", None),
    "a list": ("x.jsonl", LINE + b"[1, 2]", 2, "not_object", None),
    "a word": ("x.jsonl", LINE + b'"text"', 2, "not_object", None),
    "list of scalars": ("x.json", b"[" + LINE + b", 2]", 2, "not_object", None),
    "unknown keys": ("x.jsonl", b'{"foo": 1}\n', 1, "unknown_format", None),
    "blank prompt": ("x.jsonl", LINE + line(prompt=" \u3000\n"), 2, "blank", "prompt"),
    "prompt too long": ("x.jsonl", LINE + line(prompt="x" * 50_001), 2, "too_long", "prompt"),
    "prompt a number": ("x.jsonl", LINE + line(prompt=5), 2, "wrong_type", "prompt"),
    "no answer": ("x.jsonl", LINE + line(final_answer=""), 2, "blank", "final_answer"),
    "no steps": ("x.jsonl", LINE + line(steps=[]), 2, "no_steps", "steps"),
    "steps missing":
        ("x.jsonl", LINE + b'{"trace_version": "1.0", "prompt": "x", "final_answer": "5"}', 2, "missing_field", "steps"),
    "too many steps": ("x.jsonl", LINE + line(steps=[step(i=i) for i in range(1, 1_002)]), 2, "too_many_steps", "steps"),
    "steps in no order": ("x.jsonl", LINE + line(steps=[step(i=2), step(i=1)]), 2, "bad_steps", "steps.i"),
    "step without a number": ("x.jsonl", LINE + line(steps=[{"type": "t", "content": "x"}]), 2, "bad_steps", "steps.i"),
    "step too long": ("x.jsonl", LINE + line(steps=[step(content="x" * 20_001)]), 2, "too_long", "steps.0.content"),
    "step of an unknown key": ("x.jsonl", LINE + line(steps=[step(by="me")]), 2, "unknown_field", "steps.0.by"),
    "step a word": ("x.jsonl", LINE + line(steps=["add"]), 2, "wrong_type", "steps.0"),
    "unknown field": ("x.jsonl", LINE + line(promt="x"), 2, "unknown_field", "promt"),
    "another version": ("x.jsonl", LINE + line(trace_version="9.0"), 2, "bad_value", "trace_version"),
    "meta a list": ("x.jsonl", LINE + line(meta=[1]), 2, "wrong_type", "meta"),
    "several turns": ("x.jsonl", said("user", "assistant", "user", "assistant"), 1, "several_turns", "role"),
    "a tool's turn": ("x.jsonl", said("user", "tool"), 1, "tool_turn", "role"),
    "a tool's call": ("x.jsonl", said("user", "assistant", tool_calls=[{}]), 1, "tool_turn", "messages.0.tool_calls"),
    "a strange role": ("x.jsonl", said("user", "wizard"), 1, "bad_role", "role"),
    "no reply": ("x.jsonl", said("user"), 1, "no_exchange", "role"),
    "a picture": ("x.jsonl", said("user", "assistant", content=[{"type": "image_url"}]), 1, "not_text", "messages.0.content"),
    "an empty answer element":
        ("x.jsonl", said("user", "assistant", content="<think>a</think><answer> </answer>"), 1, "no_answer", None),
    "reasoning without an answer": ("x.jsonl", said("user", "assistant", content="<think>a</think>\n"), 1, "no_answer", None),
    "no #### line": ("x.jsonl", b'{"question": "x", "answer": "<<1+1=2>>2"}\n', 1, "no_answer", "answer"),
    "a step labelled false":
        ("x.jsonl", b'{"prompt": "x", "completions": ["a"], "labels": [false]}\n', 1, "wrong_step", "labels.0"),
    "a span without a model's call":
        ("x.jsonl", b'{"traceId": "t", "type": "SPAN", "input": "", "output": ""}\n', 1, "not_generation", "type"),
    "OTLP without spans": ("x.jsonl", b'{"resourceSpans": [{"scopeSpans": [{}]}]}\n', 1, "wrong_type", "resourceSpans"),
    "CSV record too short": ("x.csv", b"question,answer\n2?,a #### 2\n3?\n", 3, "bad_csv", None),
    "CSV record too long": ("x.csv", b"question,answer\n2?,a #### 2\n3?,4,5\n", 3, "bad_csv", None),
    "CSV quote left open": ("x.csv", b'question,answer\n2?,a #### 2\n3?,"4\n', 3, "bad_csv", None),
    "CSV cell empty": ("x.csv", b"question,answer\n2?,a #### 2\n3?,\n", 3, "missing_field", "answer"),
    "CSV with NUL": ("x.csv", b"question,answer\n2?,a #### 2\na\x00,b\n", 3, "nul", None),
    "Parquet without a value":
        ("x.parquet", table(question=["2?", None], answer=["a #### 2", "b #### 3"]), 2, "missing_field", "question"),
    "Parquet with bytes": ("x.parquet", table(question=[b"\xff"], answer=["b"]), 1, "wrong_type", "question"),
    "Parquet with infinity": ("x.parquet", table(question=["2?"], score=[float("inf")]), 1, "not_finite", "score"),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder that holds one dataset already."""
    first = tmp_path / "first.jsonl"
    first.write_bytes(LINE)
    datasets.ingest(first, tmp_path / "store", name="first")
    return tmp_path / "store"


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): values.sha256_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_one_error_and_stores_nothing(case: str, tmp_path: Path, store: Path) -> None:
    name, data, code = FILES[case]
    path, before = tmp_path / name, content(store)
    path.write_bytes(data)
    with pytest.raises(BadFile) as caught:
        datasets.ingest(path, store, skip_bad=True)
    assert (caught.value.code, caught.value.details["path"]) == (code, str(path))
    assert str(path) in caught.value.message
    assert content(store) == before


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_cannot_be_read_is_named_and_nothing_is_stored(case: str, tmp_path: Path, store: Path) -> None:
    name, data, number, code, field = LINES[case]
    path, before = tmp_path / name, content(store)
    path.write_bytes(data)
    with pytest.raises(Refused) as caught:
        datasets.ingest(path, store)
    (found,) = caught.value.details["rejected"]
    assert (found["line"], found["code"], found["field"]) == (number, code, field)
    assert str(path) in caught.value.message
    assert f"line {number}: {code}: {found['message']}" in caught.value.message
    assert 10 < len(found["message"]) < 400
    assert content(store) == before


def test_files_that_are_in_order_are_stored(tmp_path: Path, store: Path) -> None:
    """The negative control of every case above."""
    whole = {"x.jsonl": LINE, "y.json": b"[" + LINE + b"]", "z.csv": b"question,answer\n2?,a #### 2\n", "p.parquet": WHOLE}
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
        assert datasets.ingest(tmp_path / name, store).added == 1
        assert datasets.ingest(tmp_path / name, store)[1:3] == (0, 1)


# ── what is no file ─────────────────────────────────────────────────────────────────────────────────────────────────


def made(kind: str, path: Path) -> str | None:
    """Put something of that kind at the path; the code of the error it must give."""
    if kind == "missing":
        return None
    if kind == "folder":
        path.mkdir()
        return "is_directory"
    if kind == "pipe":
        os.mkfifo(path)
        return "not_a_file"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        return "not_a_file"
    path.symlink_to({"loop": path, "dangling link": path.with_name("none"), "device": Path("/dev/zero")}[kind])
    return {"loop": "unreadable", "dangling link": None, "device": "not_a_file"}[kind]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "socket", "loop", "dangling link", "device"])
def test_what_is_no_file_is_refused_at_once(kind: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)  # a socket's path must be short
    path, before = Path("x.jsonl"), content(store)
    code = made(kind, path)
    with pytest.raises(BadFile if code else errors.NotFound, match=r"'x\.jsonl'") as caught:
        datasets.ingest(path, store)
    assert caught.value.code == (code or errors.NotFound.code)
    assert content(store) == before


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux: its first byte cannot be read")
def test_a_file_that_the_system_will_not_read_is_refused(store: Path) -> None:
    with pytest.raises(BadFile, match=r"cannot read '/proc/self/mem': .+") as caught:
        datasets.ingest(Path("/proc/self/mem"), store)
    assert caught.value.code == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINE)
    path.chmod(0)
    with pytest.raises(BadFile, match="Permission denied"):
        datasets.ingest(path, store)


def test_a_name_that_no_file_can_have_is_refused(store: Path) -> None:
    with pytest.raises(BadFile, match="cannot read"):
        datasets.ingest(Path("a\x00b"), store)


# ── as a person runs it ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("case", "options"), [("cut off", []), ("cut off", ["--json"]), ("UTF-16 with its mark", ["--json"]), ("pipe", [])]
)
def test_the_command_exits_with_1_and_says_what_is_wrong(case: str, options: list[str], tmp_path: Path) -> None:
    known = {name: (row[0], row[1], row[-2]) for name, row in LINES.items()} | FILES
    name, data, code = known.get(case, ("x.jsonl", b"", "not_a_file"))
    path = tmp_path / name
    os.mkfifo(path) if case == "pipe" else path.write_bytes(data)
    command = [Path(sys.executable).parent / "tunix-rt", "data", "ingest", path, *options]
    environment = {**os.environ, "TUNIX_RT_HOME": str(tmp_path / "home"), "COLUMNS": "400"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if options:
        told = json.loads(done.stdout)
        assert code in {told["error"]["code"], *(found["code"] for found in told.get("rejected", []))}
    assert str(path) in (done.stdout if options else done.stderr)
    assert not list((tmp_path / "home").rglob("*.jsonl"))


# ── the quick way of reading a line ─────────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from([":", '":', "a:b", "\\", "\\u003a", "\x00", "{["])
scalars = st.none() | st.booleans() | st.integers() | st.integers(2**62, 2**70) | st.floats() | texts


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """JSON text, often with a key twice, in several ways of writing it."""

    def written(depth: int) -> str:
        kind = draw(st.integers(0, 3 if depth < 3 else 1))
        if kind < 2:
            text = json.dumps(draw(scalars), ensure_ascii=draw(st.booleans()))
            return text.replace(":", "\\u003a") if draw(st.booleans()) else text
        inner = [written(depth + 1) for _ in range(draw(st.integers(0, 3)))]
        if kind == 2:
            return f"[{', '.join(inner)}]"
        keys = [draw(texts | st.sampled_from("ab")) for _ in inner]
        pairs = (f"{json.dumps(key, ensure_ascii=draw(st.booleans()))} : {each}" for key, each in zip(keys, inner, strict=True))
        return f"{{{', '.join(pairs)}}}"

    return written(0).encode()


@given(lines())
def test_the_quick_way_gives_what_the_strict_way_gives_or_nothing(data: bytes) -> None:
    quick = strict.quick(data)
    if quick is not None:
        assert repr(quick) == repr(strict.loads(data.decode()))


@pytest.mark.parametrize(
    "data", [b'{"a": 1, "a": 1}', b'{"a": NaN}', b'{"a": 123456789012345678901}', b"[" * 65 + b"]" * 65, b"{"]
)
def test_the_quick_way_leaves_what_it_cannot_judge(data: bytes) -> None:
    assert strict.quick(data) is None


def test_the_quick_way_is_taken_for_an_ordinary_line() -> None:
    escaped = {"prompt": "Ünïcode: 🎉", "meta": {"a\n": "\t"}}
    assert strict.quick(json.dumps(escaped).encode()) == escaped
    assert strict.quick(LINE) == GOOD
    assert strict.loads(LINE.decode()) == GOOD
    with pytest.raises(BadRow):
        strict.loads("{")
