"""Ids follow content alone, files are whole or absent, and a mistake names what to mend."""

import datetime
import gc
import json
import math
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from tunix_rt import errors, jobs, values
from tunix_rt.traces import Trace
from tunix_rt.values import Value

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


class Inner(Value):
    size: int = 1
    kind: Literal["a"] = "a"


class Outer(Value):
    name: str
    inner: Inner = Inner()
    many: dict[str, Inner] = Field(default_factory=dict)


@given(st.dictionaries(st.text(), json_values))
def test_canonical_json_ignores_the_order_of_keys(data: dict[str, Any]) -> None:
    assert values.canonical(data) == values.canonical(dict(reversed(data.items())))


any_text = st.text(st.characters())  # lone surrogates and control characters included
json_with_floats = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**40), 10**40) | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(any_text, inner),
)


def outcome(encode: Callable[[], bytes]) -> bytes | type[Exception]:
    try:
        return encode()
    except (ValueError, TypeError) as error:
        return type(error)


def standard(data: Any, **how: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False, **how).encode()


@given(st.dictionaries(any_text, json_with_floats))
def test_json_is_the_standard_librarys(data: dict[str, Any]) -> None:
    """`evidence/standalone.py` makes the same bytes with the standard library only."""
    assert outcome(lambda: values.canonical(data)) == outcome(lambda: standard(data, sort_keys=True))
    assert outcome(lambda: values.jsonl_line(data)) == outcome(lambda: standard(data) + b"\n")


@given(st.dictionaries(any_text, json_values))
def test_json_without_floats_is_the_standard_librarys(data: dict[str, Any]) -> None:
    assert outcome(lambda: values.canonical_exact(data)) == outcome(lambda: standard(data, sort_keys=True))
    assert outcome(lambda: values.jsonl_line_exact(data)) == outcome(lambda: standard(data) + b"\n")


@pytest.mark.parametrize("number", [1e16, 1e-5, 1e-7, 1.5, -0.0, 2.0**70, 5e-324, 1 << 63, 1 << 64, 10**30, -(10**30)])
def test_numbers_are_written_as_the_standard_library_does(number: float) -> None:
    assert values.canonical([number, {"a": number}]) == standard([number, {"a": number}])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(number: float) -> None:
    for encode in (values.canonical, values.jsonl_line):
        with pytest.raises(ValueError, match="not JSON compliant"):
            encode({"a": [number]})


@pytest.mark.parametrize("other", [datetime.date(2026, 1, 1), uuid.UUID(int=1), Path("x"), b"x", {1, 2}])
def test_what_json_has_no_form_for_is_refused(other: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        values.canonical({"a": other})


def test_published_ids_stay() -> None:
    trace = Trace(prompt="2 + 2?", steps=[{"i": 1, "type": "compute", "content": "2 + 2 = 4"}], final_answer="4")  # type: ignore[arg-type]
    assert trace.id == "51180d213480d6920146f38af1047ecf3af3693f8a4c1611a9008ee613770194"
    config = jobs.TrainConfig(name="x", model="tiny")
    assert config.digest == "47c59a42a710d4b253994278c582cea35b3ba99f3f25983b18b72b17624e74a6"
    assert config.model_copy(update={"seed": 42}).digest == config.digest
    assert config.model_copy(update={"seed": 43}).digest != config.digest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "innr": {}}, "unknown key 'innr'. Did you mean 'inner'?"),
        ({"name": "x", "inner": {"sise": 2}}, "unknown key 'inner.sise'. Did you mean 'size'?"),
        ({"name": "x", "many": {"k": {"sise": 2}}}, "unknown key 'many.k.sise'. Did you mean 'size'?"),
        ({}, "'name' is missing."),
        ({"name": "x", "inner": {"size": "big"}}, "'inner.size' is 'big'"),
    ],
)
def test_a_mistake_names_source_field_and_value(data: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        Outer.parse(data, source="file.toml")
    assert caught.value.message.startswith("file.toml: ")
    assert message in caught.value.message


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "file.json"

    def rows() -> Any:
        yield {"a": 1}
        raise KeyError("torn")

    with pytest.raises(KeyError):
        values.write_jsonl(target, rows())
    assert list(tmp_path.rglob("*.json*")) == []
    values.write_jsonl(target, [{"a": 1}])
    with pytest.raises(KeyError):
        values.write_jsonl(target, rows())
    assert [row for _, row in values.read_jsonl(target)] == [{"a": 1}]
    assert [path.name for path in target.parent.iterdir()] == ["file.json"]


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=20), st.data())
def test_any_changed_leaf_changes_the_merkle_root(leaves: list[bytes], data: st.DataObject) -> None:
    hashes = [values.sha256(leaf) for leaf in leaves]
    root = values.merkle_root(hashes)
    index = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*hashes[:index], values.sha256(leaves[index] + b"x"), *hashes[index + 1 :]]
    assert values.merkle_root(changed) != root
    assert values.merkle_root([*hashes, hashes[-1]]) != root


@settings(deadline=None)  # every example waits for the disk
@given(st.lists(st.dictionaries(st.text(), json_values), max_size=5))
def test_jsonl_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    values.write_jsonl(path, rows)
    assert [row for _, row in values.read_jsonl(path)] == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": \xff}\n', r"rows\.jsonl: not UTF-8 text \(byte 15\)"),
        (b'{"a": 1}\r\n\xe2\x82\n', r"rows\.jsonl: not UTF-8 text \(byte 10\)"),
        (b'{"a": 1}\n\n{"a": ', r"rows\.jsonl, line 3: not JSON \(Expecting value\)"),
        (b'\xef\xbb\xbf{"a": 1}', r"rows\.jsonl, line 1: not JSON \(Unexpected UTF-8 BOM"),
        (b'{"a": 1}\n[2]\n', r"rows\.jsonl, line 2: expected an object, got list"),
    ],
)
def test_a_broken_line_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(errors.Invalid, match=message):
        list(values.read_jsonl(path))
    path.write_bytes(b'\n \r\n{"a": "\xe2\x80\xa8"}\r\n{"a": 2}')
    assert list(values.read_jsonl(path)) == [(3, {"a": "\u2028"}), (4, {"a": 2})]


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="no file"):
        list(values.read_jsonl(tmp_path / "none.jsonl"))
    with pytest.raises(errors.Invalid, match="cannot read"):
        list(values.read_jsonl(tmp_path))


def test_lines_are_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    values.write_jsonl(path, ({"a": "x" * 1_000} for _ in range(10_000)))
    tracemalloc.start()
    assert sum(1 for _ in values.read_jsonl(path)) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # bytes; the file has ten million


@pytest.mark.parametrize("after", [1, 9, 75_638_390_324_509, 2**70])
def test_a_place_where_no_line_begins_is_no_cursor(after: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"one\ntwo\n")
    assert [values.read_lines(path, begin, 10).lines for begin in (4, 8)] == [[b"two"], []]
    with pytest.raises(errors.Invalid, match="is no cursor"):
        values.read_lines(path, after, 10)


@pytest.mark.parametrize("running", [True, False])
def test_the_collector_goes_on_as_it_was(running: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        with pytest.raises(KeyError), values.collector_paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == running
    finally:
        (gc.enable if before else gc.disable)()
