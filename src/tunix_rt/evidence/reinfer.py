"""Depth 3: let base and tuned model answer a few items again, drawn by a nonce that the packer could not know.

One item at a time, greedily, with the bundle's adapter. Greedy decoding is not bit-stable across batch sizes and hardware, so
an output that differs is held against the model itself: every token of the stored output has to be within `tolerance` of the
best one in logits, given the tokens before it, and one that was cut off has to be as long as the limit. The margin at the
first divergence is reported.
"""

import hashlib
import math
import secrets
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors, jobs, values
from tunix_rt.evidence import contents, rederive
from tunix_rt.evidence.contents import TENSORS, Side
from tunix_rt.evidence.recompute import Bundle
from tunix_rt.evidence.rederive import Outcome, Unavailable
from tunix_rt.jobs import Inputs
from tunix_rt.launchers import local
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings
from tunix_rt.values import Value

ADAPTER_FILES = ("adapter.safetensors", "adapter_config.json")


class Sample(Value):
    """How the items are drawn and compared. An empty `nonce` is drawn when it is needed."""

    items: int = 8
    nonce: str = ""
    tolerance: float = 0.05
    device: jobs.Device = "auto"

    def drawn(self) -> "Sample":
        return self if self.nonce else self.model_copy(update={"nonce": secrets.token_hex(16)})


def reinfer(bundle: Bundle, settings: Settings, sample: Sample) -> Outcome:
    """`sample.nonce` must be set: the report names it, so that the draw can be repeated."""
    out = Outcome([], [], [], [])
    try:
        model = rederive.base_model(bundle, settings)
        if TENSORS not in bundle.members:
            raise Unavailable("the adapter is not in the bundle, so the tuned model could not answer again")
        with tempfile.TemporaryDirectory(prefix="tunix-rt-verify-") as place:
            for name, side in (("base", bundle.facts.base), ("tuned", bundle.facts.tuned)):
                if side.job.temperature > 0:
                    raise Unavailable(f"{name}: its answers were drawn at random, so they are not answered again")
                if side.job.stop:
                    raise Unavailable(f"{name}: its answers were ended by stop strings, so they are not answered again")
                answers = _answers(bundle, side, _Here(model, settings.compile_cache, Path(place) / name), sample)
                _compare(name, answers, sample, out)
                out.open.extend(_not_asked(name, len(side.evaluation.predictions), len(answers)))
    except Unavailable as lacking:
        out.unchecked.append(str(lacking))
    except errors.Mistake as mistake:
        out.failures.append(mistake.message)
    except contents.UNFIT as error:
        out.failures.append(f"answering again: cannot be done ({type(error).__name__}: {error})")
    return out


def draw(side: Side, sample: Sample) -> list[str]:
    """The items, in the order of sha256(nonce / item)."""
    items = [row.item for row in side.evaluation.predictions]
    return sorted(items, key=lambda item: hashlib.sha256(f"{sample.nonce}/{item}".encode()).digest())[: sample.items]


class _Here(NamedTuple):
    """What this machine lends to a side: the model, the cache of its own compilations, and a folder."""

    model: BaseModel
    cache: Path
    place: Path


def _answers(bundle: Bundle, side: Side, here: _Here, sample: Sample) -> list[dict[str, Any]]:
    said = {row.item: row for row in side.evaluation.predictions}
    rows = [
        {"item": item, "prompt": said[item].prompt, "said": said[item].output, "finish": said[item].finish}
        for item in draw(side, sample)
    ]
    job = jobs.asking(
        here.place,
        rows,
        model=side.job.model,
        model_digest=here.model.digest,
        adapter_digest=side.job.adapter_digest,
        format=side.job.format,
        instruction=side.job.instruction,
        max_new_tokens=side.job.max_new_tokens,
        device=sample.device,
    )
    adapter = None
    if side.job.adapter_digest is not None:
        adapter = rederive.unpack(bundle.members, "adapter", ADAPTER_FILES, here.place / "adapter")
    inputs = Inputs(model=here.model.folder, dataset=here.model.folder, adapter=adapter, compile_cache=here.cache)
    jobs.write(here.place, job, inputs)
    local.run(here.place)
    return [row for _, row in values.read_jsonl(here.place / "answers.jsonl")]


def _not_asked(name: str, items: int, asked: int) -> list[str]:
    """What a draw leaves open, with the chance that it misses a tenth of all answers."""
    if asked == items:
        return []
    changed = math.ceil(items / 10)
    missed = math.comb(items - changed, asked) / math.comb(items, asked)
    return [
        f"{name}: {items - asked} of {items} answers were not generated again; were {changed} of all false, a draw of {asked} "
        f"would miss them {100 * missed:.2g} times in 100 (--items {items} asks all)"
    ]


def _compare(name: str, answers: list[dict[str, Any]], sample: Sample, out: Outcome) -> None:
    identical = [row for row in answers if row["divergence"] is None]
    apart = [row for row in answers if row["divergence"] is not None]
    short = [row for row in apart if row["divergence"]["missing"]]
    for row in short:
        where = row["divergence"]
        out.failures.append(
            f"{name}: item {row['item'][:12]}: the stored output is said to have run into the limit, and ends "
            f"{where['missing']} tokens before it"
        )
    far = [row for row in apart if not row["divergence"]["worst_margin"] <= sample.tolerance]
    for row in far:
        where = row["divergence"]
        out.failures.append(
            f"{name}: item {row['item'][:12]} answered again parts from the stored output at token {where['at']} by "
            f"{where['margin']:.4g} logits (worst {where['worst_margin']:.4g}, tolerance {sample.tolerance:g})"
        )
    if not short and not far:
        margins = ", ".join(f"{row['divergence']['margin']:.2g}" for row in apart)
        near = (
            f", {len(apart)} within {sample.tolerance:g} logits (margins at the first divergence: {margins})" if apart else ""
        )
        out.checked.append(
            f"{name}: {len(answers)} items drawn by nonce {sample.nonce} answered again, {len(identical)} identical{near}"
        )
