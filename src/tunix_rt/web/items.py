"""One trace of a dataset by its place in the file: the byte its line begins at, which is what a page's cursor holds too."""

from tunix_rt import datasets, errors
from tunix_rt.api.datasets import PATTERN
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.values import Lines, read_lines

DATA = "dataset.jsonl"

__all__ = ["DATA", "PATTERN", "lines", "trace"]


def lines(settings: Settings, name: str, place: int, limit: int) -> Lines:
    datasets.manifest(settings, name)
    return read_lines(settings.datasets / name / DATA, place, limit)


def trace(settings: Settings, name: str, place: int) -> Trace:
    found = lines(settings, name, place, 1)
    if not found.lines:
        raise errors.NotFound(f"dataset {name!r} has no item at {place}.", dataset=name, place=place)
    return Trace.model_validate_json(found.lines[0])
