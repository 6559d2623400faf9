"""What one file holds: rows of a line, of a document, of a log inside a document."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunix_rt.formats import Bad, Reader

USER = {"role": "user", "content": "2+3?"}
SAID = {"role": "assistant", "content": "add\n#### 5"}
OWN = {"prompt": "2+3?", "steps": [{"i": 1, "type": "add", "content": "add"}], "final_answer": "5"}
SAMPLE = {"input": "2+3?", "target": "5", "epoch": 1, "messages": [USER, SAID], "output": {}}
LOG = {"version": 2, "eval": {"task": "t"}, "samples": [SAMPLE, SAMPLE]}
PAGE = {"data": [{"traceId": "t", "type": "GENERATION", "input": [USER], "output": SAID}], "meta": {"page": 1}}


def _span(said: str) -> dict[str, Any]:
    messages = {"gen_ai.input.messages": ("user", "2+3?"), "gen_ai.output.messages": ("assistant", said)}
    attributes = [
        {"key": key, "value": {"stringValue": json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])}}
        for key, (role, text) in messages.items()
    ]
    return {"name": "chat", "attributes": attributes}


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


SPANS = otlp(_span("add\n#### 5"), _span("add\n#### 5"))


@pytest.mark.parametrize(
    ("name", "text", "form", "lines"),
    [
        ("log.json", json.dumps(LOG, indent=2), "inspect", [1, 2]),
        ("log.json", json.dumps(LOG), "inspect", [1, 2]),
        ("log.json", "\n" + json.dumps(LOG) + "\n\n", "inspect", [1, 2]),
        ("page.json", json.dumps(PAGE), "langfuse", [1]),
        ("one.json", json.dumps(OWN), "tunix-rt", [1]),
        ("rows.json", f"{json.dumps(OWN)}\n\n{json.dumps(OWN)}\n", "tunix-rt", [1, 3]),
        ("list.json", json.dumps([OWN, OWN]), "tunix-rt", [1, 2]),
        ("spans.jsonl", f"{json.dumps(SPANS)}\n{json.dumps(SPANS)}\n", "otel-genai", [1, 1, 2, 2]),
        ("spans.json", json.dumps(SPANS, indent=1), "otel-genai", [1, 1]),
    ],
)
def test_every_row_of_a_file_is_found(name: str, text: str, form: str, lines: list[int], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    reader = Reader(tmp_path / name)
    found = [each for each in reader if not isinstance(each, Bad)]
    assert [line for line, _ in found] == lines
    assert {(trace.prompt, trace.steps[0].content, trace.final_answer) for _, trace in found} == {("2+3?", "add", "5")}
    assert reader.format is not None
    assert reader.format.name == form


def test_spans_that_are_no_model_call_are_refused_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(otlp(_span("add\n#### 5"), {"name": "http", "attributes": []})) + "\n")
    good, bad = Reader(tmp_path / "x.jsonl")
    assert not isinstance(good, Bad)
    assert isinstance(bad, Bad)
    assert (bad.line, bad.code) == (1, "wrong_type")
