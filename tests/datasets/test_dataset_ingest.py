"""Files as people have them: what is stored, once; what is refused, by line and code; what is never left behind."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import checking, datasets, errors, traces, values
from tunix_rt.datasets import Ingested, Manifest, Refused
from tunix_rt.formats import BadFile, containers
from tunix_rt.settings import Settings

GOOD = {"prompt": "2+3?", "steps": [{"i": 1, "type": "compute", "content": "2 + 3 = 5"}], "final_answer": "5"}
LINE = json.dumps(GOOD).encode()


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def put(tmp_path: Path, *lines: bytes, name: str = "Some Data.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def ingest(path: Path, home: Settings, **options: Any) -> Ingested:
    return datasets.ingest(path, home.datasets, **options)


def left(home: Settings) -> list[str]:
    return sorted(str(path.relative_to(home.datasets)) for path in home.datasets.rglob("*")) if home.datasets.exists() else []


def test_a_file_becomes_a_dataset(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, b"", line(prompt="3+4?"))
    made = ingest(path, home)
    assert (made.added, made.duplicates, made.rejected) == (2, 0, ())
    found = datasets.find(home, "some-data")
    assert found.manifest == made.manifest
    rows = list(traces.read(found.path))
    assert [row.meta["source"]["line"] for row in rows] == [1, 3]
    assert found.manifest.merkle_root == values.merkle_root(row.id for row in rows)
    source = found.manifest.source
    assert source is not None
    assert (source.file, source.sha256, source.format, source.rows) == (path.name, values.sha256_file(path), "tunix-rt", 2)
    assert str(tmp_path) not in (home.datasets / "some-data" / "manifest.json").read_text()
    assert left(home) == [
        "some-data",
        *(f"some-data/{name}" for name in ("README.md", "croissant.json", "dataset.jsonl", "manifest.json")),
    ]


def test_the_same_file_again_changes_nothing(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, line(prompt="3+4?"))
    first = ingest(path, home)
    before = {path: path.stat().st_mtime_ns for path in home.datasets.rglob("*.json*")}
    again = ingest(path, home)
    assert (again.added, again.duplicates, again.manifest) == (0, 2, first.manifest)
    assert {path: path.stat().st_mtime_ns for path in home.datasets.rglob("*.json*")} == before


def test_other_content_under_the_name_is_refused(tmp_path: Path, home: Settings) -> None:
    ingest(put(tmp_path, LINE), home, name="x")
    before = (home.datasets / "x" / "dataset.jsonl").read_bytes()
    with pytest.raises(errors.Conflict, match="other content"):
        ingest(put(tmp_path, line(prompt="3+4?")), home, name="x")
    assert (home.datasets / "x" / "dataset.jsonl").read_bytes() == before


def test_duplicates_are_counted_and_stored_once(tmp_path: Path, home: Settings) -> None:
    made = ingest(put(tmp_path, LINE, line(meta={"a": 1}), LINE, line(final_answer="six")), home)
    assert (made.added, made.duplicates, made.manifest.count) == (2, 2, 2)


def test_one_bad_line_stores_nothing_and_every_bad_line_is_listed(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, b"{", LINE, line(final_answer=""))
    with pytest.raises(Refused) as caught:
        ingest(path, home)
    told = caught.value.as_dict()
    assert [(row["line"], row["code"], row["field"]) for row in told["rejected"]] == [
        (2, "bad_json", None),
        (4, "blank", "final_answer"),
    ]
    assert (told["added"], told["by_code"]) == (0, {"bad_json": 1, "blank": 1})
    assert all(f"line {row['line']}: {row['code']}: {row['message']}" in caught.value.message for row in told["rejected"])
    assert left(home) == []


def test_bad_lines_can_be_left_out_and_written_down(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, b'{"prompt": "\xff"}', line(final_answer=""))
    made = ingest(path, home, skip_bad=True, rejects=tmp_path / "rejects.jsonl")
    assert (made.added, made.rejected_count) == (1, 2)
    rows = [row for _, row in values.read_jsonl(tmp_path / "rejects.jsonl")]
    assert [(row["line"], row["code"], row["raw"]) for row in rows] == [
        (2, "not_utf8", '{"prompt": "\\xff"}'),
        (3, "blank", line(final_answer="").decode()),
    ]
    source = made.manifest.source
    assert source is not None
    assert (source.rows, source.added, source.rejected) == (3, 1, 2)


def test_rejects_are_written_even_when_nothing_is_stored(tmp_path: Path, home: Settings) -> None:
    with pytest.raises(Refused):
        ingest(put(tmp_path, LINE, b"{"), home, rejects=tmp_path / "rejects.jsonl")
    assert [row["line"] for _, row in values.read_jsonl(tmp_path / "rejects.jsonl")] == [2]


def test_rejects_never_overwrite_the_file_itself(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE)
    with pytest.raises(errors.Invalid, match="itself"):
        ingest(path, home, rejects=path)
    assert path.read_bytes() == LINE + b"\n"


def test_only_bad_lines_make_no_dataset_even_when_skipped(tmp_path: Path, home: Settings) -> None:
    with pytest.raises(Refused, match="no other line is left"):
        ingest(put(tmp_path, b"{", b"[]"), home, skip_bad=True)
    assert left(home) == []


def test_another_process_makes_the_same_bytes(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, line(prompt="3+4?", meta={"b": 1, "a": [2]}))
    ingest(path, home, name="x")
    program = (
        "import sys, pathlib\nfrom tunix_rt import datasets\n"
        "datasets.ingest(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), name='x')"
    )
    environ = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program, path, tmp_path / "other"], env=environ, check=True)
    for name in ("dataset.jsonl", "manifest.json"):
        assert (tmp_path / "other" / "x" / name).read_bytes() == (home.datasets / "x" / name).read_bytes()


def test_a_bad_name_is_refused(tmp_path: Path, home: Settings) -> None:
    for name in ("", "../x", "X", "a/b", "a" * 65):
        with pytest.raises(errors.Invalid, match="cannot name a dataset"):
            ingest(put(tmp_path, LINE), home, name=name)
    with pytest.raises(errors.NotFound, match="Did you mean 'gsm8k'"):
        ingest(put(tmp_path, LINE), home, format="gsm8")


def test_a_manifest_has_one_origin(tmp_path: Path, home: Settings) -> None:
    made = ingest(put(tmp_path, LINE), home).manifest.model_dump(mode="json", exclude_none=True)
    built = datasets.build(datasets.recipe("tiny-sums"), tmp_path / "sums").model_dump(mode="json", exclude_none=True)
    for data in ({**made, "recipe": built["recipe"]}, {key: value for key, value in made.items() if key != "source"}):
        with pytest.raises(errors.Invalid, match="either from a recipe or from a source"):
            Manifest.parse(data, source="x")
    assert Manifest.parse(made, source="x").source


def test_manifests_of_recipes_keep_their_digests(tmp_path: Path) -> None:
    made = datasets.build(datasets.recipe("dev-reasoning-v2"), tmp_path / "v2")
    assert made.digest.startswith("bcb4806202ce")
    assert values.sha256_file(tmp_path / "v2" / "manifest.json").startswith("9065da180a99")
    assert datasets.check(datasets.recipe("dev-reasoning-v2"), tmp_path / "v2") == []


RIGHT, WRONG = line(), line(steps=[{"i": 1, "type": "compute", "content": "2 + 3 = 6"}], final_answer="6")
UNFAITHFUL = line(final_answer="7")


def test_wrong_traces_are_bad_lines_when_the_checker_is_asked(tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, RIGHT, WRONG, UNFAITHFUL)
    with pytest.raises(Refused) as caught:
        ingest(path, home, check=True)
    assert [(row["line"], row["code"], row["field"], row["message"]) for row in caught.value.as_dict()["rejected"]] == [
        (2, "wrong_step", "steps.0.content", "step 1 says '6', but '5' is right (arithmetic)."),
        (3, "wrong_answer", "final_answer", "the answer is '7', but the steps reach '5'."),
    ]
    assert left(home) == []
    assert ingest(path, home, name="unchecked").added == 3  # negative control: without the checker all are stored


def test_verdicts_are_counted_and_not_stored_with_the_traces(tmp_path: Path, home: Settings) -> None:
    path, rejects = put(tmp_path, RIGHT, WRONG, UNFAITHFUL, b"{"), tmp_path / "rejects.jsonl"
    made = ingest(path, home, check=True, skip_bad=True, rejects=rejects)
    assert made.by_code == {"bad_json": 1, "wrong_answer": 1, "wrong_step": 1}
    source = made.manifest.source
    assert source is not None
    assert source.check is not None
    assert (source.check.traces, source.check.wrong_steps, source.check.wrong_answers, source.check.step_accuracy) == (
        3,
        1,
        1,
        2 / 3,
    )
    row = next(traces.read(home.datasets / "some-data" / "dataset.jsonl"))
    assert set(row.meta) == {"source"}
    raw = [json.loads(row["raw"])["final_answer"] for _, row in values.read_jsonl(rejects) if row["code"] != "bad_json"]
    assert raw == ["6", "7"]


def test_the_name_of_a_built_in_recipe_is_refused(tmp_path: Path, home: Settings) -> None:
    with pytest.raises(errors.Conflict, match="built-in recipe"):
        ingest(put(tmp_path, LINE), home, name="dev-reasoning-v2")


# ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl", LINE),
        ("x.jsonl", b"\xef\xbb\xbf" + LINE + b"\r\n"),
        ("x.txt", b"\n\n" + LINE),
        ("x.json", b"\xef\xbb\xbf [" + LINE + b"]"),
        ("x.json", LINE + b"\n"),
        ("x.json", json.dumps(GOOD, indent=2).encode()),
        ("x.json", json.dumps({"version": 2, "eval": {}, "samples": [GOOD]}, indent=2).encode()),
        ("x.csv", b"\xef\xbb\xbfquestion,reasoning,answer\n2+3?,2 + 3 = 5,5\n"),
        ("x.CSV", b'prompt,steps,final_answer\r\n2+3?,"[{""i"":1,""type"":""compute"",""content"":""2 + 3 = 5""}]",5\r\n'),
    ],
)
def test_a_container_is_recognised(name: str, data: bytes, tmp_path: Path, home: Settings) -> None:
    (tmp_path / name).write_bytes(data)
    made = ingest(tmp_path / name, home)
    row = next(traces.read(home.datasets / "x" / "dataset.jsonl"))
    assert (row.prompt, row.steps[0].content, row.final_answer) == ("2+3?", "2 + 3 = 5", "5")
    assert made.manifest.source is not None
    assert made.manifest.source.sha256 == values.sha256_file(tmp_path / name)


def test_gsm8k_rows_can_be_checked(tmp_path: Path, home: Settings) -> None:
    row = {"question": "?", "answer": "It is <<2+3=5>>5.\nTwice is <<5*2=11>>11.\n#### 11"}
    made = ingest(put(tmp_path, json.dumps(row).encode()), home)
    found = checking.summarise(checking.check(trace) for trace in traces.read(home.datasets / "some-data" / "dataset.jsonl"))
    assert (made.manifest.statistics.claims, found.coverage, found.wrong_traces) == (2, 1.0, 1)


def test_a_full_line_at_the_limit_is_read_and_one_more_is_not(tmp_path: Path, home: Settings) -> None:
    room = containers.LONGEST_LINE - len(line(meta={"x": ""}))
    assert ingest(put(tmp_path, line(meta={"x": "a" * room}), LINE), home, name="a").added == 1
    made = ingest(put(tmp_path, line(meta={"x": "a" * (room + 1)}), LINE), home, name="b", skip_bad=True)
    assert [(found.line, found.code) for found in made.rejected] == [(1, "line_too_long")]


# ── what is wrong with files ────────────────────────────────────────────────────────────────────────────────────────

DEEP = b'{"a":' * 70 + b"1" + b"}" * 70
ABYSS = b"[" * 200_000
BAD_LINES: list[tuple[bytes, str]] = [
    (b"{", "bad_json"),
    (b"nonsense", "bad_json"),
    (LINE[:-10], "bad_json"),
    (LINE + b",", "bad_json"),
    (LINE + LINE, "bad_json"),
    (LINE.replace(b'"', b"'"), "bad_json"),
    (LINE[:-1] + b",}", "bad_json"),
    (b"// note", "bad_json"),
    (b'{"a": 01}', "bad_json"),
    (b'{"a": "\t"}', "bad_json"),
    ("{“prompt”: 1}".encode(), "bad_json"),
    (b"prompt,answer", "bad_json"),
    (b"[]", "not_object"),
    (b"[1, 2]", "not_object"),
    (b"3", "not_object"),
    (b"null", "not_object"),
    (b'"text"', "not_object"),
    (b"{}", "missing_field"),
    (b'{"a": 1}', "unknown_field"),
    (b'{"prompt": "x"}', "missing_field"),
    (b'{"prompt": "x", "prompt": "y"}', "duplicate_key"),
    (LINE[:-1] + b', "final_answer": "6"}', "duplicate_key"),
    (line()[:-1] + b', "meta": {"a": 1, "a": 2}}', "duplicate_key"),
    (b'{"a": NaN}', "not_finite"),
    (b'{"a": -Infinity}', "not_finite"),
    (b'{"a": 1e999}', "not_finite"),
    (b'{"a": ' + b"9" * 5_000 + b"}", "bad_number"),
    (DEEP, "too_deep"),
    (ABYSS, "too_deep"),
    (b'{"a":' * 200_000, "too_deep"),
    (line(meta={"a": "\x00"}), "nul"),
    (line(prompt="a\x00b"), "nul"),
    (b'{"a": "\x00"}', "nul"),
    (LINE[:-1] + b', "meta": {"a": "\\ud800"}}', "lone_surrogate"),
    (LINE[:-1] + b', "meta": {"\\udfff": 1}}', "lone_surrogate"),
    (LINE.replace(b"2+3?", b"\xe9t\xe9"), "not_utf8"),
    (b"\x80\x81\x82", "not_utf8"),
    (b"x" * (containers.LONGEST_LINE + 1), "line_too_long"),
    (b'{"trace_version": "1.0"}', "missing_field"),
    (line(prompt=""), "blank"),
    (line(prompt=" \u3000\n"), "blank"),
    (line(prompt=5), "wrong_type"),
    (line(prompt=None), "wrong_type"),
    (line(final_answer="x" * 50_001), "too_long"),
    (line(steps=[]), "no_steps"),
    (line(steps="[]"), "no_steps"),
    (line(steps={"a": 1}), "wrong_type"),
    (line(steps=[1]), "wrong_type"),
    (line(steps=[{"i": 1, "type": "t", "content": "x"}] * 2), "bad_steps"),
    (line(steps=[{"i": 1, "type": "t", "content": "x" * 20_001}]), "too_long"),
    (line(steps=[{"i": i, "type": "t", "content": "x"} for i in range(1, 1_002)]), "too_many_steps"),
    (line(steps=[{"i": 1, "type": "", "content": "x"}]), "blank"),
    (line(steps=[{"i": 1, "type": "t", "content": "x", "by": "me"}]), "unknown_field"),
    (line(steps=[{"i": 1, "type": "t", "content": "x", "claims": [{"op": "add"}]}]), "missing_field"),
    (line(answer="5"), "unknown_field"),
    (line(meta=[]), "wrong_type"),
    (line(trace_version="2.0"), "bad_value"),
]


@pytest.mark.parametrize(("bad", "code"), BAD_LINES, ids=[f"{at}-{code}" for at, (_, code) in enumerate(BAD_LINES)])
def test_a_bad_line_is_named_and_nothing_is_stored(bad: bytes, code: str, tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, LINE, bad)
    with pytest.raises(Refused) as caught:
        ingest(path, home)
    (found,) = caught.value.as_dict()["rejected"]
    assert (found["line"], found["code"]) == (2, code)
    assert 10 < len(found["message"]) < 400
    assert left(home) == []
    assert ingest(put(tmp_path, LINE), home).added == 1  # negative control: the same file without that line


@pytest.mark.parametrize("row", [b"{}", b'{"a": 1}', b'{"prompt": "x"}'])
def test_a_row_that_no_format_knows_says_so(row: bytes, tmp_path: Path, home: Settings) -> None:
    with pytest.raises(Refused, match="no format knows a row with the keys"):
        ingest(put(tmp_path, row, LINE), home)
    assert ingest(put(tmp_path, row, LINE), home, skip_bad=True).added == 1


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("x.jsonl", b"", "empty_file"),
    ("x.jsonl", b"\n \n\t\n", "empty_file"),
    ("x.jsonl", b"\xef\xbb\xbf", "empty_file"),
    ("x.jsonl", LINE.decode().encode("utf-16"), "wrong_encoding"),
    ("x.jsonl", b"\xfe\xff" + LINE.decode().encode("utf-16-be"), "wrong_encoding"),
    ("x.jsonl", b"\x1f\x8b\x08" + LINE, "compressed"),
    ("x.zip", b"PK\x03\x04" + LINE, "compressed"),
    ("x.jsonl.zst", b"\x28\xb5\x2f\xfd" + LINE, "compressed"),
    ("x.json", b"[" + LINE, "bad_json"),
    ("x.json", b"[]", "empty_file"),
    ("x.json", b'[{"a": "\xff"}]', "not_utf8"),
    ("x.json", ABYSS, "too_deep"),
    ("x.csv", b"", "empty_file"),
    ("x.csv", b"question,answer\n", "empty_file"),
    ("x.csv", b"question,question\na,b\n", "duplicate_key"),
    ("x.csv", b"question,answer\n\xff,b\n", "not_utf8"),
    ("x.csv", b"question,answer\n" + b"x" * (containers.LONGEST_LINE + 1), "line_too_long"),
    ("x.parquet", LINE, "bad_parquet"),
    ("x.parquet", b"PAR1" + LINE + b"PAR1", "bad_parquet"),
]


@pytest.mark.parametrize(("name", "data", "code"), BAD_FILES)
def test_a_bad_file_is_named_and_nothing_is_stored(name: str, data: bytes, code: str, tmp_path: Path, home: Settings) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadFile) as caught:
        ingest(path, home, skip_bad=True)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert left(home) == []


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, home: Settings) -> None:
    with pytest.raises(errors.NotFound, match="no file"):
        ingest(tmp_path / "none.jsonl", home)
    with pytest.raises(BadFile, match="is a folder") as caught:
        ingest(tmp_path, home)
    assert caught.value.code == "is_directory"
    assert left(home) == []


@pytest.mark.parametrize(
    ("record", "code"), [("a,b,c", "bad_csv"), ('"a"b,c', "bad_csv"), ("a\x00,b", "nul"), ("a,", "missing_field")]
)
def test_a_bad_csv_record_is_named_by_line(record: str, code: str, tmp_path: Path, home: Settings) -> None:
    path = put(tmp_path, b"question,answer", b"2?,It is\x20two", record.encode(), name="x.csv")
    with pytest.raises(Refused) as caught:
        ingest(path, home)
    found = caught.value.as_dict()["rejected"][0]
    assert (found["line"], found["code"]) == (3, code)
    assert ingest(put(tmp_path, b"question,answer", b"2?,It is two", name="x.csv"), home).added == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure the peak of one process")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    program = """
import pathlib, re, sys
from tunix_rt import datasets
datasets.ingest(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), name="x")
print(re.search(r"VmHWM:\\s+([0-9]+) kB", pathlib.Path("/proc/self/status").read_text())[1])
"""
    peaks = []
    for size in (100, 6_000):
        path = put(tmp_path, *(line(prompt=f"{i} " + "x" * 4_000) for i in range(size)), name=f"{size}.jsonl")
        done = subprocess.run([sys.executable, "-c", program, path, tmp_path / str(size)], capture_output=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 12_000  # kilobytes; the second file is 24 MB larger


def test_a_damaged_parquet_file_is_refused_or_read_and_never_crashes(tmp_path: Path, home: Settings) -> None:
    datasets.build(datasets.recipe("tiny-sums"), home.datasets / "tiny-sums")
    datasets.export(datasets.find(home, "tiny-sums"), "hf-parquet", tmp_path / "out")
    whole = (tmp_path / "out" / "data" / "train-00000-of-00001.parquet").read_bytes()
    rng, outcomes, path = random.Random(3), set(), tmp_path / "x.parquet"
    for at in range(150):
        data = bytearray(whole)
        data[rng.randrange(4, len(data))] ^= rng.randrange(1, 256)
        path.write_bytes(bytes(data) if at % 5 else whole[: rng.randrange(4, len(whole))])
        try:
            ingest(path, home, name=f"x{at}", skip_bad=True)
            outcomes.add("read")
        except errors.Invalid as error:
            outcomes.add(error.code)
            assert not (home.datasets / f"x{at}").exists()
    assert "bad_parquet" in outcomes
    path.write_bytes(whole)
    assert ingest(path, home, name="whole").added == 64
