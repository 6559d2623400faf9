"""Scorers by name: pure functions of an item and what was said to it. None knows another.

`Judge` is one only together with the replies of the model it names, so it is not among those made by name.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator

from tunix_rt import plugins
from tunix_rt.scoring.scorers.choice import Choice
from tunix_rt.scoring.scorers.core import Case, Scored
from tunix_rt.scoring.scorers.detection import Detection
from tunix_rt.scoring.scorers.exact import Exact
from tunix_rt.scoring.scorers.form import Form
from tunix_rt.scoring.scorers.gym import Gym
from tunix_rt.scoring.scorers.judge import Judge
from tunix_rt.scoring.scorers.length import Length
from tunix_rt.scoring.scorers.numeric import Numeric
from tunix_rt.scoring.scorers.patterns import Regex
from tunix_rt.scoring.scorers.stepwise import Steps
from tunix_rt.values import Value

Scorer = Annotated[Exact | Numeric | Choice | Regex | Steps | Form | Length | Detection | Gym, Field(discriminator="name")]
KINDS: dict[str, type[Value]] = {
    "exact": Exact,
    "numeric": Numeric,
    "choice": Choice,
    "regex": Regex,
    "steps": Steps,
    "format": Form,
    "length": Length,
    "detection": Detection,
    "gym": Gym,
}
JUDGE = "judge"
_ALL: dict[str, type[Value]] = {**KINDS, JUDGE: Judge}
NAMES = tuple(_ALL)
PLUGINS: Literal["tunix_rt.scorers"] = "tunix_rt.scorers"


def names() -> tuple[str, ...]:
    """Every scorer that can be asked for, those of plug-ins last."""
    return plugins.names(PLUGINS, _ALL)


def _class(name: str) -> Any:
    return plugins.named(PLUGINS, name, _ALL, _unfit)


def _unfit(made: Any, name: str) -> str | None:
    if not (isinstance(made, type) and issubclass(made, Value)):
        return "it is no class that extends tunix_rt.values.Value"
    if missing := [each for each in ("applies", "score") if not callable(getattr(made, each, None))]:
        return f"its scorer has no {missing[0]!r}"
    default = {each: field.default for each, field in made.model_fields.items()}
    if default.get("name") != name or not isinstance(default.get("version"), int):
        return f"its scorer needs the fields name, by default {name!r}, and version, a number"
    return None


def _read(data: Any, built_in: ValidatorFunctionWrapHandler) -> Any:
    name = data.get("name") if isinstance(data, dict) else None
    return built_in(data) if not isinstance(name, str) or name in NAMES else _class(name).model_validate(data)


ADAPTER: TypeAdapter[Scorer] = TypeAdapter(Annotated[Scorer, WrapValidator(_read)])
STORED: TypeAdapter[Scorer | Judge] = TypeAdapter(
    Annotated[Annotated[Scorer | Judge, Field(discriminator="name")], WrapValidator(_read)]
)

__all__ = [
    "ADAPTER", "JUDGE", "KINDS", "NAMES", "PLUGINS", "STORED", "Case", "Choice", "Detection", "Exact", "Form", "Gym",
    "Judge", "Length", "Numeric", "Regex", "Scored", "Scorer", "Steps", "named", "names",
]  # fmt: skip


def named(name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The scorer of that name with these options; text is read as the option's type. Invalid names the option."""
    made: Scorer = _class(name).parse({**(options or {}), "name": name}, source=f"scorer {name!r}")
    return made
