"""The trace line: strict form, exact text, stable ids."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import errors, traces
from tunix_rt.traces import Trace
from tunix_rt.values import jsonl_line

LINE: dict[str, Any] = {
    "trace_version": "1.0",
    "prompt": "What is 3 * 4?",
    "steps": [{"i": 1, "type": "compute", "content": "3 * 4 = 12", "claims": [{"op": "mul", "args": [3, 4], "result": 12}]}],
    "final_answer": "12",
    "meta": {"task": "arithmetic"},
}


def parse(**changes: Any) -> Trace:
    return Trace.parse(LINE | changes, source="here")


def test_line_round_trips() -> None:
    assert parse().line() == LINE


def test_line_of_a_trace_without_claims_or_meta() -> None:
    bare = LINE | {"meta": {}, "steps": [{"i": 1, "type": "compute", "content": "3 * 4 = 12"}]}
    assert Trace.parse(bare, source="here").line() == bare


def test_ids_are_pinned() -> None:
    assert parse().id == "515e2cf72b6d2f3fa7f495b43d09aa0977b23f0d4a9a2fd2eea729da7406698b"


def test_id_follows_the_content() -> None:
    assert parse(final_answer="13").id != parse().id
    assert parse().model_copy(update={"final_answer": "13"}).id == parse(final_answer="13").id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"promt": "x"}, "unknown key 'promt'. Did you mean 'prompt'?"),
        ({"prompt": "  \n"}, "must not be blank"),
        ({"final_answer": "a\x00b"}, "must not contain NUL"),
        ({"prompt": "x" * 50_001}, "at most 50000 characters"),
        ({"steps": []}, "at least 1 item"),
        ({"steps": [{"i": 2, "type": "compute", "content": "x"}]}, "step 1 has i=2; steps are numbered 1, 2, 3 without gaps"),
        ({"steps": [{"i": 1, "type": "t" * 65, "content": "x"}]}, "at most 64 characters"),
        ({"trace_version": "2.0"}, "'trace_version' is '2.0'"),
        ({"meta": []}, "valid dictionary"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        parse(**changes)
    assert caught.value.message.startswith("here")
    assert message in caught.value.message


def test_reading_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"final_answer": ""}) + "\n")
    with pytest.raises(errors.Invalid, match=r"t\.jsonl, line 2: 'final_answer'"):
        list(traces.read(path))


def test_traces_before_a_bad_line_are_read_first(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(LINE) + "\n{\n")
    rows = traces.read(path)
    assert next(rows) == parse()
    with pytest.raises(errors.Invalid, match=r"t\.jsonl, line 2: not JSON"):
        next(rows)


def test_text_is_kept_exactly(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    odd = LINE | {"prompt": " \t“Ünïcode”\u2028 \n"}
    path.write_text(json.dumps(odd, ensure_ascii=False) + "\n", encoding="utf-8")
    assert next(traces.read(path)).prompt == odd["prompt"]


OPERANDS = st.one_of(st.integers(-(10**30), 10**30), st.text(max_size=8), st.booleans(), st.lists(st.integers(), max_size=3))
CLAIMS = st.fixed_dictionaries({"op": st.text(max_size=4), "args": st.lists(OPERANDS, max_size=3), "result": OPERANDS})
SAID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20).filter(str.strip)
STEPS = st.fixed_dictionaries({"type": SAID, "content": SAID}, optional={"claims": st.lists(CLAIMS, max_size=2)})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SAID,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SAID, inner, max_size=3),
    max_leaves=6,
)
TRACES = st.builds(
    lambda prompt, steps, answer, meta: Trace.model_validate(
        {
            "prompt": prompt,
            "steps": [{"i": i, **step} for i, step in enumerate(steps, 1)],
            "final_answer": answer,
            "meta": meta,
        }
    ),
    SAID,
    st.lists(STEPS, min_size=1, max_size=3),
    SAID,
    st.dictionaries(SAID, JSON, max_size=3),
)


@given(TRACES)
def test_a_line_is_what_the_model_says_of_itself(trace: Trace) -> None:
    body = trace.model_dump(mode="json", exclude_defaults=True)
    assert json.dumps(trace.line()) == json.dumps({"trace_version": "1.0", **body, "meta": trace.meta})
    assert trace.id == traces.id_of(trace.line())


@given(TRACES)
def test_all_forms_at_once_are_those_that_are_made_one_by_one(trace: Trace) -> None:
    line = trace.line()
    assert traces.forms(line) == (traces.id_of(line), traces.content_of(line), jsonl_line(line))
