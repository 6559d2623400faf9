"""A run's curve for a page: read from `metrics.jsonl`, and thinned so that a page of any run weighs the same."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import orjson

MOST = 1_500
_READ = 64_000_000  # bytes of a metrics file that are read for a page


class Curve(NamedTuple):
    """`points` are (step, loss); `last` is the newest row, `next` the byte behind it: where a live page goes on."""

    points: tuple[tuple[int, float], ...]
    last: dict[str, Any] | None
    next: int
    steps: int


def read(path: Path, most: int = MOST) -> Curve:
    """Whole lines only. A loss that is not finite is left out of the line; the run itself ends at it and says so."""
    if not path.is_file():
        return Curve((), None, 0, 0)
    with path.open("rb") as file:
        data = file.read(_READ)
    whole = data[: data.rfind(b"\n") + 1]
    rows = [orjson.loads(line) for line in whole.splitlines()]
    points = [(int(row["step"]), float(row["loss"])) for row in rows if finite(row["loss"])]
    return Curve(tuple(thinned(points, most)), rows[-1] if rows else None, len(whole), len(rows))


def finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def thinned(points: Sequence[tuple[int, float]], most: int = MOST) -> list[tuple[int, float]]:
    """At most so many: the smallest and the largest of each bucket, in their order, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    buckets = max(most // 2, 1)
    kept: list[tuple[int, float]] = []
    for k in range(buckets):
        part = points[k * len(points) // buckets : (k + 1) * len(points) // buckets]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept
