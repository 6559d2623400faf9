"""The look ledger: every question that was put to a test set, so that its number can be shown beside every result.

Whoever looks often enough finds a lucky score. A look is one evaluation of a model or run on an evaluation set; asking the
same question again is not another look, and deleting an evaluation does not take its look away.
"""

import fcntl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tunix_rt import values
from tunix_rt.settings import Settings
from tunix_rt.values import Value


class Look(Value):
    """`at` is the time of the first asking, in seconds since 1970."""

    evaluation_id: str
    evalset: str
    evalset_digest: str
    model: str
    run_id: str | None
    at: float


def _path(settings: Settings) -> Path:
    return settings.home / "looks.jsonl"


def note(settings: Settings, look: Look) -> None:
    """Write a look down unless it is there; two processes may do so at once."""
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if look.evaluation_id not in {row["evaluation_id"] for _, row in values.read_jsonl(path)}:
            file.write(values.jsonl_line(look.model_dump(mode="json")))


def now() -> float:
    return round(time.time(), 3)


def looks(settings: Settings, evalset_digest: str | None = None) -> list[Look]:
    """The looks at one evaluation set, or at all of them, oldest first."""
    path = _path(settings)
    if not path.is_file():
        return []
    rows = [Look.parse(row, source=f"{path}, line {number}") for number, row in values.read_jsonl(path)]
    return [row for row in rows if evalset_digest in (None, row.evalset_digest)]


def tuned(found: Iterable[Look]) -> int:
    """How many of them were at a trained run: a base model gains nothing from being asked."""
    return sum(look.run_id is not None for look in found)


class Counted(NamedTuple):
    """Looks at one evaluation set, and how many of them were at trained runs."""

    looks: int
    looks_at_runs: int

    def __str__(self) -> str:
        return f"{self.looks} look{'' if self.looks == 1 else 's'} at this set, {self.looks_at_runs} of them at trained runs"


def counted(settings: Settings, evalset_digest: str) -> Counted:
    """As this workspace's ledger has it: what was asked elsewhere is not in it."""
    found = looks(settings, evalset_digest)
    return Counted(len(found), tuned(found))
