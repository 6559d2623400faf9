"""A search space: dotted keys of the training config, the values each may take, and when it counts at all.

A key with `when` is drawn only while the keys it names have one of the listed values. Everything is held against the base
config when the space is made, so that no trial can ask for a config that does not exist.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from tunix_rt import errors
from tunix_rt.jobs import TrainConfig
from tunix_rt.values import Value, models_in

Plain = bool | int | float | str
Params = dict[str, Any]
CORNERS = 64


class Conditional(Value):
    """`when`: other keys of the space, and the values of each under which this one counts."""

    when: dict[str, tuple[Plain, ...]] = Field(default_factory=dict)


class OneOf(Conditional):
    """One of the values: numbers, texts, truth values, or lists of texts."""

    kind: Literal["choice"]
    values: tuple[Plain | tuple[str, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        texts = [json.dumps(value) for value in self.values]
        if len(set(texts)) != len(texts):
            raise ValueError(f"the values {self.values!r} are not all different")
        return self


class Between(Conditional):
    """`points` is how many values, evenly spread, stand for the range in a grid."""

    low: float
    high: float
    points: int | None = Field(default=None, ge=2, le=1000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low {self.low!r} has to be below high {self.high!r}")
        return self


class Uniform(Between):
    kind: Literal["uniform"]


class LogUniform(Between):
    kind: Literal["loguniform"]
    low: float = Field(gt=0)


class Whole(Conditional):
    """A whole number from `low` to `high`, both included, in steps of `step`; with `log`, drawn on a logarithmic scale."""

    kind: Literal["int"]
    low: int
    high: int
    step: int = Field(default=1, ge=1)
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low!r} has to be below high {self.high!r}")
        if self.log and (self.low < 1 or self.step != 1):
            raise ValueError("on a logarithmic scale, low is at least 1 and step is 1")
        return self


Dimension = Annotated[OneOf | Uniform | LogUniform | Whole, Field(discriminator="kind")]
Space = dict[str, Dimension]


def flat(table: Mapping[str, Any], leaf: str | None) -> dict[str, Any]:
    """TOML's nested tables as one table of dotted keys; a table that has the key `leaf` is a value, as is all that is none."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(value, dict) or (leaf is not None and leaf in value) or not value:
            found[key] = value
        else:
            found |= {f"{key}.{inner}": below for inner, below in flat(value, leaf).items()}
    return found


def keys(model: type[BaseModel] = TrainConfig) -> dict[str, None]:
    """Every dotted key of the training config that holds one value."""
    found: dict[str, None] = {}
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        if name in ("name", "stages"):
            continue
        for one in inner:
            found |= {f"{name}.{key}": None for key in keys(one)}
        if not inner:
            found[name] = None
    return found


def check(space: Space, base: TrainConfig) -> None:
    """Raise `errors.Invalid`, naming the field, for a space that the training config or the space itself does not allow."""
    if not space:
        raise errors.Invalid("'space' is empty; name at least one key of the training config.", field="space")
    known = keys()
    for key in space:
        if key not in known:
            raise errors.Invalid(f"'space': unknown key {key!r}.{errors.nearest(key, known)}", field=f"space.{key}")
    for key in order(space):
        _check_conditions(space, key)
        for value in _extremes(space[key]):
            _check_value(space, base, key, value)
    _check_together(space, base)


def _check_together(space: Space, base: TrainConfig) -> None:
    """Corners of the space, drawn at random: what each value allows alone may not go together."""
    rng = random.Random(0)
    for _ in range(CORNERS):
        corner: Params = {}
        for key in order(space):
            if counts(space, key, corner):
                corner[key] = rng.choice(_extremes(space[key]))
        try:
            applied(base, corner)
        except errors.Invalid as mistake:
            text = f"'space': {corner} cannot be together ({mistake.message}); say with 'when' which keys go with which values."
            raise errors.Invalid(text, field="space") from mistake


def order(space: Space) -> list[str]:
    """Keys after those they depend on, else as the file has them; a circle is an `errors.Invalid`."""
    done: list[str] = []
    waiting = list(space)
    while waiting:
        free = [key for key in waiting if all(parent in done or parent not in space for parent in space[key].when)]
        if not free:
            raise errors.Invalid(f"'space': {', '.join(waiting)} depend on each other.", field=f"space.{waiting[0]}.when")
        done.append(free[0])
        waiting.remove(free[0])
    return done


def _check_conditions(space: Space, key: str) -> None:
    for parent, allowed in space[key].when.items():
        field = f"space.{key}.when.{parent}"
        if parent not in space:
            raise errors.Invalid(f"'{field}': the space has no key {parent!r}.{errors.nearest(parent, space)}", field=field)
        whole = space[parent]
        if not isinstance(whole, OneOf):
            raise errors.Invalid(f"'{field}': {parent!r} is no choice; a condition lists values of one.", field=field)
        for value in allowed:
            if not any(same(value, one) for one in whole.values):
                raise errors.Invalid(f"'{field}': {value!r} is not among the values of {parent!r}.", field=field, value=value)
        if not allowed:
            raise errors.Invalid(f"'{field}' is empty, so {key!r} would never count.", field=field)


def _extremes(dimension: Dimension) -> tuple[Any, ...]:
    return dimension.values if isinstance(dimension, OneOf) else (dimension.low, dimension.high)


def _check_value(space: Space, base: TrainConfig, key: str, value: Any) -> None:
    """The base config with this value, and with values of other keys under which it counts."""
    given: Params = {key: value}
    for name in reversed(order(space)):
        if name in given:
            given = {**{parent: allowed[0] for parent, allowed in space[name].when.items()}, **given}
    try:
        applied(base, given)
    except errors.Invalid as mistake:
        text = f"'space.{key}': {value!r} cannot be: {mistake.message}"
        raise errors.Invalid(text, field=f"space.{key}", value=value) from mistake


def applied(base: TrainConfig, params: Params) -> TrainConfig:
    """The config with these values of dotted keys. Where a value picks another variant of a table (`tuning.method`), nothing
    of the base's own variant is kept."""
    data = base.model_dump(mode="json")
    for key in sorted(params, key=lambda key: key.rpartition(".")[2] != "method"):
        *path, last = key.split(".")
        table = data
        for part in path:
            table[part] = table = table.get(part) or {}
        if last == "method" and table.get(last) != params[key]:
            table.clear()
        table[last] = params[key]
    return TrainConfig.parse(data, source="config")


def counts(space: Space, key: str, params: Params) -> bool:
    """Whether the key is drawn beside these values of the keys before it."""
    return all(
        parent in params and any(same(params[parent], value) for value in allowed)
        for parent, allowed in space[key].when.items()
    )


def own(space: Space, base: TrainConfig) -> Params:
    """The base config's own values of the keys that count; `errors.Invalid` for one that lies outside the space."""
    data = base.model_dump(mode="json")
    found: Params = {}
    for key in order(space):
        if not counts(space, key, found):
            continue
        value: Any = data
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not contains(space[key], value):
            raise errors.Invalid(
                f"'space.{key}': the config's own value {value!r} is outside the space; widen it, or set "
                "'default_first = false' to leave the config itself out.",
                field=f"space.{key}",
                value=value,
            )
        found[key] = value
    return found


def contains(dimension: Dimension, value: Any) -> bool:
    if isinstance(dimension, OneOf):
        return any(same(value, one) for one in dimension.values)
    if isinstance(value, bool) or not isinstance(value, int | float) or not dimension.low <= value <= dimension.high:
        return False
    return not isinstance(dimension, Whole) or (isinstance(value, int) and (value - dimension.low) % dimension.step == 0)


def same(one: Any, other: Any) -> bool:
    """Equal as the config reads them: 1 is 1.0 and not true, a list is a tuple."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(list(one) == list(other) if isinstance(one, list | tuple) and isinstance(other, list | tuple) else one == other)


def grid(space: Space) -> Iterator[Params]:
    """Every point of the grid once: a key that does not count makes no further points."""
    yield from _grid(space, order(space), {})


def _grid(space: Space, left: list[str], given: Params) -> Iterator[Params]:
    if not left:
        yield given
        return
    key, *rest = left
    if not counts(space, key, given):
        yield from _grid(space, rest, given)
        return
    for value in _points(key, space[key]):
        yield from _grid(space, rest, {**given, key: value})


def _points(key: str, dimension: Dimension) -> list[Any]:
    match dimension:
        case OneOf():
            return [list(value) if isinstance(value, tuple) else value for value in dimension.values]
        case Whole():
            return list(range(dimension.low, dimension.high + 1, dimension.step))
        case _ if dimension.points is None:
            raise errors.Invalid(
                f"'space.{key}': a grid needs 'points', how many values stand for the range.", field=f"space.{key}"
            )
    shares = [k / (dimension.points - 1) for k in range(dimension.points)]
    if isinstance(dimension, LogUniform):
        return [dimension.low * (dimension.high / dimension.low) ** share for share in shares]
    return [dimension.low + (dimension.high - dimension.low) * share for share in shares]


def size_of_grid(space: Space, most: int) -> int:
    """How many points, counted up to `most`."""
    return sum(1 for _ in itertools.islice(grid(space), most))
