"""From a recipe to its traces: every stream is walked in order of k, and a candidate is taken when its prompt lies on the
recipe's side of the partition and has not been taken before.

The side is a hash of the canonical prompt alone, so no seed, count or version of any training recipe can ever produce a
prompt that an evaluation recipe could.
"""

import unicodedata
from collections.abc import Iterator
from hashlib import blake2b

from tunix_rt import errors, tasks
from tunix_rt.datasets import labels
from tunix_rt.datasets.recipes import EVAL_SHARE, Cell, Plan, Recipe, Split, plan
from tunix_rt.tasks import holdout
from tunix_rt.traces import Trace

_PATIENCE = 200  # candidates looked at for each item wanted before a stream counts as exhausted


def canonical_prompt(prompt: str) -> str:
    """The prompt up to Unicode compatibility forms, case and white space: what counts as the same question."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def side(prompt: str) -> Split:
    """The side of the partition a prompt belongs to, for ever and for every recipe."""
    digest = blake2b(canonical_prompt(prompt).encode(), digest_size=8).digest()
    return "eval" if int.from_bytes(digest, "little") % EVAL_SHARE == 0 else "train"


def generate(recipe: Recipe) -> list[Trace]:
    """The recipe's traces in dataset order; every claim has been evaluated and found true and shown."""
    return list(stream(plan(recipe)))


def stream(planned: Plan) -> Iterator[Trace]:
    """The same traces one at a time. Items of different tasks alternate, by a hash of (seed, position in the plan)."""
    yield from _written(planned)
    seen: set[bytes] = set()
    cells = [_cell(planned.recipe, cell, seen) for cell in planned.cells]
    for which in _order(planned):
        yield next(cells[which])


def explain(recipe: Recipe, trace_id: str) -> Trace:
    """The item of this recipe whose id is `trace_id`, or the only one whose id starts with it, made again."""
    found = [trace for trace in stream(plan(recipe)) if trace.id.startswith(trace_id)]
    if not found:
        raise errors.NotFound(f"recipe {recipe.name!r} makes no trace with id {trace_id!r}.", recipe=recipe.name, id=trace_id)
    if len(found) > 1:
        raise errors.Invalid(
            f"{len(found)} traces of {recipe.name!r} have an id that starts with {trace_id!r}; give more of it."
        )
    return found[0]


def _written(planned: Plan) -> Iterator[Trace]:
    """The written items, once each is known to lie on the recipe's side and to be true as far as its claims say."""
    recipe, seen = planned.recipe, set()
    for number, trace in enumerate(planned.items, start=1):
        where = f"recipe {recipe.name!r}, written item {number}"
        prompt = canonical_prompt(trace.prompt)
        if prompt in seen:
            raise errors.Invalid(f"{where}: its prompt occurs before: {trace.prompt!r}.", line=number)
        if side(prompt) != recipe.split:
            raise errors.Invalid(
                f"{where}: its prompt lies on the {side(prompt)} side of the split, where other recipes could make it; change "
                f"a name or a number in it: {trace.prompt!r}.",
                line=number,
            )
        for problem in tasks.problems(trace):
            raise errors.Invalid(f"{where}: {problem}.", line=number)
        seen.add(prompt)
        yield trace


def _order(planned: Plan) -> list[int]:
    seats = [(which, j) for which, cell in enumerate(planned.cells) for j in range(cell.size)]
    seed = planned.recipe.seed
    return [which for which, _ in sorted(seats, key=lambda seat: (_seat_hash(seed, *seat), seat))]


def _seat_hash(seed: int, which: int, j: int) -> bytes:
    return blake2b(f"order/{seed}/{which}/{j}".encode(), digest_size=8).digest()


def _cell(recipe: Recipe, cell: Cell, seen: set[bytes]) -> Iterator[Trace]:
    task = tasks.get(cell.task)
    groups, label = holdout.groups(task, cell.forms), labels.of(recipe, recipe.mixes[cell.part], cell)
    for k in range(_PATIENCE * (cell.size + 10)):
        trace = tasks.item(task, cell.level, recipe.seed, k, cell.transform)
        key = blake2b(canonical_prompt(trace.prompt).encode(), digest_size=16).digest()
        if side(trace.prompt) != recipe.split or key in seen or trace.meta["group"] not in groups:
            continue
        seen.add(key)
        for problem in tasks.problems(trace):
            raise errors.Failed(f"task {task.name!r} level {cell.level}, item {recipe.seed}/{k}: {problem}.", task=task.name)
        yield labels.put(trace, label)
    raise errors.Invalid(
        f"task {task.name!r} level {cell.level} has too few different items ({cell.forms} forms, {recipe.split} side) for "
        f"recipe {recipe.name!r}; ask for fewer than {cell.size} or for other levels.",
        task=task.name,
    )
