"""A model of this workspace as a judge: the engine answers in its own process, greedily; replies are noted as they end."""

from collections.abc import Mapping
from pathlib import Path

from tunix_rt import jobs, models, values
from tunix_rt.evals.judging import Generate, Note
from tunix_rt.jobs import Device, Inputs
from tunix_rt.launchers import local
from tunix_rt.runs import Trained
from tunix_rt.scoring.scorers import Judge
from tunix_rt.scoring.scorers.judge import Reply
from tunix_rt.settings import Settings

ANSWERS = "answers.jsonl"
BATCH = 16


def named(model: models.BaseModel, run: Trained | None, **options: object) -> Judge:
    """The judge that a base model, or what a run made of it, is."""
    about = {"model": run.run_id if run else model.manifest.name, "model_digest": model.digest}
    return Judge.parse({**about, "adapter_digest": run.adapter_digest if run else None, **options}, source="judge")


def asking(
    settings: Settings, judge: Judge, model: models.BaseModel, run: Trained | None, folder: Path, device: Device = "auto"
) -> Generate:
    """Ask in `folder`, which keeps the engine's log. What an earlier attempt there had answered is noted first."""

    def generate(questions: Mapping[str, str], note: Note) -> None:
        told: set[str] = set()
        at = 0

        def follow() -> None:
            nonlocal at
            found = values.read_lines(folder / ANSWERS, at, len(questions) + 1)
            at = found.next
            for row in map(values.json_value, (line.decode() for line in found.lines)):
                if row["item"] in questions and row["item"] not in told:
                    told.add(row["item"])
                    note(row["item"], Reply(text=row["output"], finish=row["finish"], tokens=row["tokens"]))

        follow()
        waiting = [{"item": name, "prompt": text} for name, text in questions.items() if name not in told]
        if waiting:
            at = 0
            (folder / ANSWERS).unlink(missing_ok=True)
            job = jobs.asking(
                folder,
                waiting,
                model=model.manifest.name,
                model_digest=model.digest,
                adapter_digest=judge.adapter_digest,
                instruction=judge.instruction,
                max_new_tokens=judge.max_new_tokens,
                batch_size=BATCH,
                device=device,
            )
            adapter = Path(run.dir) / "adapter" if run else None
            inputs = Inputs(model=model.folder, dataset=model.folder, adapter=adapter, compile_cache=settings.compile_cache)
            jobs.write(folder, job, inputs)
            local.run(folder, follow)
            follow()

    return generate
