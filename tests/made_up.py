"""A small run folder, two datasets and two evaluations, made by the real functions from made-up model outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import comparisons, datasets, evidence, jobs, scoring, tasks, traces, values
from tunix_rt.comparisons import Comparison
from tunix_rt.datasets import Dataset, Recipe, Share
from tunix_rt.jobs import GenerateJob, TrainConfig, TrainJob
from tunix_rt.runs import Trained
from tunix_rt.traces import Trace

MODEL_DIGEST = values.sha256(b"base model")
ADAPTER = bytes(range(256)) * 8
RUN_ID = "20250101-000000-abcdef"


class Folders(NamedTuple):
    run: Path
    base: Path
    tuned: Path
    trainset: Path
    evalset: Path

    def compared(self) -> Comparison:
        return comparisons.compare(comparisons.load(self.base), comparisons.load(self.tuned))

    def pack(self, out: Path, comparison: Comparison | None = None, **options: Any) -> evidence.Manifest:
        comparison = comparison or self.compared()
        return evidence.pack(self.run, self.base, self.tuned, comparison, self.trainset, self.evalset, out, **options)


def dataset_in(folder: Path, split: str, count: int, seed: int = 3) -> Dataset:
    recipe = Recipe(
        name=folder.name,
        version=1,
        seed=seed,
        split=split,
        description="for tests",
        licence="CC0-1.0",
        tasks={name: Share(count=count) for name in sorted(tasks.CATALOGUE)[:4]},
    )
    datasets.build(recipe, folder)
    return datasets.open_dataset(folder)


def _said(trace: Trace, number: int, adapter: str | None) -> tuple[str, str]:
    """Output and finish: the base model rambles, the tuned one is right three times in four."""
    right = scoring.render([step.content for step in trace.steps], trace.final_answer)
    if adapter is None:
        return (f"I think it is {trace.final_answer}", "stop") if number % 5 == 0 else ("Let us see, let us", "length")
    return (right, "stop") if number % 4 else ("1. no idea — “naïve”\nAnswer: 0", "stop")


def _evaluation(folder: Path, evalset: Dataset, adapter: str | None) -> Path:
    said = [_said(trace, number, adapter) for number, trace in enumerate(traces.read(evalset.path))]
    return answered(folder, evalset, said, run_id=RUN_ID if adapter else None, adapter_digest=adapter)


def answered(folder: Path, evalset: Dataset, said: Sequence[tuple[str, str]], **about: Any) -> Path:
    """The folder of an evaluation in which the items, in file order, got these outputs and finishes."""
    manifest = evalset.manifest
    names = {"model": "tiny", "model_digest": MODEL_DIGEST, "max_new_tokens": 20}
    job = GenerateJob(**{**names, **about}, evalset=manifest.name, evalset_digest=manifest.digest)
    predictions, scores = [], []
    items = jobs.spread(list(traces.read(evalset.path)), job.limit)
    for trace, (output, finish) in zip(items, said, strict=True):
        judged = scoring.judge(trace.final_answer, output, finish)
        predictions.append(
            scoring.Prediction(
                item=trace.id,
                prompt=trace.prompt,
                output=output,
                answer=judged.answer,
                steps=judged.steps,
                tokens=20 if finish == "length" else 12,
                prompt_tokens=30,
                finish=finish,
            )
        )
        scores.append(scoring.score(trace.id, str(trace.meta["group"]), trace.final_answer, output, finish))
    summary = {
        "evaluation_id": job.digest[:16],
        "label": "tiny",
        **job.model_dump(include={"run_id", "model", "model_digest", "adapter_digest", "evalset", "evalset_digest"}),
        "instruction_digest": values.sha256(job.instruction.encode()),
        **scoring.summarise(scores).model_dump(mode="json"),
        "tokens": sum(row.tokens for row in predictions),
        "seconds": 1.5,
    }
    values.write_json(folder / "config.json", job.model_dump(mode="json"))
    values.write_jsonl(folder / "predictions.jsonl", (row.model_dump(mode="json") for row in predictions))
    values.write_jsonl(folder / "scores.jsonl", (row.model_dump(mode="json") for row in scores))
    values.write_json(folder / "summary.json", summary)
    return folder


def _run(folder: Path, trainset: Dataset) -> Path:
    job = TrainJob(
        run_id=RUN_ID,
        config=TrainConfig(name="small", model="tiny"),
        model_digest=MODEL_DIGEST,
        dataset=trainset.manifest.name,
        dataset_digest=trainset.manifest.digest,
    )
    rows = [
        {
            "step": step,
            "loss": 3.0 / step,
            "lr": 0.001,
            "grad_norm": 1.0,
            "tokens": 400,
            "trained_tokens": 200,
            "padding_tokens": 100,
            "examples": 4,
            "seconds": 0.5,
        }
        for step in range(1, 6)
    ]
    run = Trained(
        run_id=RUN_ID,
        state="completed",
        reason="done",
        dir=str(folder),
        name="small",
        model="tiny",
        model_digest=MODEL_DIGEST,
        dataset=job.dataset,
        dataset_digest=job.dataset_digest,
        config_digest=job.config.digest,
        adapter_digest=values.sha256(ADAPTER),
        mask_digest=values.sha256(b"masks"),
        method="lora",
        steps=5,
        epochs=1,
        seed=42,
        loss=3.0 / 5,
        first_loss=3.0,
        examples=20,
        tokens=2000,
        trained_tokens=1000,
        trained_parameters=10,
        padding_share=0.2,
        useful_tokens_per_second=800.0,
        seconds=2.5,
        peak_memory_bytes=1,
        device="cpu",
    )
    environment = {"python": "3.11", "tunix_rt": "0.1.0", "lock_digest": values.sha256(b"lock"), "packages": {}}
    adapter_config = {"method": "lora", "base_model_digest": MODEL_DIGEST, "sha256": values.sha256(ADAPTER)}
    values.write_json(folder / "config.json", job.model_dump(mode="json"))
    values.write_json(folder / "environment.json", environment)
    values.write_jsonl(folder / "metrics.jsonl", rows)
    values.write_bytes(folder / "adapter" / "adapter.safetensors", ADAPTER)
    values.write_json(folder / "adapter" / "adapter_config.json", adapter_config)
    values.write_json(folder / "run.json", run.model_dump(mode="json"))
    return folder


def folders_in(home: Path) -> Folders:
    trainset = dataset_in(home / "datasets" / "train-small", "train", 8)
    evalset = dataset_in(home / "datasets" / "eval-small", "eval", 6)
    return Folders(
        run=_run(home / "runs" / RUN_ID, trainset),
        base=_evaluation(home / "evals" / "base", evalset, None),
        tuned=_evaluation(home / "evals" / "tuned", evalset, values.sha256(ADAPTER)),
        trainset=home / "datasets" / "train-small",
        evalset=home / "datasets" / "eval-small",
    )
