"""Scorers by name: pure functions of an item and what was said to it. None knows another.

`Judge` is one only together with the replies of the model it names, so it is not among those made by name.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from tunix_rt import errors
from tunix_rt.scoring.scorers.choice import Choice
from tunix_rt.scoring.scorers.core import Case, Scored
from tunix_rt.scoring.scorers.detection import Detection
from tunix_rt.scoring.scorers.exact import Exact
from tunix_rt.scoring.scorers.form import Form
from tunix_rt.scoring.scorers.judge import Judge
from tunix_rt.scoring.scorers.length import Length
from tunix_rt.scoring.scorers.numeric import Numeric
from tunix_rt.scoring.scorers.patterns import Regex
from tunix_rt.scoring.scorers.stepwise import Steps

Scorer = Annotated[Exact | Numeric | Choice | Regex | Steps | Form | Length | Detection, Field(discriminator="name")]
KINDS: dict[
    str,
    type[Exact] | type[Numeric] | type[Choice] | type[Regex] | type[Steps] | type[Form] | type[Length] | type[Detection],
] = {
    "exact": Exact,
    "numeric": Numeric,
    "choice": Choice,
    "regex": Regex,
    "steps": Steps,
    "format": Form,
    "length": Length,
    "detection": Detection,
}
ADAPTER: TypeAdapter[Scorer] = TypeAdapter(Scorer)
STORED: TypeAdapter[Scorer | Judge] = TypeAdapter(Annotated[Scorer | Judge, Field(discriminator="name")])
JUDGE = "judge"
NAMES = (*KINDS, JUDGE)

__all__ = [
    "ADAPTER", "JUDGE", "KINDS", "NAMES", "STORED", "Case", "Choice", "Detection", "Exact", "Form", "Judge", "Length",
    "Numeric", "Regex", "Scored", "Scorer", "Steps", "named",
]  # fmt: skip


def named(name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The scorer of that name with these options; text is read as the option's type. Invalid names the option."""
    if name not in KINDS:
        raise errors.NotFound(f"no scorer {name!r}.{errors.nearest(name, KINDS)}", scorer=name)
    return KINDS[name].parse({**(options or {}), "name": name}, source=f"scorer {name!r}")
