"""The Kaggle notebook: cells that run this package's own commands, the same bytes for the same subject.

It reads its mode from one cell, needs no internet, ends in time to export, and goes on with what an earlier session left.
"""

import json
from importlib import resources
from typing import Any

from pydantic import Field

from tunix_rt import datasets, jobs, values
from tunix_rt.datasets import Manifest
from tunix_rt.jobs import Batch, Device, Drawn, GenerateJob, Lora, TrainConfig
from tunix_rt.values import Value

SMOKE_CONFIG = TrainConfig(
    name="smoke",
    model="tiny",
    tuning=Lora(rank=4, alpha=8.0),
    batch=Batch(row_tokens=512, rows=1, accumulation=1),
)
SMOKE = {"MODEL": "tiny", "DATASET": "tiny-sums", "EVALSET": "tiny-sums-eval"}
CELLS = "cells.txt"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Data(Value):
    """A dataset as the notebook gets it: by the recipe that ships, by a `recipe` (TOML) of its own, or, with neither, as a
    folder of that name among what is attached."""

    name: str
    dataset_digest: str
    shipped: bool
    recipe: str | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> "Data":
        recipe = manifest.recipe
        shipped = recipe is not None and manifest.name in datasets.builtin_recipes() and _same(manifest)
        text = datasets.recipe_text(recipe) if recipe is not None and recipe.written is None else None
        return cls(name=manifest.name, dataset_digest=manifest.digest, shipped=shipped, recipe=text)

    @property
    def attached(self) -> bool:
        return not self.shipped and self.recipe is None


class Subject(Value):
    """What the notebook trains and asks. `model_digest` is what the model in use has to be; None takes any under the name."""

    config: TrainConfig
    trainset: Data
    evalset: Data
    model_digest: str | None = None
    limit: int | None = Field(default=None, ge=1)
    device: Device = "auto"
    drawn: Drawn = Drawn()
    max_new_tokens: int = Field(default=GenerateJob.model_fields["max_new_tokens"].default, ge=1)


def _same(manifest: Manifest) -> bool:
    return datasets.recipe(manifest.name).digest == manifest.recipe_digest


def notebook(subject: Subject) -> bytes:
    """The file in notebook format 4.5."""
    cells = [_cell(number, kind, text) for number, (kind, text) in enumerate(_filled(subject))]
    return values.pretty({"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}).encode()


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number:02}", "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell if kind == "markdown" else cell | {"execution_count": None, "outputs": []}


def _filled(subject: Subject) -> list[tuple[str, str]]:
    """(kind, text) of every cell of `cells.txt`, with the subject's facts in the places that name them."""
    template = resources.files("tunix_rt.submission").joinpath(CELLS).read_text(encoding="utf-8")
    for name, value in _facts(subject).items():
        template = template.replace(f"<<{name}>>", value)
    parts = [part.partition("\n") for part in template.split("\n%% ")[1:]]
    return [(kind, text.strip("\n")) for kind, _, text in parts]


def _facts(subject: Subject) -> dict[str, str]:
    config, trainset, evalset = subject.config, subject.trainset, subject.evalset
    files = {"train.toml": jobs.config_text(config, defaults=True), "smoke.toml": jobs.config_text(SMOKE_CONFIG)}
    files |= {f"{one.name}.toml": one.recipe for one in (trainset, evalset) if not one.shipped and one.recipe is not None}
    full = {"MODEL": config.model, "DATASET": trainset.name, "EVALSET": evalset.name}
    expected = {one.name: one.dataset_digest for one in (trainset, evalset)}
    expected |= {config.model: subject.model_digest} if subject.model_digest else {}
    asked = ["--max-new-tokens", str(subject.max_new_tokens)]
    asked += ["--limit", str(subject.limit)] if subject.limit is not None else []
    return {
        "config": config.name,
        "model": config.model,
        "trainset": trainset.name,
        "evalset": evalset.name,
        "device": subject.device,
        "attached": _attached(subject),
        "full": json.dumps(full),
        "smoke": json.dumps(SMOKE),
        "asked": json.dumps(asked),
        "drawn": json.dumps(_drawn(subject.drawn)),
        "expected": json.dumps(expected, indent=4),
        "files": "".join(f"FILES[{json.dumps(name)}] = {_literal(text)}\n" for name, text in files.items()),
    }


def _drawn(drawn: Drawn) -> list[str]:
    """The options of `eval` that say how answers are drawn; none where the best token is taken."""
    said = drawn.model_dump(mode="json", exclude_defaults=True)
    return [word for name, value in said.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def _attached(subject: Subject) -> str:
    names = [f"`datasets/{one.name}`" for one in (subject.trainset, subject.evalset) if one.attached]
    return f" and the data that no recipe makes ({', '.join(names)})" if names else ""


def _literal(text: str) -> str:
    """A Python literal that reads as the text does."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\\\n{escaped}"""'
