"""Parallel coordinates: an axis for each parameter and one for the objective, and where on it each trial lies."""

import json
import math
from typing import Any

from tunix_rt.sweeps.ledger import Standing
from tunix_rt.sweeps.spaces import Dimension, LogUniform, OneOf, Whole, same
from tunix_rt.values import Value


class Axis(Value):
    """`places` are from 0 to 1 by trial number, None where the trial has no such value; `ticks` are (place, text)."""

    key: str
    places: tuple[float | None, ...]
    texts: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]


def axes(found: Standing) -> list[Axis]:
    """Parameters in the order of the space, the objective last; its axis spans what the completed trials came to."""
    made = [_parameter(key, dimension, found) for key, dimension in found.spec.space.items()]
    numbers = [trial.value for trial in found.trials]
    known = [number for number in numbers if number is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    places = tuple(None if number is None else _share(number, low, high, log=False) for number in numbers)
    texts = tuple("" if number is None else shown(number) for number in numbers)
    ticks = ((0.0, shown(low)), (1.0, shown(high))) if high > low else ((0.5, shown(low)),)
    return [*made, Axis(key=found.spec.objective.metric, places=places, texts=texts, ticks=ticks)]


def _parameter(key: str, dimension: Dimension, found: Standing) -> Axis:
    values = [trial.params.get(key) for trial in found.trials]
    return Axis(
        key=key,
        places=tuple(None if value is None else place(dimension, value) for value in values),
        texts=tuple("" if value is None else shown(value) for value in values),
        ticks=_ticks(dimension),
    )


def place(dimension: Dimension, value: Any) -> float:
    """From 0 to 1 along the dimension; the values of a choice are evenly spread."""
    if isinstance(dimension, OneOf):
        at = next(n for n, one in enumerate(dimension.values) if same(one, value))
        return round(at / (len(dimension.values) - 1), 6) if len(dimension.values) > 1 else 0.5
    return _share(value, dimension.low, dimension.high, log=_logarithmic(dimension))


def _logarithmic(dimension: Dimension) -> bool:
    return isinstance(dimension, LogUniform) or (isinstance(dimension, Whole) and dimension.log)


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    if high <= low:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return round((value - low) / (high - low), 6)


def _ticks(dimension: Dimension) -> tuple[tuple[float, str], ...]:
    if isinstance(dimension, OneOf):
        return tuple((place(dimension, value), shown(value)) for value in dimension.values)
    return (0.0, shown(dimension.low)), (1.0, shown(dimension.high))


def shown(value: Any) -> str:
    """A value as a person reads it: four significant digits, texts without quotes."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
