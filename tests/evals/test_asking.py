"""How a question is put: the reply format and its instruction, and answers that are drawn."""

from pathlib import Path
from typing import Any

import pytest

from made_up import Folders
from tunix_rt import comparisons, datasets, errors, evals, jobs, runs, scoring, traces, values
from tunix_rt.jobs import INSTRUCTION, INSTRUCTIONS, GenerateJob, Inputs, TrainConfig
from tunix_rt.runs import EvalSpec, TrainSpec
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings

Own = tuple[Settings, Folders]
ASKED = {"model": "tiny", "model_digest": "a" * 64, "evalset": "eval-small", "evalset_digest": "c" * 64}


def config(**keys: Any) -> TrainConfig:
    return TrainConfig.parse({"name": "x", "model": "tiny", **keys}, source="test")


def test_an_instruction_that_is_a_formats_own_follows_the_format() -> None:
    assert config().instruction == INSTRUCTION == INSTRUCTIONS["numbered"]
    thinking = config(format="think")
    assert thinking.instruction == INSTRUCTIONS["think"]
    assert config(**thinking.model_dump(exclude={"name", "model"}) | {"format": "tags"}).instruction == INSTRUCTIONS["tags"]
    assert config(format="think", instruction="Think.").instruction == "Think."
    assert EvalSpec.parse({**ASKED, "format": "tags"}, source="test").instruction == INSTRUCTIONS["tags"]
    with pytest.raises(errors.Invalid, match="'format' is 'thoughts'"):
        config(format="thoughts")


def test_what_is_as_it_was_keeps_its_id() -> None:
    assert config(format="numbered").digest == config().digest
    assert config(format="think").digest != config().digest
    greedy = EvalSpec.parse(ASKED, source="test")
    assert (
        EvalSpec.parse({**ASKED, "samples": 1, "temperature": 0, "seed": 0}, source="test").evaluation_id
        == greedy.evaluation_id
    )


def test_a_run_is_evaluated_in_the_format_it_was_trained_in() -> None:
    asked = TrainSpec.parse(
        {
            "config": {"name": "x", "model": "tiny", "format": "think", "instruction": "Think."},
            "model_digest": "a" * 64,
            "dataset": "d",
            "evaluate": {"evalset": "eval-small", "evalset_digest": "c" * 64, "temperature": 0.7, "samples": 4, "seed": 3},
        },
        source="test",
    )
    spec = runs.specs.evaluation_of(asked, "r", "b" * 64)
    assert spec is not None
    job = spec.job()
    assert (job.format, job.instruction, job.temperature, job.samples, job.seed) == ("think", "Think.", 0.7, 4, 3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"samples": 4}, "several 'samples' need a 'temperature' above 0"),
        ({"temperature": -1}, "'temperature' is -1"),
        ({"top_p": 0, "temperature": 1}, "'top_p' is 0"),
        ({"top_k": 0, "temperature": 1}, "'top_k' is 0"),
    ],
)
def test_sampling_that_means_nothing_is_refused_by_name(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        EvalSpec.parse({**ASKED, **keys}, source="test")


@pytest.fixture
def sampled(own: Own, tmp_path: Path) -> Path:
    """Two answers to each item, the first right and in the format `tags`, the second right but numbered."""
    found = datasets.open_dataset(own[1].evalset)
    manifest, folder = found.manifest, tmp_path / "sampled"
    names = {**ASKED, "evalset_digest": manifest.digest}
    job = GenerateJob(**names, format="tags", instruction=INSTRUCTIONS["tags"], samples=2, temperature=0.5)
    jobs.write(folder, job, Inputs(model=folder, dataset=found.path.parent))
    rows = []
    for trace in traces.read(found.path):
        for sample, form in ((1, "numbered"), (0, "tags")):
            said = scoring.render([step.content for step in trace.steps], trace.final_answer, form)  # type: ignore[arg-type]
            row = {"item": trace.id, "prompt": trace.prompt, "output": said, "tokens": 9 + sample, "prompt_tokens": 5}
            rows.append({**row, "finish": "stop", "sample": sample})
    values.write_jsonl(folder / "generations.jsonl", rows)
    values.write_json(folder / "result.json", {"seconds": 1.0, "tokens": sum(row["tokens"] for row in rows)})
    evals.score(folder, None)
    return folder


def test_the_first_sample_is_scored_in_the_format_that_was_asked_for(own: Own, sampled: Path) -> None:
    summary = values.read_json(sampled / "summary.json")
    assert (summary["format"], summary["samples"], summary["accuracy"]) == ("tags", 2, 1.0)
    assert summary["tokens"] == 9 * summary["n"]
    found = evals.attempts(own[0], sampled, [1, 2])
    assert (found["attempts"], found["measures"]["pass@1"]["value"], found["measures"]["pass@2"]["value"]) == (2, 0.5, 1.0)
    made, _ = evals.rescore(own[0], sampled, scorers.named("format"))
    assert made.accuracy == 1.0
    steps, _ = evals.rescore(own[0], sampled, scorers.named("steps"))
    assert steps.measures["right_answer_wrong_reasoning"] == 0
    assert steps.measures["answers_right"] == summary["n"]


def test_evaluations_in_different_formats_are_not_compared(sampled: Path) -> None:
    one = comparisons.load(sampled)
    assert comparisons.compare(one, one).difference == 0
    other = one._replace(summary=one.summary.model_copy(update={"format": "think"}))
    with pytest.raises(errors.Invalid, match="asked for the formats 'tags' and 'think'"):
        comparisons.compare(one, other)
