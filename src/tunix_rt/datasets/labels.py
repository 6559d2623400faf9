"""What a part writes into the meta of its traces: its label, and the facets that follow from task and level."""

from collections.abc import Mapping
from typing import Any

from tunix_rt.datasets.recipes import Cell, Part, Recipe
from tunix_rt.tasks import CATALOGUE, Task

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


def of(recipe: Recipe, part: Part, cell: Cell, task: Task) -> dict[str, str]:
    """The label of every trace of a cell."""
    facets = {"category": _CATEGORY.get(task.name, task.category), "difficulty": DIFFICULTIES[cell.level]}
    return {**part.label, **{facet: facets[facet] for facet in recipe.facets}}


def put(line: dict[str, Any], label: Mapping[str, str]) -> dict[str, Any]:
    return {**line, "meta": {**line["meta"], **label}} if label else line
