"""A trace as its dataset writes it, without the cost of a `Trace`: proven, encoded, measured and named.

Steps come again and again (of those of 100,000 traces of all tasks, six in ten): every different one is proven, encoded and
measured once, as long as it is among the latest, and then only put in its place.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from tunix_rt.datasets.figures import Measured, StepSize, measure, meta_keys, step_size
from tunix_rt.tasks import Draft, proof
from tunix_rt.tasks.core import Line
from tunix_rt.traces import TRACE_VERSION, Trace, id_of
from tunix_rt.values import canonical_exact, jsonl_line_exact

_LATEST = 50_000  # steps; some 50 MB


class Row(NamedTuple):
    """`written` is the trace's line in the file, `id` its sha256."""

    written: bytes
    id: bytes
    measured: Measured


class Step(NamedTuple):
    """A step's JSON, with its keys in the order of the file and sorted, and what is wrong with its claims."""

    written: orjson.Fragment
    canonical: orjson.Fragment
    size: StepSize
    problems: list[str]


Encode = Callable[[Draft, dict[str, Any]], Row]


class Unproven(ValueError):
    """A draft with a claim that is false or not shown, or with an answer that its last step does not state."""


def encoder(labels: Iterable[str]) -> Encode:
    """A function that turns drafts into rows, and remembers their steps as long as it lives itself."""
    keys, remembered = meta_keys(labels), lru_cache(maxsize=_LATEST)(_step)

    def encode(draft: Draft, meta: dict[str, Any]) -> Row:
        steps = [remembered(i, line) for i, line in enumerate(draft.lines, 1)]
        for problem in [problem for step in steps for problem in step.problems]:
            raise Unproven(problem)
        for problem in proof.unstated(draft.answer, draft.lines[-1].content):
            raise Unproven(problem)
        measured = measure(keys, meta, draft.prompt, draft.answer, [step.size for step in steps])
        return Row(*_encoded(draft, meta, steps), measured)

    return encode


def of_trace(trace: Trace, labels: Iterable[str]) -> Row:
    line = trace.line()
    sizes = [step_size(step) for step in line["steps"]]
    measured = measure(meta_keys(labels), trace.meta, trace.prompt, trace.final_answer, sizes)
    return Row(jsonl_line_exact(line), bytes.fromhex(id_of(line)), measured)


def _encoded(draft: Draft, meta: dict[str, Any], steps: Sequence[Step]) -> tuple[bytes, bytes]:
    """The bytes of `jsonl_line_exact` and the hash of `id_of` for the whole line; generated meta holds no float, and nothing
    empty is left out because there is nothing empty."""
    prompt, answer = draft.prompt, draft.answer
    written = {
        "trace_version": TRACE_VERSION,
        "prompt": prompt,
        "steps": [step.written for step in steps],
        "final_answer": answer,
        "meta": meta,
    }
    named = {"final_answer": answer, "meta": meta, "prompt": prompt, "steps": [step.canonical for step in steps]}
    return jsonl_line_exact(written), sha256(canonical_exact(named)).digest()


def _step(i: int, line: Line) -> Step:
    step = line.numbered(i)
    written, canonical = orjson.Fragment(jsonl_line_exact(step)[:-1]), orjson.Fragment(canonical_exact(step))
    return Step(written, canonical, step_size(step), proof.unproven(step))
