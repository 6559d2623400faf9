"""Which traces of existing datasets make a new one: a value, written as a TOML table, as flags, or by a split.

Every trace that a filter drops has a reason: a code, the field and the value that decided.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from tunix_rt import errors
from tunix_rt.checking import TraceCheck
from tunix_rt.datasets.capacities import Split
from tunix_rt.datasets.recipes import Name
from tunix_rt.traces import Trace
from tunix_rt.values import Value, read_toml

DedupKey = Literal["content", "prompt", "skeleton", "near"]
Scalar = bool | int | float | str
META = "meta."
_PARENT = r"^[a-z0-9][a-z0-9._-]{0,63}(@[0-9a-f]{6,64})?$"


class Range(Value):
    """At least `min` and at most `max`; one of them may be left out."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is more than max {self.max:g}")
        return self

    def holds(self, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Apart(Value):
    """One side of a split in which no group and no canonical prompt is on both sides.

    `by` is template, problem, near, or a meta field; the side of a group depends on its key and the selection's seed alone.
    """

    side: Split
    by: str
    eval_share: float = Field(gt=0, lt=1)

    @field_validator("by")
    @classmethod
    def _known(cls, by: str) -> str:
        if by not in ("template", "problem", "near") and not by.startswith(META):
            raise ValueError(f"{by!r} is not template, problem, near or meta.FIELD")
        return by


class Select(Value):
    """The filters, in the order in which they are asked: where, lengths, checker, then duplicates, split and number.

    A parent is a dataset's name, or `name@digest` with the first six or more digits of its digest. `threshold` is the Jaccard
    similarity from which two prompts are near-duplicates. `sample` draws by a hash of each trace, whatever their order;
    `limit` takes the first.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_alias=True, validate_by_name=True)

    parents: tuple[Annotated[str, StringConstraints(pattern=_PARENT)], ...] = Field(alias="from", min_length=1)
    where: dict[str, Scalar | tuple[Scalar, ...] | Range] = Field(default_factory=dict)
    steps: Range | None = None
    prompt_chars: Range | None = None
    verdict: Literal["ok"] | None = None
    coverage: Range | None = None
    dedup: DedupKey = "content"
    threshold: float = Field(default=0.8, ge=0.3, le=1)
    apart: Apart | None = None
    sample: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)

    @field_validator("where", mode="before")
    @classmethod
    def _flat(cls, where: Any) -> Any:
        """TOML reads an unquoted `meta.level` as a table in a table."""
        return dict(_flattened("", where)) if isinstance(where, dict) else where

    @model_validator(mode="after")
    def _sensible(self) -> "Select":
        for field in self.where:
            if not field.startswith(META):
                raise ValueError(f"where {field!r}: only fields of meta can be asked for here; did you mean {META + field!r}?")
        names = [name.partition("@")[0] for name in self.parents]
        if len(set(names)) < len(names):
            raise ValueError(f"'from' names a dataset twice: {', '.join(names)}")
        if self.sample and self.limit:
            raise ValueError("sample and limit exclude each other")
        return self

    @property
    def judges(self) -> bool:
        """Whether the checker has to be asked."""
        return self.verdict is not None or self.coverage is not None


class Selection(Value):
    """`split` None takes that of the parents where they agree. The licence is that of the parents and cannot be chosen."""

    name: Name
    version: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    split: Split | None = None
    description: str = ""
    select: Select


class Dropped(NamedTuple):
    """Why a trace is left out. `value` is what its field has, or for a duplicate the id of the trace that is kept."""

    code: str
    field: str
    value: Any


def load_selection(path: Path) -> Selection:
    return Selection.parse(read_toml(path), source=str(path))


def is_selection(name_or_path: str) -> bool:
    """Whether this names a TOML file with a [select] table."""
    return name_or_path.endswith(".toml") and Path(name_or_path).is_file() and "select" in read_toml(Path(name_or_path))


def refusal(select: Select, trace: Trace) -> Dropped | None:
    """The first filter on the trace alone that it fails."""
    for field, wanted in select.where.items():
        found = look_up(trace.meta, field)
        if found is None:
            return Dropped("absent", field, None)
        if not _matches(wanted, found):
            return Dropped("where", field, found)
    for field, length, limits in (
        ("steps", len(trace.steps), select.steps),
        ("prompt_chars", len(trace.prompt), select.prompt_chars),
    ):
        if limits and not limits.holds(length):
            return Dropped(field, field, length)
    return None


def judgement(select: Select, check: TraceCheck) -> Dropped | None:
    """The first filter on what the checker says that the trace fails."""
    if select.verdict and check.first_wrong is not None:
        return Dropped("wrong_step", "steps", check.first_wrong)
    if select.verdict and check.answer.verdict == "wrong":
        return Dropped("wrong_answer", "final_answer", check.answer.got)
    if select.coverage and not select.coverage.holds(check.coverage):
        return Dropped("coverage", "coverage", round(check.coverage, 4))
    return None


def look_up(meta: Mapping[str, Any], field: str) -> Any:
    """The value at `meta.a.b`; None where there is none. A key that itself has dots is found too."""
    return _inside(meta, field.removeprefix(META))


def fields(meta: Mapping[str, Any]) -> Iterator[str]:
    """The names by which what is in this meta can be asked for."""
    return (field for field, _ in _flattened(META[:-1], meta))


def known_field(field: str, known: Iterable[str]) -> None:
    """Raises Invalid with the nearest known field."""
    known = set(known)
    if not any(one == field or one.startswith(field + ".") for one in known):
        raise errors.Invalid(f"no trace has the field {field!r}.{errors.nearest(field, known)}", field=field)


_CONDITION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(<=|>=|=)\s*(.+?)\s*", re.DOTALL)


def conditions(texts: Iterable[str]) -> dict[str, Any]:
    """`meta.level>=2`, `meta.task=speed,percent`, `steps<=5` as the keys of a [select] table. Values are read like TOML's."""
    select: dict[str, Any] = {}
    where: dict[str, Any] = {}
    for text in texts:
        found = _CONDITION.fullmatch(text)
        if not found:
            raise errors.Invalid(f"{text!r} is no condition; write FIELD=VALUE[,VALUE...], FIELD>=NUMBER or FIELD<=NUMBER.")
        field, sign, value = found.groups()
        place = where if field.startswith(META) else select
        if place is select and field not in ("steps", "prompt_chars", "coverage"):
            known = ("steps", "prompt_chars", "coverage", META + field)
            raise errors.Invalid(f"{text!r}: no field {field!r}.{errors.nearest(field, known)}", field=field)
        if sign == "=":
            values = [_scalar(part.strip()) for part in value.split(",")]
            new: Any = values if len(values) > 1 else values[0]
            new = {"min": new, "max": new} if place is select else new
        else:
            new = {"min" if sign == ">=" else "max": _scalar(value)}
        old = place.get(field)
        if old is not None and not (isinstance(old, dict) and isinstance(new, dict) and not old.keys() & new.keys()):
            raise errors.Invalid(f"{text!r}: {field!r} already has a condition.", field=field)
        place[field] = {**(old or {}), **new} if isinstance(new, dict) else new
    return {**select, "where": where}


def _scalar(text: str) -> Scalar:
    """A number, true or false where it reads as one; anything else, or what stands in double quotes, is text."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _matches(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Range):
        return wanted.holds(found)
    return any(one == found and isinstance(one, bool) == isinstance(found, bool) for one in _listed(wanted))


def _listed(wanted: Scalar | tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _inside(data: Any, path: str) -> Any:
    if not isinstance(data, Mapping):
        return None
    if path in data:
        return data[path]
    head, _, rest = path.partition(".")
    return _inside(data.get(head), rest) if rest else None


def _flattened(prefix: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping) and value and not value.keys() <= {"min", "max"}:
            yield from _flattened(name, value)
        else:
            yield name, value
