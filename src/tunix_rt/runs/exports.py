"""A finished run as a model folder for others: the engine writes the tensors, the card says where they come from."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, jobs, models, values
from tunix_rt.jobs import ExportForm, ExportJob, Inputs
from tunix_rt.runs.trained import Trained
from tunix_rt.settings import Settings

CARD = "README.md"


def prepare(settings: Settings, run: Trained, job: ExportJob, folder: Path) -> None:
    """Write the attempt folder of an export; the engine refuses a base or an adapter other than the ones the run names."""
    base = models.prepare(settings, run.model)
    data = settings.datasets / run.dataset  # not read: an export needs no data
    jobs.write(folder, job, Inputs(model=base.folder, dataset=data, adapter=Path(run.dir) / "adapter"))


def job_of(run: Trained, form: str, dtype: str = "float32") -> ExportJob:
    """`errors.Invalid` for a dtype that the form does not have."""
    if form != "gguf" and dtype != "float32":
        raise errors.Invalid(f"--dtype {dtype} is for --to gguf; {form} weights are float32.", field="dtype")
    given = {
        "model": run.model,
        "model_digest": run.model_digest,
        "adapter_digest": run.adapter_digest,
        "form": form,
        "dtype": dtype,
    }
    return ExportJob.parse({"run_id": run.run_id, **given}, source="export")


class Quality(NamedTuple):
    """What is known of how good the model is: lines for the card's YAML header, and a part of its text."""

    header: str = ""
    text: str = "How good the model is, the run itself does not say: see its evaluation."


UNKNOWN = Quality()


def vacant(out: Path) -> None:
    """Raise `errors.Conflict` when there is something where an export is to be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.Conflict(f"{str(out)!r} is not an empty folder; give another with --out.", path=str(out))


def publish(
    run: Trained, job: ExportJob, base: models.BaseModel, made: Path, out: Path, quality: Quality = UNKNOWN
) -> dict[str, str]:
    """Move what the engine made to `out`, with its card; returns file name -> sha256. `out` must be empty or absent."""
    vacant(out)
    values.write_bytes(made / CARD, card(run, job, base, quality).encode())
    files = {path.name: values.sha256_file(path) for path in sorted(made.iterdir())}
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, out)
    return files


def card(run: Trained, job: ExportJob, base: models.BaseModel, quality: Quality = UNKNOWN) -> str:
    """A model card from the run's facts and what its evaluation found; nothing is claimed that was not recorded."""
    facts = {
        "base model": f"{run.model}, from {base.manifest.source}, digest `{run.model_digest}`",
        "dataset": f"{run.dataset}, digest `{run.dataset_digest}`",
        "training": f"{run.method}, {run.steps} optimizer steps, {run.epochs} epochs asked for, seed {run.seed}",
        "examples": f"{run.examples:,}, {run.tokens:,} tokens, loss on {run.trained_tokens:,} of them",
        "loss": f"{run.first_loss:.4f} at the first step, {run.loss:.4f} at the last",
        "trained parameters": f"{run.trained_parameters:,}",
        "adapter": f"digest `{run.adapter_digest}`",
        "training config": f"digest `{run.config_digest}`",
        "loss mask": f"digest `{run.mask_digest}`",
        "run": f"`{run.run_id}` on {run.device}, {run.seconds:.0f} s",
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    library, what = _FORMS[job.form]
    whose = "the base model's" if job.form == "adapter" else "this folder's"
    return (
        f"---\nlicense: {json.dumps(base.manifest.licence.lower())}\nbase_model: {json.dumps(run.model)}\n"
        f"library_name: {library}\npipeline_tag: text-generation\n"
        f"{quality.header}---\n\n"
        f"# {run.name}\n\n{run.model}, fine-tuned on reasoning traces with google-tunix. {what}\n\n"
        f"| fact | value |\n|---|---|\n{rows}\n\n"
        "Prompts must be rendered as in training: the system line of the training config, then the question, through "
        f"{whose} chat template.\n\n{quality.text}\n"
    )


_FORMS: dict[ExportForm, tuple[str, str]] = {
    "merged": ("transformers", "The folder holds all weights in float32; `transformers` loads it as it is."),
    "adapter": ("peft", "The folder holds the LoRA matrices; PEFT loads them onto the base model."),
    "gguf": ("gguf", "`model.gguf` holds all weights, tokenizer and chat template, for llama.cpp and what builds on it."),
}
