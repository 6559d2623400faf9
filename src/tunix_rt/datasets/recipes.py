"""A recipe: what a dataset is made of, as a value. `plan` turns it into exact counts before anything is generated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import tomli_w
from pydantic import Field, FiniteFloat, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from tunix_rt import errors, recipes, tasks
from tunix_rt.datasets import capacities, reviews, written
from tunix_rt.datasets.capacities import Split
from tunix_rt.datasets.reviews import Review
from tunix_rt.tasks import LEVELS, TRANSFORMS, Task
from tunix_rt.tasks.holdout import FORMS, Forms
from tunix_rt.tasks.rng import Rng
from tunix_rt.traces import Trace
from tunix_rt.values import Value, read_toml

K = TypeVar("K")
Facet = Literal["category", "difficulty"]
Option = bool | int | FiniteFloat | str
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Weights = dict[Annotated[int, Field(ge=1, le=3)], Annotated[int, Field(ge=0)]]
KEY_META = frozenset({"task", "task_version", "level", "group", "key", "transform"}) | reviews.META  # what makes an item again


class Share(Value):
    """How much of a task: an exact `count`, or a `weight` in what the `count` of its mix leaves over. `levels` are weights.

    `options` change the configuration of a task of reasoning-gym.
    """

    count: int | None = Field(default=None, ge=0)
    weight: int | None = Field(default=None, ge=1)
    levels: Weights | None = None
    options: dict[str, Option | list[Option]] = Field(default_factory=dict, exclude_if=lambda options: not options)

    @model_validator(mode="after")
    def _one_amount(self) -> "Share":
        if (self.count is None) == (self.weight is None):
            raise ValueError("needs either count or weight")
        return self


class Part(Value):
    """A mix of its own inside a recipe; its traces carry `label` in their meta, or `part = NAME` when it gives none.

    `levels` are the weights of tasks that give none, and default to the recipe's. With `review`, each item is an attempt at a
    problem of these tasks, to be reviewed.
    """

    count: int | None = Field(default=None, ge=1)
    levels: Weights | None = None
    tasks: dict[str, Share] = Field(min_length=1)
    transforms: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    forms: Forms = "all"
    label: dict[Name, str] = Field(default_factory=dict)
    review: Review | None = Field(default=None, exclude_if=lambda review: review is None)

    @model_validator(mode="after")
    def _fits(self) -> "Part":
        _weights_need_a_count(self.tasks, self.count, "the part")
        if taken := sorted(KEY_META & self.label.keys()):
            raise ValueError(f"label {taken[0]!r} says how a trace is made again; use another name")
        if self.review and self.transforms:
            raise ValueError("a part with review has no transforms; put them into another part")
        return self


class Written(Value):
    """Items written by hand: a JSONL file beside the recipe's own, named with its sha256. `folder` is where `load` found it."""

    file: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    folder: SkipJsonSchema[Path | None] = Field(default=None, exclude=True)


class Recipe(Value):
    """`levels` are the weights of tasks that give none. `transforms` counts items put through each edge-case transform.

    Either `tasks`, `parts` or both say what is generated, or `written` names items that people wrote. `facets` are written into
    the meta of every generated trace.
    """

    name: Name
    version: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)
    split: Split
    description: str
    licence: str
    count: int | None = Field(default=None, ge=1)
    levels: Weights = Field(default_factory=lambda: dict.fromkeys(LEVELS, 1))
    tasks: dict[str, Share] = Field(default_factory=dict)
    transforms: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    # Fields that recipes did not always have stay out of the text of a manifest that does not use them.
    forms: Forms = Field(default="all", exclude_if=lambda forms: forms == "all")
    facets: tuple[Facet, ...] = Field(default=(), exclude_if=lambda facets: not facets)
    parts: dict[Name, Part] = Field(default_factory=dict, exclude_if=lambda parts: not parts)
    written: Written | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        generated = self.tasks or self.parts
        if bool(generated) == (self.written is not None):
            raise ValueError("needs tasks or parts to generate, or written items, and not both")
        if not self.tasks and (self.count is not None or self.transforms):
            raise ValueError("count and transforms go with tasks; each part has its own")
        _weights_need_a_count(self.tasks, self.count, "the recipe")
        return self

    @property
    def mixes(self) -> dict[str, Part]:
        """Every mix by the name of its part, levels and labels filled in; the recipe's own mix is named ""."""
        found = {}
        if self.tasks:
            found[""] = Part(
                count=self.count, levels=self.levels, tasks=self.tasks, transforms=self.transforms, forms=self.forms
            )
        for name, part in self.parts.items():
            full = {"levels": part.levels or self.levels, "label": part.label or {"part": name}}
            found[name] = part.model_copy(update=full)
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """The meta keys that tell the traces of this recipe apart, beside those that every generated trace has."""
        facets = ("category", "difficulty") if self.written else self.facets
        named = {key for part in self.mixes.values() for key in part.label}
        return (*sorted(named - {"section"}), *facets)


def _weights_need_a_count(shares: Mapping[str, Share], count: int | None, where: str) -> None:
    weighted = [name for name, share in shares.items() if share.weight is not None]
    if weighted and count is None:
        raise ValueError(f"task {weighted[0]!r} has a weight, so {where} needs a count")


class Cell(NamedTuple):
    """A run of `size` items of one stream, for one part of the recipe."""

    task: str
    level: int
    transform: str | None
    size: int
    part: str = ""
    forms: Forms = "all"

    def chosen(self, recipe: Recipe) -> Task:
        """Its task, as this recipe configures it."""
        return tasks.get(self.task, recipe.mixes[self.part].tasks[self.task].options)


class Plan(NamedTuple):
    """What will be generated, cell by cell, or the `items` that were written."""

    recipe: Recipe
    cells: tuple[Cell, ...]
    items: tuple[Trace, ...] = ()

    @property
    def size(self) -> int:
        return sum(cell.size for cell in self.cells) + len(self.items)


def plan(recipe: Recipe) -> Plan:
    """Exact counts for every (part, task, level, transform); refuses more than a task can give on the recipe's side of the
    split and in the forms it may use. Written items are read, and refused if they are not what the recipe says."""
    if recipe.written:
        return Plan(recipe, (), _written_items(recipe.name, recipe.written))
    cells: list[Cell] = []
    for name, mix in recipe.mixes.items():
        _known(recipe, mix)
        counts = _task_counts(_called(recipe, name), mix)
        cells += [
            Cell(task, level, None, size, name, mix.forms)
            for task, share in mix.tasks.items()
            for level, size in largest_remainder(counts[task], share.levels or mix.levels or {}).items()
            if size
        ]
        cells += _edge_cells(recipe.seed, name, mix, counts)
        _in_pairs(recipe.name, cells, mix, name)
    _within_capacity(recipe, cells)
    return Plan(recipe, tuple(cells))


def _in_pairs(recipe: str, cells: Sequence[Cell], mix: Part, part: str) -> None:
    odd = [cell for cell in cells if cell.part == part and cell.size % 2] if mix.review else []
    for cell in odd:
        raise errors.Invalid(
            f"recipe {recipe!r}, part {part!r}: {cell.size} items of task {cell.task!r} level {cell.level} to be reviewed; "
            "they come in pairs, so ask for an even number of every level.",
            task=cell.task,
        )


def _called(recipe: Recipe, part: str) -> str:
    return f"recipe {recipe.name!r}" + (f", part {part!r}," if part else "")


def largest_remainder(total: int, weights: Mapping[K, int]) -> dict[K, int]:
    """`total` dealt out in proportion to the weights, exactly; ties go to the earlier key (Hamilton's method)."""
    whole = sum(weights.values())
    if whole == 0:
        raise errors.Invalid(f"all weights are 0 in {dict(weights)!r}; at least one must be more.")
    shares = {key: total * weight // whole for key, weight in weights.items()}
    owed = sorted(weights, key=lambda key: -(total * weights[key] % whole))
    for key in owed[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


def _known(recipe: Recipe, mix: Part) -> None:
    """Checked here and not in the value, so that a dataset made by a task since retired can still be opened."""
    for name in mix.transforms:
        if name not in TRANSFORMS:
            text = f"recipe {recipe.name!r}: no transform {name!r}.{errors.nearest(name, TRANSFORMS)}"
            raise errors.NotFound(text, transform=name)
    for name, share in mix.tasks.items():
        if tasks.get(name, share.options).section == "foreign" and (mix.transforms or mix.review):
            raise errors.Invalid(
                f"recipe {recipe.name!r}: task {name!r} has no steps to review and no prompt that may be changed; put it into "
                "a part without transforms and review.",
                task=name,
            )


def _task_counts(called: str, mix: Part) -> dict[str, int]:
    exact = {name: share.count for name, share in mix.tasks.items() if share.count is not None}
    weights = {name: share.weight for name, share in mix.tasks.items() if share.weight is not None}
    fixed = sum(exact.values()) + sum(mix.transforms.values())
    if mix.count is None:
        return exact
    if mix.count < fixed or (not weights and mix.count != fixed):
        raise errors.Invalid(f"{called} asks for {mix.count} items but its parts add up to {fixed}.")
    return exact | (largest_remainder(mix.count - fixed, weights) if weights else {})


def _edge_cells(seed: int, part: str, mix: Part, counts: Mapping[str, int]) -> list[Cell]:
    """Edge-case items take their tasks in proportion to the mix, by a draw keyed with the recipe's seed; a mix of nothing
    but edge cases goes by its weights."""
    amounts = counts if any(counts.values()) else {name: share.weight or 0 for name, share in mix.tasks.items()}
    pool = [name for name, amount in amounts.items() for _ in range(amount)]
    cells: Counter[tuple[str, int, str]] = Counter()
    for transform, count in mix.transforms.items():
        for j in range(count):
            rng = Rng(seed, f"edge/{part}/{transform}" if part else f"edge/{transform}", j)
            task = rng.pick(pool)
            weights = mix.tasks[task].levels or mix.levels or {}
            level = rng.pick([level for level, weight in weights.items() for _ in range(weight)])
            cells[task, level, transform] += 1
    return [Cell(*cell, size, part, mix.forms) for cell, size in cells.items()]


def _within_capacity(recipe: Recipe, cells: Sequence[Cell]) -> None:
    """Cells of one stream draw from the same prompts, whichever parts they belong to, and some levels share prompts."""
    streams: dict[tuple[Task, str | None, Forms], Counter[int]] = {}
    chosen = {
        (part, name): tasks.get(name, share.options) for part, mix in recipe.mixes.items() for name, share in mix.tasks.items()
    }
    for cell in cells:
        for forms in FORMS:
            wanted = streams.setdefault((chosen[cell.part, cell.task], cell.transform, forms), Counter())
            wanted[cell.level] += cell.size if forms in ("all", cell.forms) else 0
    for (task, _, forms), wanted in streams.items():
        for level, size in wanted.items():
            taken = capacities.lost(task, level, wanted)
            there = capacities.room(task, level, forms, recipe.split) - taken
            if size > max(there, 0):
                kind = "" if forms == "all" else f"in {forms} forms "
                rest = f"; other levels of this recipe take about {taken} more" if taken else ""
                raise errors.Invalid(
                    f"recipe {recipe.name!r} asks for {size} items of task {task.name!r} level {level}, which has only about "
                    f"{there} {kind}on the {recipe.split} side of the split{rest}; ask for fewer or for other levels.",
                    task=task.name,
                    level=level,
                    capacity=there,
                )


def _written_items(name: str, items: Written) -> tuple[Trace, ...]:
    return written.read((items.folder or recipes.folder() / "data") / items.file, items.sha256, name)


def load(path: Path) -> Recipe:
    found = Recipe.parse(read_toml(path), source=str(path))
    if found.written is None:
        return found
    return found.model_copy(update={"written": found.written.model_copy(update={"folder": path.parent})})


def builtin_recipes() -> dict[str, Path]:
    """name -> file of every dataset recipe that ships."""
    return {name: recipes.path("data", name) for name in recipes.names("data")}


def recipe(name_or_path: str) -> Recipe:
    """A built-in recipe by name, or any recipe by the path of its TOML file."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return load(Path(name_or_path))
    return load(recipes.path("data", name_or_path))


def recipe_text(recipe: Recipe) -> str:
    """The recipe as the TOML file that `load` reads; what is as always is left out. Written items need their file beside it."""
    data = recipe.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return tomli_w.dumps(data)
