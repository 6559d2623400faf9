"""A job's inputs, opened and held against what the job names."""

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
    found = Opened(models.open_folder(inputs.model), datasets.open_dataset(inputs.dataset))
    for what, named, there in (("model", model, found.base.digest), ("dataset", dataset, found.dataset.manifest.digest)):
        if named != there:
            raise errors.Tampered(f"the job names {what} {named[:12]}, the folder given holds {there[:12]}.")
    return found
