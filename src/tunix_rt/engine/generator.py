"""Greedy answers to an evaluation set by Tunix's sampler, in batches of few static shapes, one line per finished item.

`generations.jsonl` grows batch by batch and is picked up where it stopped. Items are sorted by prompt length, so that a
batch wastes little of its window; a last batch is filled up with copies whose answers are dropped.
"""

import time
from pathlib import Path
from typing import Any

from flax import nnx
from tunix.generate.sampler import CacheConfig, Sampler

from tunix_rt import errors, jobs, traces, values
from tunix_rt.engine import devices, weights
from tunix_rt.engine.inputs import opened
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import Events, GenerateJob, Inputs
from tunix_rt.traces import Trace

FILE = "generations.jsonl"
MULTIPLE = 64  # prompt windows are multiples of this, so that few shapes are compiled


def generate(job: GenerateJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Answer every item that `generations.jsonl` does not hold yet; returns the facts of `result.json`."""
    events = Events(attempt)
    started = time.monotonic()
    events.emit("phase", name="loading")
    base, evalset = opened(inputs, model=job.model_digest, dataset=job.evalset_digest)
    items = jobs.spread(list(traces.read(evalset.path)), job.limit)
    done = _finished(attempt / FILE)
    waiting = [item for item in items if item.id not in done]
    events.emit("plan", items=len(items), done=len(done))
    if waiting:
        model = weights.load(base.folder)
        if job.adapter_digest is not None:
            weights.merge_adapter(model, _adapter(inputs), base=base.digest, digest=job.adapter_digest)
        events.emit("phase", name="generating")
        _answer(job, model, Prompts(base.folder, job.instruction), waiting, attempt / FILE)
    rows = [row for _, row in values.read_jsonl(attempt / FILE)]
    return {
        "items": len(rows),
        "tokens": sum(row["tokens"] for row in rows),
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": devices.peak_memory(),
        "device": devices.name(),
    }


def _finished(path: Path) -> set[str]:
    """Items whose line was written whole; a line torn by a kill is cut off the file."""
    if not path.exists():
        return set()
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        values.write_bytes(path, whole)
    return {str(row["item"]) for _, row in values.read_jsonl(path)}


def _adapter(inputs: Inputs) -> Path:
    if inputs.adapter is None:
        raise errors.Invalid("the job names an adapter; inputs.json does not say where it is.", field="adapter")
    return inputs.adapter


def _answer(job: GenerateJob, model: nnx.Module, prompts: Prompts, items: list[Trace], out: Path) -> None:
    prefixes = {item.id: prompts.prefix(item.prompt) for item in items}
    lengths = {item.id: len(prompts.encode(prefixes[item.id])) for item in items}
    ordered = sorted(items, key=lambda item: (lengths[item.id], item.id))
    size = min(job.batch_size, len(ordered))
    samplers: dict[int, Sampler] = {}
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        window = -(-lengths[batch[-1].id] // MULTIPLE) * MULTIPLE
        sampler = samplers.setdefault(window, sampler_for(model, prompts, window + job.max_new_tokens))
        texts = [prefixes[item.id] for item in batch]
        output = sampler(
            texts + texts[:1] * (size - len(batch)),
            max_generation_steps=job.max_new_tokens,
            max_prompt_length=window,
            eos_tokens=[prompts.end_of_turn, prompts.pad],
        )
        with out.open("ab") as file:
            for item, tokens in zip(batch, output.tokens, strict=False):
                file.write(values.jsonl_line(_row(item, [int(token) for token in tokens], lengths[item.id], job, prompts)))


def sampler_for(model: nnx.Module, prompts: Prompts, cache_size: int) -> Sampler:
    config = model.config
    return Sampler(model, prompts, CacheConfig(cache_size, config.num_layers, config.num_kv_heads, config.head_dim))


def _row(item: Trace, tokens: list[int], prompt_tokens: int, job: GenerateJob, prompts: Prompts) -> dict[str, Any]:
    """`tokens` stops before the end-of-turn token; without one the model was cut off at the limit."""
    return {
        "item": item.id,
        "prompt": item.prompt,
        "output": prompts.decode(tokens),
        "tokens": len(tokens),
        "prompt_tokens": prompt_tokens,
        "finish": "stop" if len(tokens) < job.max_new_tokens else "length",
    }
