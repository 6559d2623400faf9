"""From a recipe to its traces: every stream is walked in order of k, and a candidate is taken when its prompt lies on the
recipe's side of the partition and has not been taken before.

The side is a hash of the canonical prompt alone, so no seed, count or version of any training recipe can ever produce a
prompt that an evaluation recipe could.
"""

import unicodedata
from collections.abc import Container, Iterator
from hashlib import blake2b

from tunix_rt import errors, tasks
from tunix_rt.datasets import labels, reviews
from tunix_rt.datasets.capacities import EVAL_SHARE, Split
from tunix_rt.datasets.figures import meta_keys
from tunix_rt.datasets.recipes import Cell, Plan, Recipe, plan
from tunix_rt.datasets.rows import Row, row
from tunix_rt.tasks import Task, holdout
from tunix_rt.traces import Trace

_PATIENCE = 200  # candidates looked at for each item wanted before a stream counts as exhausted
_BLOCK = 128


def canonical_prompt(prompt: str) -> str:
    """The prompt up to Unicode compatibility forms, case and white space: what counts as the same question."""
    if prompt.isascii():  # most are, and then nothing has to be normalised
        return " ".join(prompt.lower().split())
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def side(prompt: str) -> Split:
    """The side of the partition a prompt belongs to, for ever and for every recipe."""
    return _side(_prompt_hash(prompt))


def _prompt_hash(prompt: str) -> bytes:
    return blake2b(canonical_prompt(prompt).encode(), digest_size=8).digest()


def _side(prompt_hash: bytes) -> Split:
    return "eval" if int.from_bytes(prompt_hash, "little") % EVAL_SHARE == 0 else "train"


def generate(recipe: Recipe) -> list[Trace]:
    """The recipe's traces in dataset order; every claim has been evaluated and found true and shown."""
    return list(stream(plan(recipe)))


def stream(planned: Plan) -> Iterator[Trace]:
    """The same traces one at a time."""
    return map(Trace.model_validate_json, (made.written for made in rows(planned)))


def rows(planned: Plan) -> Iterator[Row]:
    """The same, as they are written. Items of different tasks alternate, by a hash of (seed, position in the plan)."""
    yield from _written(planned)
    seen: set[bytes] = set()
    cells = [_cell(planned.recipe, cell, seen) for cell in planned.cells]
    for which in _order(planned):
        yield next(cells[which])


def explain(recipe: Recipe, trace_id: str) -> Trace:
    """The item of this recipe whose id is `trace_id`, or the only one whose id starts with it, made again."""
    found = [made.written for made in rows(plan(recipe)) if made.id.hex().startswith(trace_id)]
    if not found:
        raise errors.NotFound(f"recipe {recipe.name!r} makes no trace with id {trace_id!r}.", recipe=recipe.name, id=trace_id)
    if len(found) > 1:
        raise errors.Invalid(
            f"{len(found)} traces of {recipe.name!r} have an id that starts with {trace_id!r}; give more of it."
        )
    return Trace.model_validate_json(found[0])


def _written(planned: Plan) -> Iterator[Row]:
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
        line = trace.line()
        for problem in tasks.problems(line):
            raise errors.Invalid(f"{where}: {problem}.", line=number)
        seen.add(prompt)
        yield row(line, meta_keys(recipe.labels))


def _order(planned: Plan) -> list[int]:
    seats = []
    for which, cell in enumerate(planned.cells):
        start = blake2b(f"order/{planned.recipe.seed}/{which}/".encode(), digest_size=8)
        for j in range(cell.size):
            seat = start.copy()
            seat.update(b"%d" % j)
            seats.append((seat.digest(), which, j))
    return [which for _, which, _ in sorted(seats)]


def _cell(recipe: Recipe, cell: Cell, seen: set[bytes]) -> Iterator[Row]:
    """Candidates are made a block at a time, since one task's code and words then stay in the processor's cache; `seen` is
    asked when an item is wanted, so other cells come between as they always did. No block is longer than what is wanted."""
    task, k, wanted = cell.chosen(recipe), 0, cell.size
    while k < _PATIENCE * (cell.size + 10):
        block = range(k, k + min(wanted, _BLOCK))
        for key, made in list(_candidates(task, recipe, cell, block, seen)):
            if key not in seen:
                seen.add(key)
                yield from made
                wanted -= len(made)
        k = block.stop
    raise errors.Invalid(
        f"task {task.name!r} level {cell.level} has too few different items ({cell.forms} forms, {recipe.split} side) for "
        f"recipe {recipe.name!r}; ask for fewer than {cell.size} or for other levels.",
        task=task.name,
    )


def _candidates(
    task: Task, recipe: Recipe, cell: Cell, block: range, seen: Container[bytes]
) -> Iterator[tuple[bytes, list[Row]]]:
    """Those on the recipe's side, checked, with the hashes of their prompts. Of a problem whose attempts are to be reviewed
    there are two, and its own prompt decides their side."""
    seed, split, level, transform = recipe.seed, recipe.split, cell.level, cell.transform
    groups = holdout.groups(task, cell.forms)
    part = recipe.mixes[cell.part]
    label, keys = labels.of(recipe, part, cell, task), meta_keys(recipe.labels)
    for k in block:
        draft = tasks.draft(task, level, seed, k, transform)
        key = _prompt_hash(draft.prompt)
        if key in seen or _side(key) != split or f"{task.name}/{draft.form}" not in groups:
            continue
        line = tasks.line(draft, task, level, f"{seed}/{k}", transform)
        made = reviews.pair(line, part.review, seed) if part.review else [line]
        for problem in (problem for one in made for problem in tasks.problems(one)):
            raise errors.Failed(f"task {task.name!r} level {level}, item {seed}/{k}: {problem}.", task=task.name)
        if made:
            yield key, [row(labels.put(one, label), keys) for one in made]
