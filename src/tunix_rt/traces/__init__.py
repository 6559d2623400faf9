"""1  Capture: a trace is a prompt, numbered typed steps and a final answer.

The same value is the JSONL line, the HTTP body and the stored row. Text is kept exactly as given; whitespace-only text and
NUL are refused, because no tokenizer, database or reader agrees on what they mean.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from tunix_rt.claims import Claim, Operand
from tunix_rt.values import Value, canonical, canonical_exact, exact, jsonl_line, jsonl_line_exact, read_jsonl, sha256

StepType = Literal[
    "given",
    "plan",
    "formula",
    "decompose",
    "transform",
    "compute",
    "select",
    "count",
    "deduce",
    "verify",
    "correct",
    "conclude",
]  # the kinds our generators write; imported traces may use other words


def _meaningful(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


# The pattern is for readers of the schema; `_meaningful` decides.
_Meaningful = Field(json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"})
LongText = Annotated[str, StringConstraints(min_length=1, max_length=50_000), AfterValidator(_meaningful), _Meaningful]
StepText = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_meaningful), _Meaningful]
TypeName = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_meaningful), _Meaningful]


TRACE_VERSION: Literal["1.0"] = "1.0"


class Step(Value):
    """`claims` are machine-checkable statements the text makes; empty means nothing in it can be checked by table."""

    i: int = Field(ge=1)
    type: TypeName
    content: StepText
    claims: tuple[Claim, ...] = ()

    def line(self) -> dict[str, Any]:
        """Its part of the trace's JSONL object."""
        told: dict[str, Any] = {"i": self.i, "type": self.type, "content": self.content}
        if self.claims:
            told["claims"] = [
                {"op": claim.op, "args": list(map(_json, claim.args)), "result": _json(claim.result)} for claim in self.claims
            ]
        return told


def _json(operand: Operand) -> Any:
    return list(operand) if type(operand) is tuple else operand


class Trace(Value):
    trace_version: Literal["1.0"] = TRACE_VERSION
    prompt: LongText
    steps: tuple[Step, ...] = Field(min_length=1, max_length=1_000)
    final_answer: LongText
    meta: dict[str, Any] = Field(default_factory=dict)

    @field_validator("steps")
    @classmethod
    def _sequential(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        for expected, step in enumerate(steps, start=1):
            if step.i != expected:
                raise ValueError(f"step {expected} has i={step.i}; steps are numbered 1, 2, 3 without gaps")
        return steps

    @property
    def id(self) -> str:
        return self.digest

    @property
    def content(self) -> bytes:
        """16 bytes that name prompt, steps and answer: what stays the same wherever the trace came from."""
        return content_of(self.line())

    def line(self) -> dict[str, Any]:
        """The JSONL object: version first, empty claims left out, meta always there.

        Written out, because `model_dump` takes twice as long; tests/traces keeps the two equal.
        """
        return {
            "trace_version": self.trace_version,
            "prompt": self.prompt,
            "steps": [step.line() for step in self.steps],
            "final_answer": self.final_answer,
            "meta": self.meta,
        }


def id_of(line: Mapping[str, Any]) -> str:
    """The id of the trace whose `line()` this is, without building the trace."""
    body = {key: value for key, value in line.items() if key != "trace_version" and value}
    return sha256(canonical_exact(body) if exact(line["meta"]) else canonical(body))  # only meta can hold a float


def content_of(line: Mapping[str, Any]) -> bytes:
    """The `content` of the trace whose `line()` this is."""
    return bytes.fromhex(sha256(canonical_exact([line["prompt"], line["steps"], line["final_answer"]]))[:32])


class Forms(NamedTuple):
    """One trace's id and content, and `body`, the line as a file and the database hold it, with its line break."""

    id: str
    content: bytes
    body: bytes


_TAIL = b',"meta":'


def forms(line: Mapping[str, Any]) -> Forms:
    """What a trace is kept as, from its `line()`: `id_of`, `content_of` and `jsonl_line` at once, so that the texts which the
    three have in common are made JSON once."""
    meta: dict[str, Any] = line["meta"]
    prompt, answer = canonical_exact(line["prompt"]), canonical_exact(line["final_answer"])
    steps, written_steps = canonical_exact(line["steps"]), jsonl_line_exact(line["steps"])[:-1]
    if exact(meta):
        sorted_meta, written_meta = canonical_exact(meta), jsonl_line_exact(meta)
    else:
        sorted_meta, written_meta = canonical(meta), jsonl_line(meta)
    named = _TAIL + sorted_meta if meta else b""
    return Forms(
        sha256(b'{"final_answer":%b%b,"prompt":%b,"steps":%b}' % (answer, named, prompt, steps)),
        hashlib.sha256(b"[%b,%b,%b]" % (prompt, steps, answer)).digest()[:16],
        b'{"trace_version":"1.0","prompt":%b,"steps":%b,"final_answer":%b,"meta":%b}\n'
        % (prompt, written_steps, answer, written_meta[:-1]),
    )


def read(path: Path) -> Iterator[Trace]:
    """Every trace of a JSONL file in the strict form; the first bad line is an error naming file, line and field."""
    for number, row in read_jsonl(path):
        yield Trace.parse(row, source=f"{path}, line {number}")
