"""Answers to a handful of prompts, and how far a stored output is from what the model itself would say.

`asked.jsonl` holds the prompts, `answers.jsonl` gets a line for each as it ends. Where a prompt comes with what was `said`
before and the new output differs, the model reads the old one: at each of its tokens the margin is the best logit minus that
token's own. An old one that was cut off has to be as long as the limit.
"""

import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from tunix_rt import errors, models, values
from tunix_rt.engine import devices, weights
from tunix_rt.engine.decoding import Answer, Decoder, Request
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import ASKED, AskJob, Events, Inputs

FILE = "answers.jsonl"


def ask(job: AskJob, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    """Answer every row; returns the facts of `result.json`."""
    events, started = Events(attempt), time.monotonic()
    events.emit("phase", name="loading")
    base = models.open_folder(inputs.model)
    if base.digest != job.model_digest:
        raise errors.Tampered(f"the job names model {job.model_digest[:12]}, the folder given holds {base.digest[:12]}.")
    if values.sha256_file(attempt / ASKED) != job.asked_digest:
        raise errors.Tampered(f"{ASKED} is not the file this job names.")
    rows = [row for _, row in values.read_jsonl(attempt / ASKED)]
    model = weights.load(base.folder)
    if job.adapter_digest is not None:
        if inputs.adapter is None:
            raise errors.Invalid("the job names an adapter; inputs.json does not say where it is.", field="adapter")
        weights.merge_adapter(model, inputs.adapter, base=base.digest, digest=job.adapter_digest)
    events.emit("phase", name="generating")
    prompts = Prompts(base.folder, job.instruction, job.format)
    prefixes = [prompts.prefix(row["prompt"]) for row in rows]
    asked = [prompts.question(str(row["item"]), row["prompt"], job.max_new_tokens) for row in rows]
    requests = [Request(tuple(tokens), job.max_new_tokens) for tokens in asked]
    with (attempt / FILE).open("wb", buffering=0) as file:

        def note(place: int, answer: Answer) -> None:
            file.write(values.jsonl_line(_made(model, prompts, prefixes[place], rows[place], answer, job.max_new_tokens)))

        Decoder(model, prompts.stops).answer(requests, job.batch_size, note)
    return {"items": len(rows), "seconds": round(time.monotonic() - started, 3), "device": devices.name()}


def _made(model: nnx.Module, prompts: Prompts, prefix: str, row: dict[str, Any], answer: Answer, limit: int) -> dict[str, Any]:
    made = {
        "item": row["item"],
        "output": prompts.decode(answer.tokens),
        "tokens": len(answer.tokens),
        "finish": "stop" if answer.stopped else "length",
    }
    said = row.get("said")
    same = said is None or (said == made["output"] and row.get("finish") == made["finish"])
    if same:
        return {**made, "divergence": None}
    least = 0 if row.get("finish") == "stop" else limit
    return {**made, "divergence": divergence(model, prompts, prefix, str(said), least)}


def divergence(model: nnx.Module, prompts: Prompts, prefix: str, said: str, least: int) -> dict[str, Any]:
    """`at` is the place in the output of the first token that is not the best one, `margin` how far it is from it in logits,
    `worst_margin` the largest distance of any token. An output that ended (`least` 0) is read with its end of turn; `missing`
    counts the tokens that one which was cut off lacks of the `least` that it has to have."""
    given = prompts.encode(prefix)
    spoken = prompts.encode(said) + ([] if least else [prompts.end_of_turn])
    margins = _margins(model, given, spoken)
    at = next((place for place, margin in enumerate(margins) if margin > 0), None)
    worst = max(margins, default=0.0)
    return {
        "at": at,
        "margin": margins[at] if at is not None else 0.0,
        "worst_margin": worst,
        "positions": len(margins),
        "missing": max(0, least - len(spoken)),
    }


def _margins(model: nnx.Module, given: list[int], spoken: list[int]) -> list[float]:
    tokens = jnp.asarray([given + spoken], jnp.int32)
    length = tokens.shape[1]
    positions = jnp.arange(length, dtype=jnp.int32)[None]
    mask = jnp.tril(jnp.ones((1, length, length), jnp.bool_))
    logits, _ = model(tokens, positions, None, mask)
    rows = np.asarray(logits[0, len(given) - 1 : length - 1], np.float32)
    return [float(row.max() - row[token]) for row, token in zip(rows, spoken, strict=True)]
