"""`/datasets/build`: a recipe, what it would make, and the first of it, before anything is written."""

import tomllib
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import checking, datasets, errors
from tunix_rt.api.datasets import LARGEST_BUILD
from tunix_rt.api.service import Here
from tunix_rt.datasets import Plan, Recipe
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.web import items, marks, queries, rendering, verdicts, wording
from tunix_rt.web.datasets import ItemRow
from tunix_rt.web.marks import Bar

router = APIRouter(include_in_schema=False)
FIRST = 6  # traces of a preview


class BuildQuery(queries.Query):
    recipe: Annotated[str, Field(pattern=items.PATTERN)] | None = None


class Filled(BaseModel):
    """The recipe as TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(max_length=200_000)
    action: Literal["preview", "build"] = "preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    name: str
    split: str
    count: int
    about: str
    built: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`taken` says that the name is built already; building again gives the same bytes or is refused."""

    name: str
    size: int
    taken: bool
    too_large: bool
    tasks: tuple[Bar, ...]
    rows: tuple[ItemRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildView:
    choices: tuple[Choice, ...]
    chosen: str | None
    text: str
    problem: str
    preview: Preview | None


@router.get("/datasets/build")
def choose(request: Request, here: Here, query: Annotated[BuildQuery, Query()]) -> Response:
    if query.recipe is None:
        return _shown(request, here.settings, None, "", "", None)
    known = datasets.builtin_recipes()
    if query.recipe not in known:
        raise errors.NotFound(f"no built-in recipe {query.recipe!r}.{errors.nearest(query.recipe, known)}")
    made = preview(here.settings, datasets.recipe(query.recipe))
    return _shown(request, here.settings, query.recipe, known[query.recipe].read_text(), "", made)


@router.post("/datasets/build")
def build(request: Request, here: Here, form: Annotated[Filled, Form()]) -> Response:
    try:
        recipe = read(form.text)
        made = preview(here.settings, recipe)
        if form.action == "build":
            if made.too_large:
                raise errors.Invalid(
                    f"recipe {recipe.name!r} makes {made.size:,} traces; here at most {LARGEST_BUILD:,} are made, "
                    "`tunix-rt data build` makes more."
                )
            with here.heavy():
                datasets.build(recipe, here.settings.datasets / recipe.name)
            return RedirectResponse(f"/datasets/{recipe.name}", 303)
    except (errors.Invalid, errors.NotFound, errors.Conflict) as mistake:
        message = mistake.message.replace(f"{here.settings.home}/", "")
        return _shown(request, here.settings, None, form.text, message, None, mistake.status)
    return _shown(request, here.settings, None, form.text, "", made)


def _shown(
    request: Request, settings: Settings, chosen: str | None, text: str, problem: str, made: Preview | None, status: int = 200
) -> Response:
    view = BuildView(choices=choices(settings), chosen=chosen, text=text, problem=problem, preview=made)
    what = chosen or "RECIPE.toml"
    command = f"tunix-rt data {'build' if made else 'plan'} {what}"
    title = "Build a dataset"
    return rendering.page(request, "build.html", view, title=title, command=command, up="/datasets", status=status)


def choices(settings: Settings) -> tuple[Choice, ...]:
    recipes = (datasets.recipe(name) for name in datasets.builtin_recipes())
    return tuple(
        Choice(
            name=recipe.name,
            split=recipe.split,
            count=datasets.plan(recipe).size,
            about=wording.short(recipe.description, 120),
            built=(settings.datasets / recipe.name / "manifest.json").is_file(),
        )
        for recipe in recipes
    )


def read(text: str) -> Recipe:
    """The recipe in the text. A built-in one, unchanged, is that one, with the items that were written for it."""
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise errors.Invalid(f"the recipe is not TOML: {error}.") from error
    recipe = Recipe.parse(data, source="recipe")
    if recipe.written is None:
        return recipe
    if recipe.name in datasets.builtin_recipes() and (known := datasets.recipe(recipe.name)).digest == recipe.digest:
        return known
    raise errors.Invalid("a recipe of written items names a file of this machine; build it with `tunix-rt data build`.")


def preview(settings: Settings, recipe: Recipe) -> Preview:
    planned = datasets.plan(recipe)
    return Preview(
        name=recipe.name,
        size=planned.size,
        taken=(settings.datasets / recipe.name / "manifest.json").is_file(),
        too_large=planned.size > LARGEST_BUILD,
        tasks=marks.bars(_by_task(planned)),
        rows=tuple(_row(trace) for trace in islice(datasets.stream(planned), FIRST)),
    )


def _by_task(planned: Plan) -> dict[str, int]:
    if planned.items:
        return {"written": len(planned.items)}
    counts: dict[str, int] = {}
    for cell in planned.cells:
        counts[cell.task] = counts.get(cell.task, 0) + cell.size
    return counts


def _row(trace: Trace) -> ItemRow:
    check = checking.check(trace)
    return ItemRow(
        href="",
        number=trace.id[:8],
        prompt=wording.short(trace.prompt),
        answer=wording.short(trace.final_answer, 24),
        strip=verdicts.strip(check),
        told=verdicts.told(check),
    )
