"""A run as folders that can be uploaded to the Hub as they are: the model with its card, and both datasets with theirs.

OUT/model/               adapter or merged weights, README.md (the card with results), train.toml, tokenizer files if merged
OUT/datasets/NAME/       dataset.jsonl, manifest.json, README.md (the card), croissant.json
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import datasets, errors, evidence, jobs, values
from tunix_rt.evidence import Facts
from tunix_rt.runs.exports import Quality

MODEL, DATASETS = "model", "datasets"


class Layout(NamedTuple):
    """What was laid out, and the commands that would upload it. Nothing is uploaded."""

    folders: tuple[Path, ...]
    uploads: tuple[str, ...]


def quality(facts: Facts, user: str | None) -> Quality:
    """The results of the run for its model card; with an owner's name it links the datasets that are uploaded beside it."""
    named = [facts.trainset.manifest.name, facts.evalset.manifest.name]
    header = f"datasets:\n- {json.dumps(f'{user}/{named[0]}')}\n" if user else ""
    header += f"tags:\n- tunix-rt\n- reasoning\n- {facts.run.method}\nmodel-index: {json.dumps([_index(facts, user)])}\n"
    asked = f"In training and evaluation the system line was `{facts.tuned.job.instruction}`."
    return Quality(header, f"{asked}\n\n{evidence.evaluation_text(facts)}")


def _index(facts: Facts, user: str | None) -> dict[str, Any]:
    """The Hub's `model-index`: the tuned model's rates on the evaluation set, in percent."""
    summary, evalset = facts.tuned.evaluation.summary, facts.evalset.manifest
    rates = {"strict accuracy": summary.accuracy, "lenient accuracy": summary.lenient.accuracy}
    return {
        "name": facts.run.name,
        "results": [
            {
                "task": {"type": "text-generation"},
                "dataset": {"name": evalset.name, "type": f"{user}/{evalset.name}" if user else evalset.name},
                "metrics": [
                    {"type": "accuracy", "name": name, "value": round(100 * value, 2)} for name, value in rates.items()
                ],
            }
        ],
    }


def lay_out(facts: Facts, sources: Sequence[Path], out: Path) -> None:
    """Put the training config to the model that is in `out` already, and the datasets in the folders `sources` beside it,
    every byte verified first.

    Raises `errors.Conflict` when a source is not what the run was trained or evaluated on.
    """
    values.write_bytes(out / MODEL / "train.toml", jobs.config_text(facts.job.config, defaults=True).encode())
    wanted = [facts.run.dataset_digest, facts.comparison.evalset_digest]
    for source, digest in zip(sources, wanted, strict=True):
        manifest = datasets.open_dataset(source).manifest
        if manifest.digest != digest:
            raise errors.Conflict(
                f"{source} holds {manifest.digest[:12]}, the run names {digest[:12]}.", have=manifest.digest, want=digest
            )
        target = out / DATASETS / manifest.name
        target.mkdir(parents=True, exist_ok=True)
        for name in manifest.files:
            shutil.copyfile(source / name, target / name)
        for name, content in datasets.about(manifest).items():
            values.write_bytes(target / name, content)


def layout(facts: Facts, out: Path, user: str | None) -> Layout:
    names = (facts.trainset.manifest.name, facts.evalset.manifest.name)
    folders = (out / MODEL, *(out / DATASETS / name for name in names))
    return Layout(folders, tuple(_uploads(facts, folders, user)) if user else ())


def _uploads(facts: Facts, folders: Sequence[Path], user: str) -> list[str]:
    model, *data = folders
    lines = [f"hf upload {user}/{facts.run.model}-{facts.run.name} {model} . --repo-type model"]
    return lines + [f"hf upload {user}/{folder.name} {folder} . --repo-type dataset" for folder in data]
