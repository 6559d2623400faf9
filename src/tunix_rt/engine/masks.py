"""The loss mask, proved: what is trained on is the declared reasoning and answer, after the prefix inference starts from, and
prefix and trained part together are what the chat template makes of the conversation.

The mask digest is over (trace id, prefix length, tokens) of every example. A run records it, so that anyone with the dataset
and the tokenizer can tell that this, and nothing else, is what it was trained on.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tunix_rt import errors, traces, values
from tunix_rt.engine.inputs import dataset_in, model_in
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Inputs, MaskJob
from tunix_rt.scoring import format
from tunix_rt.traces import Trace

PREVIEW = "preview.jsonl"
SHOWN = 5


def digest(examples: Iterable[Example]) -> str:
    """sha256 over the examples in dataset order."""
    state = hashlib.sha256()
    for example in examples:
        state.update(values.canonical([example.id, example.prefix, list(example.tokens)]) + b"\n")
    return state.hexdigest()


def prove(job: MaskJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Check every example of the dataset; returns the facts of `result.json` and leaves `preview.jsonl`."""
    base = model_in(inputs.model, job.model_digest)
    prompts = Prompts(base.folder, job.instruction, job.format)
    named = zip(inputs.stages or (inputs.dataset,), job.stage_digests or (job.dataset_digest,), strict=True)
    kept = [trace for folder, digest in named for trace in traces.read(dataset_in(folder, digest).path)]
    if not kept:
        raise errors.Invalid("the dataset is empty: there is nothing to train on.", field="dataset")
    examples = [conforming(prompts, trace) for trace in kept]
    shown = [{"id": example.id, "tokens": _pieces(prompts, example)} for example in examples[:SHOWN]]
    values.write_jsonl(attempt / PREVIEW, shown)
    tokens = sum(len(example.tokens) for example in examples)
    trained = sum(len(example.tokens) - example.prefix for example in examples)
    too_long = [example.id for example in examples if len(example.tokens) > job.row_tokens]
    return {
        "traces": len(examples),
        "tokens": tokens,
        "trained_tokens": trained,
        "share_trained": round(trained / tokens, 4),
        "longest": max(len(example.tokens) for example in examples),
        "row_tokens": job.row_tokens,
        "too_long": len(too_long),
        "first_too_long": too_long[0] if too_long else None,
        "mask_digest": digest(examples),
    }


def conforming(prompts: Prompts, trace: Trace) -> Example:
    """The example of a trace, or `errors.Failed` naming the trace and the rule it breaks."""
    example = prompts.example(trace)
    given, trained = list(example.tokens[: example.prefix]), list(example.tokens[example.prefix :])
    declared = prompts.reply(trace)
    steps = tuple(format.one_line(step.content) for step in trace.steps)
    prefix = prompts.prefix(trace.prompt)
    whole = prompts.conversation(trace.prompt, declared)
    rules = {
        "the training prefix is not the inference prefix": given == prompts.encode(prefix) and prompts.shown(given) == prefix,
        "there is nothing to train on": len(trained) > 1,
        "the trained part does not end with the end of the turn": trained[-1:] == [prompts.end_of_turn],
        "the trained part is not the declared steps and answer": prompts.decode(trained) == declared,
        "the reply does not read back as its steps and answer": format.parse_strict(declared, prompts.format)
        == (steps, format.one_line(trace.final_answer)),
        "the chat template writes the conversation another way": whole.startswith(prompts.shown(list(example.tokens))),
    }
    for broken in (rule for rule, holds in rules.items() if not holds):
        raise errors.Failed(f"trace {trace.id[:12]}: {broken} with this tokenizer and chat template.", trace=trace.id)
    return example


def _pieces(prompts: Prompts, example: Example) -> list[dict[str, Any]]:
    """Each token's text and whether it is trained on."""
    return [{"text": prompts.shown([token]), "trained": place >= example.prefix} for place, token in enumerate(example.tokens)]
