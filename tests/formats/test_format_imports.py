"""Every import format on rows as their makers publish them: what is detected, what is read, what is kept."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tunix_rt import checking, formats
from tunix_rt.formats import BadRow, Origin
from tunix_rt.traces import Trace

OWN = {"prompt": "2+3?", "steps": [{"i": 1, "type": "compute", "content": "2 + 3 = 5"}], "final_answer": "5"}
USER = {"role": "user", "content": "2+3?"}
SAID = {"role": "assistant", "content": "add\n#### 5"}
Told = tuple[str, list[str], str]


def read(row: dict[str, Any]) -> Trace:
    form = formats.detect(row)
    assert form is not None
    return formats.to_trace(form, row, Origin("x.jsonl", 7))


def told(trace: Trace) -> Told:
    return trace.prompt, [step.content for step in trace.steps], trace.final_answer


ROWS: list[tuple[str, dict[str, Any], Told]] = [
    ("tunix-rt", {"trace_version": "1.0", **OWN, "meta": {"a": 1}}, ("2+3?", ["2 + 3 = 5"], "5")),
    ("tunix-rt", OWN, ("2+3?", ["2 + 3 = 5"], "5")),
    ("messages", {"messages": [USER, {"role": "assistant", "content": "1. add\nAnswer: 5"}]}, ("2+3?", ["add"], "5")),
    (
        "messages",
        {"messages": [USER, {"role": "assistant", "content": "5", "reasoning_content": "add"}]},
        ("2+3?", ["add"], "5"),
    ),
    ("messages", {"messages": [USER, {"role": "assistant", "content": "5", "thinking": "add"}]}, ("2+3?", ["add"], "5")),
    ("messages", {"messages": [USER, {"role": "assistant", "content": "5", "reasoning": "add"}]}, ("2+3?", ["add"], "5")),
    ("messages", {"messages": [USER, {"role": "assistant", "content": "<think>add</think>5"}]}, ("2+3?", ["add"], "5")),
    (
        "messages",
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "2+3?"}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "add"}, {"type": "text", "text": "5"}]},
            ]
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "2+3?"}, {"from": "gpt", "value": "add\n#### 5"}]},
        ("2+3?", ["add"], "5"),
    ),
    ("alpaca", {"instruction": "Add.", "input": "2, 3", "output": "add\n#### 5"}, ("Add.\n2, 3", ["add"], "5")),
    ("prompt-completion", {"prompt": "2+3?", "completion": "add\n#### 5"}, ("2+3?", ["add"], "5")),
    (
        "prompt-completion",
        {"prompt": [USER], "completion": [{"role": "assistant", "content": "add\n#### 5"}]},
        ("2+3?", ["add"], "5"),
    ),
    ("gsm8k", {"question": "2+3?", "answer": "It is <<2+3=5>>5.\n#### 5"}, ("2+3?", ["It is 5."], "5")),
    (
        "openr1-math",
        {
            "problem": "2+3?",
            "solution": "s",
            "answer": "5",
            "generations": ["<think>bad</think> 6", "<think>add</think> It is \\boxed{5}"],
            "correctness_math_verify": [False, True],
            "is_reasoning_complete": [True, True],
        },
        ("2+3?", ["add"], "5"),
    ),
    ("openr1-math", {"problem": "2+3?", "solution": "add\n\ngives 5", "answer": "5"}, ("2+3?", ["add", "gives 5"], "5")),
    ("reasoning-gym", {"question": "2+3?", "answer": "5", "metadata": {"source_dataset": "basic"}}, ("2+3?", ["5"], "5")),
    (
        "gemma",
        {"text": "<start_of_turn>user\n2+3?<end_of_turn>\n<start_of_turn>model\n1. add\nAnswer: 5<end_of_turn>\n"},
        ("2+3?", ["add"], "5"),
    ),
    (
        "atif",
        {
            "schema_version": "ATIF-v1.7",
            "agent": {"name": "a", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "2+3?"},
                {"step_id": 2, "source": "agent", "message": "5", "reasoning_content": "add"},
            ],
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "otel-genai",
        {
            "name": "chat m",
            "attributes": {
                "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "2+3?"}]}]',
                "gen_ai.output.messages": [
                    {
                        "role": "assistant",
                        "parts": [{"type": "reasoning", "content": "add"}, {"type": "text", "content": "5"}],
                        "finish_reason": "stop",
                    }
                ],
            },
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "openinference",
        {
            "attributes": {
                "openinference.span.kind": "LLM",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.contents.0.message_content.type": "text",
                "llm.input_messages.0.message.contents.0.message_content.text": "2+3?",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": "add\n#### 5",
            }
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "inspect",
        {
            "id": 1,
            "epoch": 1,
            "input": "2+3?",
            "target": "5",
            "messages": [
                {"role": "user", "content": "2+3?", "source": "input"},
                {
                    "role": "assistant",
                    "content": [{"type": "reasoning", "reasoning": "add"}, {"type": "text", "text": "5"}],
                    "source": "generate",
                },
            ],
            "output": {"model": "m", "choices": []},
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "lm-eval",
        {
            "doc_id": 0,
            "doc": {"q": "2+3?"},
            "target": "5",
            "arguments": {"gen_args_0": {"arg_0": "2+3?", "arg_1": {"until": []}}},
            "resps": [["add\n#### 5"]],
            "filtered_resps": ["5"],
        },
        ("2+3?", ["add"], "5"),
    ),
    ("columns", {"problem": "2+3?", "rationale": "add", "answer": "5"}, ("2+3?", ["add"], "5")),
    ("preference", {"prompt": "2+3?", "chosen": "add\n#### 5", "rejected": "6"}, ("2+3?", ["add"], "5")),
    ("preference", {"prompt": [USER], "chosen": [SAID], "rejected": [SAID]}, ("2+3?", ["add"], "5")),
    ("preference", {"chosen": [USER, SAID], "rejected": [USER, SAID], "score": 1}, ("2+3?", ["add"], "5")),
    ("preference", {"prompt": "2+3?", "chosen": [USER, SAID], "rejected": [], "messages": []}, ("2+3?", ["add"], "5")),
    ("preference", {"instruction": "Add.", "input": "2, 3", "chosen": "5", "rejected": "6"}, ("Add.\n2, 3", ["5"], "5")),
    (
        "preference",
        {
            "conversations": [{"from": "human", "value": "2+3?"}],
            "chosen": {"from": "gpt", "value": "add\n#### 5"},
            "rejected": {"from": "gpt", "value": "6"},
        },
        ("2+3?", ["add"], "5"),
    ),
    ("stepwise", {"prompt": "2+3?", "completions": ["add", "Answer: 5"], "labels": [True, True]}, ("2+3?", ["add"], "5")),
    (
        "stepwise",
        {"prompt": "2+3?", "completions": ["add", "The answer is: 5"], "labels": [1, 1]},
        ("2+3?", ["add", "The answer is: 5"], "5"),
    ),
    ("stepwise", {"prompt": "2+3?", "completions": ["add", "it is 5"], "labels": [True, True]}, ("2+3?", ["add"], "it is 5")),
    (
        "langfuse",
        {"id": "o", "traceId": "t", "type": "GENERATION", "input": [USER], "output": SAID, "model": "m"},
        ("2+3?", ["add"], "5"),
    ),
    (
        "langfuse",
        {
            "id": "o",
            "trace_id": "t",
            "type": "GENERATION",
            "input": json.dumps({"messages": [USER]}),
            "output": json.dumps(SAID),
        },
        ("2+3?", ["add"], "5"),
    ),
    (
        "langfuse",
        {"id": "t", "timestamp": "2026-01-01", "tags": [], "input": "[1, 2]: 2+3?", "output": "add\n#### 5"},
        ("[1, 2]: 2+3?", ["add"], "5"),
    ),
    (
        "langfuse",
        {
            "trace": {"id": "t", "name": "sum", "input": None},
            "observations": [
                {"id": "a", "type": "SPAN", "input": "x"},
                {"id": "b", "type": "GENERATION", "input": [USER], "output": SAID, "model": "m"},
            ],
        },
        ("2+3?", ["add"], "5"),
    ),
]
SPAN = {  # as an OTLP exporter writes attributes
    "name": "chat m",
    "attributes": [
        {"key": "gen_ai.request.model", "value": {"stringValue": "m"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
        {"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}}},
        {
            "key": "gen_ai.input.messages",
            "value": {"stringValue": '[{"role": "user", "parts": [{"type": "text", "content": "2+3?"}]}]'},
        },
        {
            "key": "gen_ai.output.messages",
            "value": {"stringValue": '[{"role": "assistant", "parts": [{"type": "text", "content": "add\\n#### 5"}]}]'},
        },
    ],
}
ROWS.append(("otel-genai", SPAN, ("2+3?", ["add"], "5")))


@pytest.mark.parametrize(("name", "row", "expected"), ROWS)
def test_a_row_is_detected_and_read(name: str, row: dict[str, Any], expected: Told) -> None:
    trace = read(row)
    assert told(trace) == expected
    source = trace.meta["source"]
    assert (source["format"], source["file"], source["line"]) == (name, "x.jsonl", 7)


def test_every_format_has_a_row_here() -> None:
    assert {name for name, _, _ in ROWS} == set(formats.IMPORTS)


def test_the_rejected_reply_is_kept_beside_the_chosen_one() -> None:
    meta = read({"prompt": "2+3?", "chosen": "add\n#### 5", "rejected": "6", "score": 2}).meta
    assert meta["extra"] == {"score": 2, "rejected": "6"}


def test_the_model_call_inside_a_langfuse_trace_is_read_and_the_rest_kept() -> None:
    meta = read([row for name, row, _ in ROWS if name == "langfuse"][-1]).meta
    assert meta["extra"] == {"id": "t", "name": "sum", "observation": {"id": "b", "type": "GENERATION", "model": "m"}}


def test_otlp_attributes_are_kept_as_plain_values() -> None:
    extra = read(SPAN).meta["extra"]
    assert extra == {
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.response.finish_reasons": ["stop"],
    }


def test_texts_that_an_inspect_log_keeps_aside_are_put_back() -> None:
    row = next(row for name, row, _ in ROWS if name == "inspect")
    aside = {**row, "messages": [{"role": "user", "content": "attachment://d"}, SAID], "attachments": {"d": "A long 2+3?"}}
    assert told(read(aside)) == ("A long 2+3?", ["add"], "5")
    assert "attachments" not in read(aside).meta["extra"]


def test_older_step_numbers_are_renumbered_and_kept() -> None:
    steps = [{"i": i, "type": "compute", "content": f"at {i}"} for i in (0, 2, 7)]
    trace = read({**OWN, "steps": steps})
    assert [(step.i, step.content) for step in trace.steps] == [(1, "at 0"), (2, "at 2"), (3, "at 7")]
    assert trace.meta["source"]["indices"] == [0, 2, 7]
    assert "indices" not in read(OWN).meta["source"]


def test_an_earlier_source_is_kept() -> None:
    assert read({**OWN, "meta": {"source": {"file": "y"}}}).meta["source"]["before"] == {"file": "y"}


def test_what_a_trace_has_no_place_for_is_kept() -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "add\n#### 5"}]
    meta = read({"messages": messages, "id": 9, "tags": ["a"]}).meta
    assert meta["system"] == "Be brief."
    assert meta["extra"] == {"id": 9, "tags": ["a"]}
    given = read({"instruction": "Add.", "input": "2, 3", "output": "add\n#### 5"}).meta["extra"]
    assert given == {"instruction": "Add.", "input": "2, 3"}


def test_an_answer_without_reasoning_says_so() -> None:
    trace = read({"prompt": "2+3?", "completion": "5"})
    assert [(step.type, step.content) for step in trace.steps] == [("conclude", "5")]
    assert trace.meta["source"]["reasoning"] == "absent"
    assert "reasoning" not in read({"prompt": "2+3?", "completion": "add\n#### 5"}).meta["source"]


def test_calculator_marks_become_claims_that_the_checker_reads() -> None:
    answer = "A <<48/2=24>>24, b <<10/4=2.5>>2.5\nc <<100/3=33.33>>33.33\nd <<2+2=5>>5\n#### 5"
    trace = read({"question": "?", "answer": answer})
    assert [len(step.claims) for step in trace.steps] == [2, 0, 1]
    assert [step.verdict for step in checking.check(trace).steps] == ["ok", "unchecked", "wrong"]
    assert trace.meta["source"]["calculator"] == {"1": ["48/2=24", "10/4=2.5"], "2": ["100/3=33.33"], "3": ["2+2=5"]}


def test_the_generation_that_was_marked_correct_is_chosen() -> None:
    marked = read(next(row for name, row, _ in ROWS if name == "openr1-math"))
    assert marked.meta["source"]["generation"] == 1
    row = {
        "problem": "?",
        "solution": "add",
        "answer": "5",
        "generations": ["<think>x</think>6"],
        "correctness_math_verify": [False],
    }
    assert read(row).meta["source"]["part"] == "solution"


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"messages": []}, "wrong_type", "messages"),
    ({"messages": ["x"]}, "wrong_type", "messages.0"),
    ({"messages": [{"content": "x"}]}, "missing_field", "messages.0.role"),
    ({"messages": [USER]}, "no_exchange", "role"),
    ({"messages": [USER, {"role": "assistant", "content": "5"}] * 2}, "several_turns", "role"),
    ({"messages": [USER, {"role": "tool", "content": "5"}]}, "tool_turn", "role"),
    ({"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [{}]}]}, "tool_turn", "messages.1.tool_calls"),
    ({"messages": [USER, {"role": "assistant", "content": [{"type": "image_url"}]}]}, "not_text", "messages.1.content"),
    ({"messages": [USER, {"role": "assistant", "content": ""}]}, "no_answer", None),
    ({"conversations": [{"from": "human"}]}, "wrong_type", "conversations.0"),
    ({"instruction": "x", "output": None, "input": ""}, "missing_field", "output"),
    ({"instruction": "x", "output": "5", "history": [["a", "b"]]}, "several_turns", "history"),
    ({"prompt": " ", "completion": "5"}, "blank", "prompt"),
    ({"prompt": "x", "completion": 5}, "wrong_type", "completion"),
    ({"question": "x", "answer": "<<1+1=2>>2"}, "no_answer", "answer"),
    ({"problem": "x", "generations": [1]}, "wrong_type", "generations"),
    ({"text": "<start_of_turn>user\nx"}, "bad_turns", "text"),
    ({"schema_version": "ATIF-v1.7", "steps": []}, "wrong_type", "steps"),
    (
        {"schema_version": "ATIF-v1.7", "steps": [{"source": "agent", "message": "", "observation": {"results": []}}]},
        "tool_turn",
        "steps.0",
    ),
    ({"gen_ai.input.messages": "[", "gen_ai.output.messages": []}, "bad_json", "gen_ai.input.messages"),
    (
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "tool_call"}]}]},
        "tool_turn",
        "gen_ai.input.messages.0.parts",
    ),
    (
        {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.tool_calls.0.tool_call.id": "x"},
        "tool_turn",
        "llm.input_messages.0",
    ),
    ({"doc_id": 0, "doc": {}, "arguments": {}, "resps": []}, "missing_field", "resps"),
    (
        {"doc_id": 0, "doc": {}, "arguments": {"gen_args_0": {"arg_0": "x"}}, "resps": [[[-1.0, True]]]},
        "not_text",
        "resps",
    ),
    ({"prompt": "x", "chosen": " ", "rejected": "6"}, "blank", "chosen"),
    ({"prompt": "x", "chosen": 5, "rejected": "6"}, "wrong_type", "chosen"),
    ({"chosen": "5", "rejected": "6"}, "no_exchange", "role"),
    ({"chosen": [USER, SAID, USER, SAID], "rejected": []}, "several_turns", "role"),
    ({"prompt": "x", "completions": ["a", "b"], "labels": [True, False]}, "wrong_step", "labels.1"),
    ({"prompt": "x", "completions": ["a", "b"], "labels": [True, None]}, "wrong_step", "labels.1"),
    ({"prompt": "x", "completions": ["a", "b"], "labels": [True]}, "wrong_type", "labels"),
    ({"prompt": "x", "completions": ["a", 5], "labels": [True, True]}, "wrong_type", "completions.1"),
    ({"prompt": "x", "completions": [], "labels": []}, "wrong_type", "labels"),
    ({"traceId": "t", "type": "SPAN", "input": "x", "output": "y"}, "not_generation", "type"),
    ({"traceId": "t", "type": "GENERATION", "input": {"query": "x"}, "output": "y"}, "no_exchange", "input"),
    ({"traceId": "t", "type": "GENERATION", "input": "x", "output": None}, "no_exchange", "output"),
    ({"trace": {}, "observations": [{"type": "GENERATION", "input": "x", "output": "y"}] * 2}, "several_turns", "observations"),
    ({"trace": {}, "observations": [{"type": "SPAN"}]}, "not_generation", "observations"),
    (
        {"traceId": "t", "type": "GENERATION", "input": "x", "output": {**SAID, "tool_calls": [{}]}},
        "tool_turn",
        "output.tool_calls",
    ),
    (
        {
            "input": "x",
            "target": "5",
            "output": {},
            "epoch": 1,
            "messages": [{"role": "user", "content": "attachment://d"}, SAID],
        },
        "missing_field",
        "attachments",
    ),
    (
        {"input": "x", "target": "5", "output": {}, "epoch": 1, "messages": [USER, SAID], "error": {"message": "x"}},
        "failed_sample",
        "error",
    ),
    (
        {"schema_version": "ATIF-v1.7", "steps": [{"source": "agent", "message": "x", "is_copied_context": True}]},
        "copied_context",
        "steps.0",
    ),
    ({**OWN, "steps": []}, "no_steps", "steps"),
    ({**OWN, "steps": [{"i": 2, "content": "x", "type": "t"}, {"i": 1, "content": "x", "type": "t"}]}, "bad_steps", "steps.i"),
    ({**OWN, "steps": [{"type": "t", "content": "x"}]}, "bad_steps", "steps.i"),
    ({**OWN, "trace_version": "2.0"}, "bad_value", "trace_version"),
    ({**OWN, "promt": "x"}, "unknown_field", "promt"),
    ({**OWN, "meta": 5}, "wrong_type", "meta"),
    ({**OWN, "prompt": "x" * 50_001}, "too_long", "prompt"),
    ({"trace_version": "1.0", "prompt": "x"}, "missing_field", "steps"),
]


@pytest.mark.parametrize(("row", "code", "field"), REFUSED)
def test_a_row_that_does_not_fit_is_named_by_code_and_field(row: dict[str, Any], code: str, field: str | None) -> None:
    with pytest.raises(BadRow) as caught:
        read(row)
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize("name", formats.IMPORTS)
@pytest.mark.parametrize("row", [{}, {"x": 1}, *(dict.fromkeys(row, value) for _, row, _ in ROWS for value in (None, [[]]))])
def test_a_named_format_refuses_any_other_row(name: str, row: dict[str, Any]) -> None:
    with pytest.raises(BadRow):
        formats.to_trace(formats.IMPORTS[name], row, Origin("x", 1))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


ODD: list[Any] = ["\x00", None, 0, 2.5, "", " ", "x", "[]", "{}", [], {}, [None], [[]], ["x"], {"a": 1}, [{"role": "user"}]]


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, row, _ in ROWS])
def test_a_damaged_row_is_read_or_refused_and_never_crashes(name: str, row: dict[str, Any]) -> None:
    rng, outcomes = random.Random(name), set()
    for _ in range(400):
        damaged = copy.deepcopy(row)
        for _ in range(rng.randint(1, 2)):
            *way, last = rng.choice(list(places(damaged)) or [("x",)])
            holder: Any = damaged
            for key in way:
                holder = holder[key]
            if rng.random() < 0.3:
                holder.pop(last, None) if isinstance(holder, dict) else holder.pop(last)
            else:
                holder[last] = copy.deepcopy(rng.choice(ODD))
        try:
            formats.to_trace(formats.IMPORTS[name], damaged, Origin("x", 1))
            outcomes.add("read")
        except BadRow:
            outcomes.add("refused")
    assert "refused" in outcomes
