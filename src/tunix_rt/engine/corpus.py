"""What a training job reads: the examples of every stage, those held out, and what became of traces too long for a row.

Nothing is cut or left out unless the config says so in `too_long`, and then it is counted and an event names it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tunix_rt import datasets, errors, traces
from tunix_rt.engine import masks, packing
from tunix_rt.engine.inputs import dataset_in, model_in
from tunix_rt.engine.packing import Part
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Batch, EstimateJob, Events, Inputs, Stage, TooLong, TrainConfig, TrainJob
from tunix_rt.models import BaseModel
from tunix_rt.traces import Trace


class Corpus(NamedTuple):
    """`stages` and `parts` go together, one or more; `held_out` is None without validation. Names of traces that were too long
    are apart for what is trained on and what is held out."""

    base: BaseModel
    stages: tuple[Stage, ...]
    digests: tuple[str, ...]
    parts: tuple[Part, ...]
    held_out: tuple[Example, ...] | None
    truncated: tuple[str, ...]
    dropped: tuple[str, ...]
    held_out_truncated: tuple[str, ...] = ()
    held_out_dropped: tuple[str, ...] = ()

    @property
    def too_long(self) -> dict[str, list[str]]:
        """Ids of the traces that were, by what became of them."""
        return {
            "truncated": list(self.truncated),
            "dropped": list(self.dropped),
            "held_out_truncated": list(self.held_out_truncated),
            "held_out_dropped": list(self.held_out_dropped),
        }

    @property
    def examples(self) -> list[Example]:
        return [example for part in self.parts for example in part.examples]

    def trained_share(self, batch: Batch) -> float:
        """Of the places that examples take in rows, the share with a loss; what they have in common is left out, as if rows
        were long."""
        examples = self.examples
        trained = sum(len(example.tokens) - example.prefix for example in examples)
        places = sum(len(example.tokens) for example in examples) - len(examples) * packing.common(examples, batch)
        return trained / max(1, places)


class Fitted(NamedTuple):
    """Examples no longer than a row, and the ids of those that were."""

    examples: tuple[Example, ...]
    truncated: tuple[str, ...]
    dropped: tuple[str, ...]


def read(job: TrainJob | EstimateJob, inputs: Inputs, events: Events) -> Corpus:
    """Tokenise everything the job names. Raises `errors.Invalid` for a tokenizer that is not the model's, a trace longer
    than the model's context (unless `too_long` says what becomes of it), a prompt of the held-out dataset that is also
    trained on, and where nothing is left to train on or to hold out."""
    config = job.config
    base = model_in(inputs.model, job.model_digest)
    prompts = Prompts(base.folder, config.instruction, config.format)
    stages = config.stages or (Stage(dataset=job.dataset, epochs=config.epochs),)
    digests = job.stage_digests or (job.dataset_digest,)
    folders = inputs.stages or (inputs.dataset,)
    read_stages = [_traces(folder, digest) for folder, digest in zip(folders, digests, strict=True)]
    most = min(config.batch.row_tokens, prompts.context)
    fitted = [fit(_examples(prompts, stage), most, config.too_long) for stage in read_stages]
    held_out = Fitted((), (), ())
    if config.validation is not None:
        kept = _traces(Path(str(inputs.validation)), str(job.validation_digest))
        _refuse_seen(kept, (trace for stage in read_stages for trace in stage), config.validation.dataset)
        held_out = fit(_examples(prompts, kept), most, config.too_long)
    corpus = Corpus(
        base=base,
        stages=stages,
        digests=digests,
        parts=tuple(Part(one.examples, stage.epochs) for one, stage in zip(fitted, stages, strict=True)),
        held_out=held_out.examples if config.validation else None,
        truncated=tuple(name for one in fitted for name in one.truncated),
        dropped=tuple(name for one in fitted for name in one.dropped),
        held_out_truncated=held_out.truncated,
        held_out_dropped=held_out.dropped,
    )
    _refuse_beyond(prompts.context, (*corpus.examples, *(corpus.held_out or ())))
    if any(corpus.too_long.values()):
        events.emit("too_long", **corpus.too_long)
    _refuse_empty(corpus, config, most)
    return corpus


def fit(examples: Iterable[Example], row_tokens: int, too_long: TooLong) -> Fitted:
    """Examples for rows of that size. What is cut loses the end of its reply, never its prompt; `refuse` leaves what is too
    long in place, for packing to refuse by name."""
    kept, truncated, dropped = [], [], []
    for example in examples:
        if len(example.tokens) <= row_tokens or too_long == "refuse":
            kept.append(example)
        elif too_long == "drop" or example.prefix >= row_tokens:
            dropped.append(example.id)
        else:
            truncated.append(example.id)
            kept.append(example._replace(tokens=example.tokens[:row_tokens]))
    return Fitted(tuple(kept), tuple(truncated), tuple(dropped))


def _traces(folder: Path, digest: str) -> list[Trace]:
    return list(traces.read(dataset_in(folder, digest).path))


def _examples(prompts: Prompts, kept: Sequence[Trace]) -> list[Example]:
    return [masks.conforming(prompts, trace) for trace in kept]


def _refuse_seen(held_out: Sequence[Trace], trained: Iterable[Trace], name: str) -> None:
    seen = {datasets.canonical_prompt(trace.prompt) for trace in trained}
    leaked = [trace.id for trace in held_out if datasets.canonical_prompt(trace.prompt) in seen]
    if leaked:
        raise errors.Invalid(
            f"{len(leaked)} prompts of the validation dataset {name!r} are also trained on, trace {leaked[0][:12]} first; "
            "`tunix-rt data leak` lists them.",
            field="validation.dataset",
            traces=leaked,
        )


def _refuse_empty(corpus: Corpus, config: TrainConfig, most: int) -> None:
    without = f" without traces longer than {most} tokens" if config.too_long != "refuse" else ""
    for stage, part in zip(corpus.stages, corpus.parts, strict=True):
        if not part.examples:
            raise errors.Invalid(
                f"the dataset {stage.dataset!r} is empty{without}: there is nothing to train on.", field="dataset"
            )
    if config.validation is not None and not corpus.held_out:
        raise errors.Invalid(
            f"the validation dataset {config.validation.dataset!r} is empty{without}: there is nothing to measure.",
            field="validation.dataset",
        )


def _refuse_beyond(context: int, examples: Iterable[Example]) -> None:
    for example in examples:
        if len(example.tokens) > context:
            raise errors.Invalid(
                f"trace {example.id[:12]} has {len(example.tokens)} tokens, the model was made for {context} "
                "('max_position_embeddings' in its config.json); remove it, or choose what becomes of it with 'too_long'.",
                trace=example.id,
                field="too_long",
            )
