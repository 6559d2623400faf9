"""How many different prompts a level of a task has on one side of the split: what `plan` may promise.

A hash of the prompt decides the side, so a side has about its share of a level's prompts, and a few less for some levels that
are nearly all used. Those were counted once and for all, since no seed and no recipe ever changes them.
"""

from collections.abc import Mapping
from typing import Literal

from tunix_rt.tasks import Task, holdout
from tunix_rt.tasks.holdout import Forms

Split = Literal["train", "eval"]
EVAL_SHARE = 8  # one canonical prompt in eight can only ever be an evaluation prompt


def room(task: Task, level: int, forms: Forms, split: Split) -> int:
    """A number of distinct prompts that the level has in these forms on this side, when no other level takes any of them."""
    least = holdout.capacity(task, level, forms)
    share = least // EVAL_SHARE if split == "eval" else least - least // EVAL_SHARE
    return min(share, _COUNTED.get((task.name, level, forms, split), share))


def lost(task: Task, level: int, wanted: Mapping[int, int]) -> int:
    """How many of the level's prompts the items `wanted` of each other level will use up: those that both can make."""
    taken = 0
    for other, count in wanted.items():
        both = _BOTH.get((task.name, *sorted((level, other))), 0) if other != level else 0
        taken -= -count * both // task.capacity[other - 1] if both else 0
    return taken


# All prompts of these levels were made; each side's are fewer than its share.
_COUNTED: dict[tuple[str, int, Forms, Split], int] = {
    ("speed", 1, "all", "eval"): 103,
    ("speed", 1, "seen", "eval"): 81,
    ("speed", 1, "unseen", "eval"): 22,
    ("shopping", 1, "unseen", "eval"): 80,
    ("decompose", 1, "all", "eval"): 85,
    ("decompose", 1, "seen", "eval"): 59,
    ("decompose", 1, "unseen", "train"): 154,
    ("decompose", 2, "all", "eval"): 247,
    ("decompose", 2, "seen", "eval"): 177,
    ("decompose", 2, "unseen", "train"): 434,
    ("decompose", 3, "all", "eval"): 1_241,
    ("decompose", 3, "seen", "eval"): 915,
    ("convert", 1, "all", "eval"): 57,
    ("convert", 1, "seen", "eval"): 37,
    ("convert", 3, "all", "eval"): 75,
    ("convert", 3, "seen", "eval"): 24,
    ("average", 1, "unseen", "eval"): 52,
    ("fractions", 1, "unseen", "eval"): 2,
    ("fractions", 2, "unseen", "eval"): 11,
    ("reverse", 1, "all", "eval"): 125,
    ("reverse", 1, "seen", "eval"): 94,
    ("reverse", 1, "unseen", "eval"): 31,
    ("reverse", 2, "all", "train"): 566,
    ("reverse", 2, "seen", "train"): 424,
    ("reverse", 2, "unseen", "train"): 142,
    ("reverse", 3, "seen", "train"): 968,
    ("reverse", 3, "unseen", "eval"): 33,
    ("repetition", 1, "all", "eval"): 531,
    ("repetition", 1, "seen", "train"): 2_817,
    ("repetition", 1, "unseen", "eval"): 126,
    ("repetition", 2, "seen", "train"): 2_818,
    ("repetition", 2, "unseen", "eval"): 133,
    ("repetition", 3, "all", "eval"): 1_057,
    ("repetition", 3, "seen", "train"): 5_632,
    ("repetition", 3, "unseen", "eval"): 245,
    ("wordcount", 1, "unseen", "eval"): 97,
    ("uppercase", 1, "all", "eval"): 262,
    ("uppercase", 1, "seen", "eval"): 194,
    ("uppercase", 1, "unseen", "train"): 466,
}

# (task, level, higher level): prompts that both can make, where they are a large part of one.
_BOTH: dict[tuple[object, ...], int] = {("speed", 1, 2): 1_017, ("decompose", 1, 2): 432}
