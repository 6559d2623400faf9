"""What a part writes into the meta of its traces: its label, and the facets that follow from task and level."""

from collections.abc import Mapping

from tunix_rt.datasets.recipes import Cell, Part, Recipe
from tunix_rt.tasks import CATALOGUE
from tunix_rt.traces import Trace

CATEGORIES: dict[str, tuple[str, ...]] = {
    "arithmetic": ("arithmetic", "decompose", "verify"),
    "word problem": ("speed", "percent", "shopping", "ages", "average", "sharing", "stock", "rates", "fractions"),
    "units": ("convert",),
    "geometry": ("rectangle",),
    "algebra": ("equation",),
    "logic": ("logic", "sets"),
    "strings": ("reverse", "sorting", "repetition", "wordcount", "uppercase"),
}
DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard"}
_CATEGORY = {task: category for category, names in CATEGORIES.items() for task in names if task in CATALOGUE}


def of(recipe: Recipe, part: Part, cell: Cell) -> dict[str, str]:
    """The label of every trace of a cell."""
    facets = {"category": _CATEGORY[cell.task], "difficulty": DIFFICULTIES[cell.level]}
    return {**part.label, **{facet: facets[facet] for facet in recipe.facets}}


def put(trace: Trace, label: Mapping[str, str]) -> Trace:
    return trace.model_copy(update={"meta": {**trace.meta, **label}}) if label else trace
