"""Which ways of asking are kept from training: a fixed rule of the forms' names, the same for every recipe and seed.

The forms of one kind of question (one table of a task; the first part of a form's name is its table's) are ordered by the hash
of their group's name, and a quarter of them, at least one, is unseen. Every table keeps a seen form too.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from typing import Literal, get_args

from tunix_rt.tasks.core import Task

Forms = Literal["all", "seen", "unseen"]
FORMS: tuple[Forms, ...] = get_args(Forms)


@lru_cache(maxsize=256)
def groups(task: Task, forms: Forms = "all") -> frozenset[str]:
    """The template groups of the task that `forms` allows."""
    unseen = frozenset(group for held in _tables(task).values() for group in held[: _held_out(len(held))])
    match forms:
        case "all":
            return frozenset(task.groups)
        case "unseen":
            return unseen
        case "seen":
            return frozenset(task.groups) - unseen


def capacity(task: Task, level: int, forms: Forms) -> int:
    """A number of distinct prompts that the level certainly has in the forms allowed."""
    least = int(task.capacity[level - 1] * _share(task, forms))
    return min(least, _FEW.get((task.name, level, forms), least))


@lru_cache(maxsize=256)
def _share(task: Task, forms: Forms) -> Fraction:
    """The smallest share of a table's forms that `forms` allows: a level asks some of the tables, never half of one."""
    allowed = groups(task, forms)
    return min(Fraction(len(allowed & set(table)), len(table)) for table in _tables(task).values())


# Forms that name nobody and no thing have fewer prompts than their share of the task's; counted over 12,000 items.
_FEW: dict[tuple[str, int, Forms], int] = {
    ("percent", 1, "unseen"): 60,
    ("percent", 2, "unseen"): 50,
    ("shopping", 1, "unseen"): 700,
    ("shopping", 2, "unseen"): 900,
    ("convert", 1, "seen"): 330,
    ("convert", 1, "unseen"): 110,
    ("convert", 3, "seen"): 260,
    ("average", 1, "unseen"): 450,
    ("fractions", 1, "unseen"): 40,
    ("fractions", 2, "unseen"): 130,
}


def _tables(task: Task) -> Mapping[str, list[str]]:
    """Table -> its groups in the order of their hashes; a task whose names have no table part has one table."""
    tables = groupby(sorted(task.forms, key=_table), key=_table)
    return {name: sorted((f"{task.name}/{form}" for form in forms), key=_rank) for name, forms in tables}


def _table(form: str) -> str:
    table, dash, _ = form.partition("-")
    return table if dash else ""


def _rank(group: str) -> bytes:
    return blake2b(group.encode(), digest_size=8).digest()


def _held_out(forms: int) -> int:
    return max(1, forms // 4)
