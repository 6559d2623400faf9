"""What `plan` promises of a level is there: on either side of the split, in all forms, the seen and the unseen ones."""

from collections.abc import Iterator
from itertools import product
from typing import get_args

import pytest

from tunix_rt import datasets, errors, tasks
from tunix_rt.datasets import capacities
from tunix_rt.datasets.capacities import Split
from tunix_rt.tasks import CATALOGUE, LEVELS, Draft, Task, holdout

FAST, COUNTABLE = 2_200, 20_000  # capacities
CELLS = [
    pytest.param(task, level, id=f"{task.name}/{level}", marks=[pytest.mark.long] if task.capacity[level - 1] > FAST else [])
    for task, level in product(CATALOGUE.values(), LEVELS)
    if task.capacity[level - 1] <= COUNTABLE
]


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_every_side_has_the_prompts_that_plan_promises(task: Task, level: int) -> None:
    kinds = list(product(holdout.FORMS, get_args(Split)))
    missing = {kind: capacities.room(task, level, *kind) for kind in kinds}
    seen = set()
    for draft in candidates(task, level):
        prompt = datasets.canonical_prompt(draft.prompt)
        if prompt in seen:
            continue
        seen.add(prompt)
        for forms, side in kinds:
            if side == datasets.side(prompt) and f"{task.name}/{draft.form}" in holdout.groups(task, forms):
                missing[forms, side] -= 1
        if all(count <= 0 for count in missing.values()):
            return
    pytest.fail(f"too few prompts for { ({kind: count for kind, count in missing.items() if count > 0}) }")


def candidates(task: Task, level: int) -> Iterator[Draft]:
    for k in range(40 * task.capacity[level - 1]):
        try:
            yield tasks.draft(task, level, 42, k)
        except errors.Invalid:  # a keyed permutation has been walked to its end
            return
