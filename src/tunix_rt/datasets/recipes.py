"""A recipe: what a dataset is made of, as a value. `plan` turns it into exact counts before anything is generated."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field, StringConstraints, model_validator

from tunix_rt import errors, recipes, tasks
from tunix_rt.tasks import LEVELS, TRANSFORMS
from tunix_rt.tasks.rng import Rng
from tunix_rt.values import Value, read_toml

K = TypeVar("K")
Split = Literal["train", "eval"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Weights = dict[Annotated[int, Field(ge=1, le=3)], Annotated[int, Field(ge=0)]]
EVAL_SHARE = 8  # one canonical prompt in eight can only ever be an evaluation prompt


class Share(Value):
    """How much of a task: an exact `count`, or a `weight` in what the recipe's `count` leaves over. `levels` are weights."""

    count: int | None = Field(default=None, ge=0)
    weight: int | None = Field(default=None, ge=1)
    levels: Weights | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> "Share":
        if (self.count is None) == (self.weight is None):
            raise ValueError("needs either count or weight")
        return self


class Recipe(Value):
    """`levels` are the weights of tasks that give none. `transforms` counts items put through each edge-case transform."""

    name: Name
    version: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)
    split: Split
    description: str
    licence: str
    count: int | None = Field(default=None, ge=1)
    levels: Weights = Field(default_factory=lambda: dict.fromkeys(LEVELS, 1))
    tasks: dict[str, Share] = Field(min_length=1)
    transforms: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _weights_need_a_count(self) -> "Recipe":
        weighted = [name for name, share in self.tasks.items() if share.weight is not None]
        if weighted and self.count is None:
            raise ValueError(f"task {weighted[0]!r} has a weight, so the recipe needs a count")
        return self


class Cell(NamedTuple):
    """A run of `size` items of one stream."""

    task: str
    level: int
    transform: str | None
    size: int


class Plan(NamedTuple):
    recipe: Recipe
    cells: tuple[Cell, ...]

    @property
    def size(self) -> int:
        return sum(cell.size for cell in self.cells)


def plan(recipe: Recipe) -> Plan:
    """Exact counts for every (task, level, transform); refuses more than a task can give on the recipe's side of the split."""
    _known(recipe)
    counts = _task_counts(recipe)
    cells = [
        Cell(name, level, None, size)
        for name, share in recipe.tasks.items()
        for level, size in largest_remainder(counts[name], share.levels or recipe.levels).items()
        if size
    ]
    cells += _edge_cells(recipe, counts)
    for cell in cells:
        _within_capacity(recipe, cell)
    return Plan(recipe, tuple(cells))


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


def _known(recipe: Recipe) -> None:
    """Checked here and not in the value, so that a dataset made by a task since retired can still be opened."""
    for kind, wanted, known in (("task", recipe.tasks, tasks.CATALOGUE), ("transform", recipe.transforms, TRANSFORMS)):
        for name in wanted:
            if name not in known:
                text = f"recipe {recipe.name!r}: no {kind} {name!r}.{errors.nearest(name, known)}"
                raise errors.NotFound(text, kind=kind, name=name)


def _task_counts(recipe: Recipe) -> dict[str, int]:
    exact = {name: share.count for name, share in recipe.tasks.items() if share.count is not None}
    weights = {name: share.weight for name, share in recipe.tasks.items() if share.weight is not None}
    fixed = sum(exact.values()) + sum(recipe.transforms.values())
    if recipe.count is None:
        return exact
    if recipe.count < fixed or (not weights and recipe.count != fixed):
        raise errors.Invalid(f"recipe {recipe.name!r} asks for {recipe.count} items but its parts add up to {fixed}.")
    return exact | (largest_remainder(recipe.count - fixed, weights) if weights else {})


def _edge_cells(recipe: Recipe, counts: Mapping[str, int]) -> list[Cell]:
    """Edge-case items take their tasks in proportion to the recipe's own mix, by a draw keyed with the recipe's seed."""
    pool = [name for name, count in counts.items() for _ in range(count)]
    cells: Counter[tuple[str, int, str]] = Counter()
    for transform, count in recipe.transforms.items():
        for j in range(count):
            rng = Rng(recipe.seed, f"edge/{transform}", j)
            task = rng.pick(pool)
            weights = recipe.tasks[task].levels or recipe.levels
            level = rng.pick([level for level, weight in weights.items() for _ in range(weight)])
            cells[task, level, transform] += 1
    return [Cell(*cell, size) for cell, size in cells.items()]


def _within_capacity(recipe: Recipe, cell: Cell) -> None:
    capacity = tasks.get(cell.task).capacity[cell.level - 1]
    side = capacity // EVAL_SHARE if recipe.split == "eval" else capacity - capacity // EVAL_SHARE
    if cell.size > side:
        raise errors.Invalid(
            f"recipe {recipe.name!r} asks for {cell.size} items of task {cell.task!r} level {cell.level}, which has only about "
            f"{side} on the {recipe.split} side of the split; ask for fewer or for other levels.",
            task=cell.task,
            level=cell.level,
            capacity=side,
        )


def load(path: Path) -> Recipe:
    return Recipe.parse(read_toml(path), source=str(path))


def builtin_recipes() -> dict[str, Path]:
    """name -> file of every dataset recipe that ships."""
    return {name: recipes.path("data", name) for name in recipes.names("data")}


def recipe(name_or_path: str) -> Recipe:
    """A built-in recipe by name, or any recipe by the path of its TOML file."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return load(Path(name_or_path))
    return load(recipes.path("data", name_or_path))
