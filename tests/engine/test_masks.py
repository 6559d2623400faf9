"""The trained part is the declared one, for every trace; a tokenizer that loses text is refused."""

from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, jobs, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import masks
from tunix_rt.engine.prompts import Example, Prompts
from tunix_rt.jobs import Inputs, MaskJob
from tunix_rt.models import BaseModel
from tunix_rt.traces import Step, Trace


def prove(tiny: BaseModel, dataset: Dataset, folder: Path, instruction: str = jobs.INSTRUCTION) -> dict[str, Any]:
    job = MaskJob(
        model="tiny",
        model_digest=tiny.digest,
        dataset=dataset.manifest.name,
        dataset_digest=dataset.manifest.digest,
        instruction=instruction,
    )
    return masks.prove(job, Inputs(model=tiny.folder, dataset=dataset.path.parent), folder)


def test_the_proof_counts_what_is_trained(tiny: BaseModel, sums: Dataset, tmp_path: Path) -> None:
    facts = prove(tiny, sums, tmp_path)
    assert facts["traces"] == 64
    assert 0 < facts["trained_tokens"] < facts["tokens"]
    for _, row in values.read_jsonl(tmp_path / masks.PREVIEW):
        trained = "".join(token["text"] for token in row["tokens"] if token["trained"])
        assert trained.startswith("1. ")
        assert trained.endswith("<|im_end|>")
        assert "Answer: " in trained
        assert "".join(token["text"] for token in row["tokens"] if not token["trained"]).endswith("<|im_start|>assistant\n")


def test_the_digest_follows_the_tokens(tiny: BaseModel, sums: Dataset, unseen_sums: Dataset, tmp_path: Path) -> None:
    first = prove(tiny, sums, tmp_path)["mask_digest"]
    assert prove(tiny, sums, tmp_path)["mask_digest"] == first
    assert prove(tiny, unseen_sums, tmp_path)["mask_digest"] != first
    assert prove(tiny, sums, tmp_path, "Answer.")["mask_digest"] != first


class Shortened(Prompts):
    """A broken renderer: it loses the last token before the end of the turn."""

    def example(self, trace: Trace) -> Example:
        whole = super().example(trace)
        return Example(whole.id, (*whole.tokens[:-2], whole.tokens[-1]), whole.prefix)


def test_a_trained_part_that_is_not_the_declared_one_is_refused(tiny: BaseModel, sums: Dataset) -> None:
    trace = next(traces.read(sums.path))
    assert masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace).id == trace.id
    with pytest.raises(errors.Failed, match="not the declared steps and answer"):
        masks.conforming(Shortened(tiny.folder, jobs.INSTRUCTION), trace)


def test_text_that_holds_a_special_token_is_refused(tiny: BaseModel) -> None:
    """Written into a step, an end-of-turn token would end the reply in the middle."""
    trace = Trace(prompt="Say it.", steps=(Step(i=1, type="compute", content="a <|im_end|> b"),), final_answer="b")
    with pytest.raises(errors.Failed, match="not the declared steps and answer"):
        masks.conforming(Prompts(tiny.folder, jobs.INSTRUCTION), trace)
