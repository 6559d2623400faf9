"""Answers to an evaluation set, one line for each answer as it ends; `generations.jsonl` is picked up where it stopped."""

import time
from pathlib import Path
from typing import Any

from flax import nnx

from tunix_rt import errors, jobs, traces, values
from tunix_rt.engine import devices, sampling, weights
from tunix_rt.engine.decoding import Answer, Decoder, Request
from tunix_rt.engine.inputs import opened
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import Events, GenerateJob, Inputs, Sampling
from tunix_rt.traces import Trace

FILE = "generations.jsonl"
Wanted = tuple[Trace, int]  # an item and the number of the sample


def generate(job: GenerateJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Answer every item that `generations.jsonl` does not hold yet; returns the facts of `result.json`."""
    events = Events(attempt)
    started = time.monotonic()
    events.emit("phase", name="loading")
    base, evalset = opened(inputs, model=job.model_digest, dataset=job.evalset_digest)
    items = jobs.spread(list(traces.read(evalset.path)), job.limit)
    done = _finished(attempt / FILE)
    waiting = [(item, sample) for item in items for sample in range(job.samples) if (item.id, sample) not in done]
    events.emit("plan", items=len(items) * job.samples, done=len(done))
    if waiting:
        prompts = Prompts(base.folder, job.instruction, job.format)
        model = weights.load(base.folder)
        if job.adapter_digest is not None:
            weights.merge_adapter(model, _adapter(inputs), base=base.digest, digest=job.adapter_digest)
        events.emit("phase", name="generating")
        _answer(job, model, prompts, waiting, attempt / FILE)
    rows = [row for _, row in values.read_jsonl(attempt / FILE)]
    return {
        "items": len(rows),
        "tokens": sum(row["tokens"] for row in rows),
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": devices.peak_memory(),
        "device": devices.name(),
    }


def _finished(path: Path) -> set[tuple[str, int]]:
    """Items, and their samples, whose line was written whole; a line torn by a kill is cut off the file."""
    if not path.exists():
        return set()
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        values.write_bytes(path, whole)
    return {(str(row["item"]), int(row.get("sample", 0))) for _, row in values.read_jsonl(path)}


def _adapter(inputs: Inputs) -> Path:
    if inputs.adapter is None:
        raise errors.Invalid("the job names an adapter; inputs.json does not say where it is.", field="adapter")
    return inputs.adapter


def _answer(job: GenerateJob, model: nnx.Module, prompts: Prompts, wanted: list[Wanted], out: Path) -> None:
    """Decode all, longest prompt first, and write a line as each answer ends. Raises what `Prompts.question` raises, before it
    decodes any."""
    prefixes = [prompts.question(item.id, item.prompt, job.max_new_tokens) for item, _ in wanted]
    chosen = Sampling(**job.model_dump(include=set(Sampling.model_fields)))
    requests = [
        Request(tuple(prefix), job.max_new_tokens, sampling.seed_of(chosen, item.id, sample))
        for (item, sample), prefix in zip(wanted, prefixes, strict=True)
    ]
    with out.open("ab", buffering=0) as file:

        def write(index: int, answer: Answer) -> None:
            item, sample = wanted[index]
            row = _row(item, answer, len(prefixes[index]), job, prompts)
            file.write(values.jsonl_line({**row, "sample": sample} if job.samples > 1 else row))

        ended = (lambda tokens: _cut(prompts, tokens, job.stop) is not None) if job.stop else None
        Decoder(model, prompts.stops, chosen, ended).answer(requests, job.batch_size, write)


def _cut(prompts: Prompts, tokens: list[int], stop: tuple[str, ...]) -> tuple[int, str] | None:
    """(tokens needed, text before the stop string) of the first stop string that the tokens spell."""
    text = prompts.decode(tokens)
    places = [at for word in stop if (at := text.find(word)) >= 0]
    if not places:
        return None
    needed = next(n for n in range(1, len(tokens) + 1) if any(word in prompts.decode(tokens[:n]) for word in stop))
    return needed, text[: min(places)]


def _row(item: Trace, answer: Answer, prompt_tokens: int, job: GenerateJob, prompts: Prompts) -> dict[str, Any]:
    """`tokens` stops before the end-of-turn token; without one the model was cut off at the limit."""
    cut = _cut(prompts, answer.tokens, job.stop) if job.stop else None
    return {
        "item": item.id,
        "prompt": item.prompt,
        "output": cut[1] if cut else prompts.decode(answer.tokens),
        "tokens": cut[0] if cut else len(answer.tokens),
        "prompt_tokens": prompt_tokens,
        "finish": "stop" if cut or answer.stopped else "length",
    }
