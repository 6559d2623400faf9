"""A job's inputs, opened and held against what the job names."""

from pathlib import Path
from typing import NamedTuple

from tunix_rt import datasets, errors, models
from tunix_rt.datasets import Dataset
from tunix_rt.jobs import Inputs
from tunix_rt.models import BaseModel


class Opened(NamedTuple):
    base: BaseModel
    dataset: Dataset


def opened(inputs: Inputs, *, model: str, dataset: str) -> Opened:
    """The verified folders that `inputs` points to; `errors.Tampered` unless their digests are the ones the job names."""
    return Opened(model_in(inputs.model, model), dataset_in(inputs.dataset, dataset))


def model_in(folder: Path, named: str) -> BaseModel:
    found = models.open_folder(folder)
    _same("model", named, found.digest)
    return found


def dataset_in(folder: Path, named: str) -> Dataset:
    found = datasets.open_dataset(folder)
    _same("dataset", named, found.manifest.digest)
    return found


def _same(what: str, named: str, there: str) -> None:
    if named != there:
        raise errors.Tampered(f"the job names {what} {named[:12]}, the folder given holds {there[:12]}.", field=what)
