"""From a model's replies to traces to train on: what a scorer accepts, with all that is known of where it comes from."""

from pathlib import Path
from typing import Any

import pytest

from made_up import answered
from tunix_rt import datasets, errors, evals, traces, values
from tunix_rt.datasets import Dataset, Recipe
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings

PLAIN: dict[str, Any] = {
    "name": "questions",
    "version": 1,
    "seed": 5,
    "licence": "Apache-2.0",
    "description": "for tests",
    "tasks": {"gym:gcd": {"count": 5}},
}


def asked(home: Path, split: str) -> Dataset:
    recipe = Recipe.parse({**PLAIN, "split": split}, source="test")
    datasets.build(recipe, home / "datasets" / recipe.name)
    return datasets.open_dataset(home / "datasets" / recipe.name)


def said(number: int, answer: str) -> str:
    """One reply for each thing that can become of it."""
    right = f"1. Both can be divided by {answer} and by nothing larger.\nAnswer: {answer}"
    return (right, "1. I guess.\nAnswer: 0", f"Answer: {answer}", "no idea", right.replace("larger", "greater"))[number]


def test_replies_that_a_verifier_accepts_become_a_dataset_with_lineage(tmp_path: Path) -> None:
    questions = asked(tmp_path, "train")
    items = list(traces.read(questions.path))
    outputs = [(said(number, item.final_answer), "stop") for number, item in enumerate(items)]
    folder = answered(tmp_path / "evals" / "one", questions, outputs)
    made = evals.accepted(Settings(home=tmp_path), folder, scorers.named("gym"))
    assert (made.attempts, len(made.traces)) == (5, 2)
    assert made.left_out == {"no_reasoning": 1, "unparseable": 1, "wrong": 1}
    first = made.traces[0]
    assert (first.prompt, first.final_answer, len(first.steps)) == (items[0].prompt, items[0].final_answer, 1)
    source = first.meta["source"]
    assert source["item"] == items[0].id
    assert (source["scorer"], source["plugin"]) == ("gym", "reasoning-gym 0.1.25")
    assert source["of"] == items[0].meta["source"]
    values.write_jsonl(tmp_path / "kept.jsonl", (trace.line() for trace in made.traces))
    manifest = datasets.ingest(tmp_path / "kept.jsonl", tmp_path / "datasets", check=True).manifest
    assert (manifest.count, manifest.source and manifest.source.reasoning_absent) == (2, 0)


def test_every_sample_of_an_item_is_graded_and_the_same_reply_kept_once(tmp_path: Path) -> None:
    questions = asked(tmp_path, "train")
    items = list(traces.read(questions.path))
    folder = answered(tmp_path / "evals" / "one", questions, [("no idea", "stop")] * len(items))
    texts = [said(0, items[0].final_answer), said(4, items[0].final_answer), said(0, items[0].final_answer)]
    row = {"item": items[0].id, "prompt": items[0].prompt, "tokens": 9, "prompt_tokens": 9, "finish": "stop"}
    values.write_jsonl(folder / "generations.jsonl", ({**row, "output": text, "sample": i} for i, text in enumerate(texts)))
    made = evals.accepted(Settings(home=tmp_path), folder, scorers.named("exact"))
    assert [trace.meta["source"]["sample"] for trace in made.traces] == [0, 1]
    assert made.left_out == {"repeated": 1}


def test_prompts_of_an_evaluation_set_are_not_trained_on(tmp_path: Path) -> None:
    questions = asked(tmp_path, "eval")
    outputs = [(said(0, item.final_answer), "stop") for item in traces.read(questions.path)]
    folder = answered(tmp_path / "evals" / "one", questions, outputs)
    with pytest.raises(errors.Refused, match="5 of the items lie on the evaluation side"):
        evals.accepted(Settings(home=tmp_path), folder, scorers.named("gym"))
