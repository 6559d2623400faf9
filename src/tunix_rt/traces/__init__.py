"""1  Capture: a trace is a prompt, numbered typed steps and a final answer.

The same value is the JSONL line, the HTTP body and the stored row. Text is kept exactly as given; whitespace-only text and
NUL are refused, because no tokenizer, database or reader agrees on what they mean.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from tunix_rt import errors
from tunix_rt.claims import Claim
from tunix_rt.values import Value, canonical, read_jsonl, sha256

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


class Step(Value):
    """`claims` are machine-checkable statements the text makes; empty means nothing in it can be checked by table."""

    i: int = Field(ge=1)
    type: TypeName
    content: StepText
    claims: tuple[Claim, ...] = ()


class Trace(Value):
    trace_version: Literal["1.0"] = "1.0"
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
        body = self.model_dump(mode="json", exclude_defaults=True, exclude={"meta"})
        return bytes.fromhex(sha256(canonical([body["prompt"], body["steps"], body["final_answer"]]))[:32])

    def line(self) -> dict[str, Any]:
        """The JSONL object: version first, empty claims left out, meta always there."""
        body = self.model_dump(mode="json", exclude_defaults=True)
        return {"trace_version": self.trace_version, **body, "meta": self.meta}


def read(path: Path) -> Iterator[Trace]:
    """Every trace of a JSONL file in the strict form; the first bad line is an error naming file, line and field."""
    for number, row in read_jsonl(path):
        yield Trace.parse(row, source=f"{path}, line {number}")


def distinct(traces: Iterable[Trace]) -> list[Trace]:
    """The same traces, or an error naming the first prompt that occurs twice."""
    seen: set[str] = set()
    kept = list(traces)
    for trace in kept:
        if trace.prompt in seen:
            raise errors.Invalid(f"the prompt {trace.prompt[:80]!r} occurs twice.")
        seen.add(trace.prompt)
    return kept
