"""What a task is: a pure function from random choices and a level to a draft, with the groups and limits it declares.

A draft holds the prompt, a terse form of the same question, the typed steps with their claims, and the answer. The final
answer is always written in the last step, so reasoning that is followed to its end states it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from tunix_rt.claims import Statement
from tunix_rt.tasks.handles import Handle
from tunix_rt.tasks.rng import Rng
from tunix_rt.traces import StepType

Section = Literal["reasoning", "synthetic", "golden", "foreign"]
LEVELS = (1, 2, 3)
Forms = Mapping[str, str]
Words = Mapping[str, object]  # what a form is filled with


class Line(NamedTuple):
    type: StepType
    content: str
    claims: tuple[Statement, ...]


class Draft(NamedTuple):
    """`source` says where an item of another package comes from."""

    form: str
    prompt: str
    terse: str
    lines: tuple[Line, ...]
    answer: str
    source: Mapping[str, Any] | None = None


class Task(NamedTuple):
    """`capacity[level - 1]` is a number of distinct prompts the level certainly has; `groups` are its template ids.

    Any change of output bumps `version`, so a dataset that names (task, version, key) can be made again.
    """

    name: str
    version: int
    section: Section
    about: str
    forms: tuple[str, ...]
    capacity: tuple[int, int, int]
    make: Callable[[Rng, int], Draft]
    category: str = "other"

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(f"{self.name}/{form}" for form in self.forms)


def step(kind: StepType, text: str, *facts: Handle) -> Line:
    """One step; `facts` are the handles whose equations or statements the text writes out."""
    if len(facts) == 1:  # a handle has no claim twice
        return Line(kind, text, facts[0].claims)
    return Line(kind, text, tuple(dict.fromkeys([claim for fact in facts for claim in fact.claims])))


def phrase(rng: Rng, forms: Forms, **values: Any) -> tuple[str, str]:
    """A form chosen at random: its name, and its text with the handles written in."""
    form = rng.pick(tuple(forms))
    return form, forms[form].format(**values)


def names(*tables: Forms) -> tuple[str, ...]:
    """The form names of a task that asks several kinds of question; a name used twice is a mistake in the task."""
    found = tuple(name for table in tables for name in table)
    assert len(set(found)) == len(found), "form names are unique within a task"
    return found
