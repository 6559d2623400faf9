"""Evaluations: predictions -> scores -> summary, named by what was asked, so that the same question is answered once.

`predictions.jsonl` keeps every item with its whole output, `scores.jsonl` the judgement of each, `summary.json` (written
last) the counts and intervals. The id is the digest of the job: model, adapter, items, instruction and generation limits.
"""

from pathlib import Path
from typing import Any

from tunix_rt import datasets, errors, jobs, models, scoring, traces, values
from tunix_rt.evals import looks
from tunix_rt.jobs import Device, Drawn, GenerateJob, Inputs
from tunix_rt.runs import EvalSpec, Trained
from tunix_rt.scoring import ReplyFormat
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace


def question(
    model: models.BaseModel,
    evalset: datasets.Dataset,
    *,
    run: Trained | None = None,
    format: ReplyFormat = "numbered",
    instruction: str = jobs.INSTRUCTION,
    max_new_tokens: int = GenerateJob.model_fields["max_new_tokens"].default,
    limit: int | None = None,
    device: Device = "auto",
    drawn: Drawn = Drawn(),
) -> EvalSpec:
    """The evaluation of a base model, or of the run tuned from it, on `evalset`."""
    return EvalSpec(
        model=model.manifest.name,
        model_digest=model.digest,
        run_id=run.run_id if run else None,
        adapter_digest=run.adapter_digest if run else None,
        tuned_by=run.name if run else None,
        evalset=evalset.manifest.name,
        evalset_digest=evalset.manifest.digest,
        format=format,
        instruction=instruction,
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        **drawn.model_dump(),
    )


def prepare(settings: Settings, spec: EvalSpec, folder: Path, trained_in: Path | None) -> None:
    """Write the attempt folder of an evaluation, and note the look; `trained_in` is the folder of the run it names."""
    model = models.prepare(settings, spec.model)
    inputs = Inputs(
        model=model.folder,
        dataset=datasets.find(settings, spec.evalset).path.parent,
        adapter=trained_in / "adapter" if trained_in else None,
        compile_cache=settings.compile_cache,
    )
    jobs.write(folder, spec.job(), inputs)
    look = looks.Look(
        evaluation_id=spec.evaluation_id,
        evalset=spec.evalset,
        evalset_digest=str(spec.evalset_digest),
        model=spec.model,
        run_id=spec.run_id,
        at=looks.now(),
    )
    looks.note(settings, look)


def score(folder: Path, tuned_by: str | None) -> dict[str, Any]:
    """Judge the generations in `folder`; returns what `summary.json` holds. Doing it again gives the same bytes.

    Of several samples of an item the first is judged here; `attempts` looks at all of them.
    """
    job, inputs = jobs.read(folder)
    if not isinstance(job, GenerateJob):
        raise errors.Invalid(f"{folder} holds a {job.kind!r} job, not an evaluation.")
    items = jobs.spread(list(traces.read(datasets.open_dataset(inputs.dataset).path)), job.limit)
    rows = [{"sample": 0, **row} for _, row in values.read_jsonl(folder / "generations.jsonl")]
    said = {row["item"]: row for row in rows if row.pop("sample") == 0}
    predictions = [_prediction(item, said[item.id], job.format) for item in items]
    scores = [
        scoring.score(item.id, str(item.meta.get("group", "")), item.final_answer, said.output, said.finish, job.format)
        for item, said in zip(items, predictions, strict=True)
    ]
    values.write_jsonl(folder / "predictions.jsonl", (row.model_dump(mode="json") for row in predictions))
    values.write_jsonl(folder / "scores.jsonl", (row.model_dump(mode="json") for row in scores))
    result = values.read_json(folder / "result.json")
    summary = {
        "evaluation_id": job.digest[:16],
        "label": f"{job.model} tuned by {tuned_by}" if tuned_by else f"{job.model} (base)",
        "run_id": job.run_id,
        "model": job.model,
        "model_digest": job.model_digest,
        "adapter_digest": job.adapter_digest,
        "evalset": job.evalset,
        "evalset_digest": job.evalset_digest,
        "format": job.format,
        "instruction_digest": values.sha256(job.instruction.encode()),
        "samples": job.samples,
        **scoring.summarise(scores).model_dump(mode="json"),
        "tokens": sum(row.tokens or 0 for row in predictions),
        "seconds": result["seconds"],
    }
    values.write_json(folder / "summary.json", summary)
    return summary


def _prediction(item: Trace, row: dict[str, object], form: ReplyFormat) -> scoring.Prediction:
    judged = scoring.judge(item.final_answer, str(row["output"]), str(row["finish"]), form)
    return scoring.Prediction.parse({**row, "answer": judged.answer, "steps": judged.steps}, source="generations.jsonl")


def find(settings: Settings, name: str) -> Path:
    """The folder of a finished evaluation, by id or path."""
    for folder in (settings.evals / name, Path(name)):
        if (folder / "summary.json").is_file():
            return folder
    known = [path.parent.name for path in settings.evals.glob("*/summary.json")]
    raise errors.NotFound(f"no finished evaluation {name!r}.{errors.nearest(name, known)}", evaluation=name)


def of_run(settings: Settings, run: Trained) -> tuple[Path, Path]:
    """(base, tuned): the newest evaluation of the run, and the one of its base model with the same question."""
    asked = [path.parent for path in settings.evals.glob("*/config.json") if (path.parent / "summary.json").is_file()]
    jobs_by_folder = {folder: jobs.read(folder)[0] for folder in asked}  # an imported evaluation has no job
    newest = sorted(jobs_by_folder, key=lambda folder: -(folder / "summary.json").stat().st_mtime_ns)
    for tuned in newest:
        job = jobs_by_folder[tuned]
        if isinstance(job, GenerateJob) and job.run_id == run.run_id:
            twin = job.model_copy(update={"run_id": None, "adapter_digest": None})
            for base in newest:
                if jobs_by_folder[base] == twin:
                    return base, tuned
            raise errors.NotFound(
                f"run {run.run_id} is evaluated, its base is not: "
                f"run tunix-rt eval {run.model} --on {job.evalset} --like {run.run_id}"
            )
    raise errors.NotFound(f"run {run.run_id} has no evaluation yet: run tunix-rt eval {run.run_id} --on EVALSET")
