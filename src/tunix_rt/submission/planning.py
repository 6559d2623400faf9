"""What a session of so many hours has time for, from steps and answers that were measured on its device.

Every session keeps free what the last one needs, an evaluation of both models and a margin for exporting; so each is the same
command, and whichever gets to the end finishes the job.
"""

import math

from pydantic import Field

from tunix_rt import errors
from tunix_rt.values import Value


class Measured(Value):
    """Seconds on the wall clock of `device`.

    `step_seconds` is the slowest measured step but the first, which compiles; `start_seconds` is everything else of a
    training process: imports, loading, compiling, the last checkpoint and the adapter. `evaluation_seconds` is for all items
    and both models.
    """

    device: str
    step_seconds: float = Field(gt=0)
    start_seconds: float = Field(ge=0)
    saving_seconds: float = Field(ge=0)
    evaluation_seconds: float = Field(ge=0)
    total_steps: int = Field(ge=1)
    epochs: int = Field(ge=1)
    every_steps: int = Field(ge=1)


class Plan(Value):
    """`train_hours` is what `--max-hours` gets in every session. The run of `total_steps` needs `sessions_needed`; in the
    `sessions` allowed there is time for `steps` of it, and for `epochs_that_fit` whole passes over the data."""

    measured: Measured
    hours: float
    margin_minutes: float
    sessions: int
    train_hours: float
    evaluation_hours: float
    steps_a_session: int
    sessions_needed: int
    steps: int
    fits: bool
    epochs_that_fit: int


def plan(measured: Measured, hours: float, margin_minutes: float, sessions: int) -> Plan:
    """Raises `errors.Invalid` when a session has no time for a single step, saying how long one would have to be."""
    kept_free = 60 * margin_minutes + measured.evaluation_seconds
    step = measured.step_seconds + measured.saving_seconds / measured.every_steps
    usable = 3600 * hours - kept_free - measured.start_seconds
    fitting = math.floor(usable / step)
    if fitting < 1:
        shortest = (kept_free + measured.start_seconds + step) / 3600
        raise errors.Invalid(
            f"{hours:g} h are too short: margin ({margin_minutes:g} min), evaluation ({measured.evaluation_seconds:.0f} s), "
            f"start ({measured.start_seconds:.0f} s) and one step take {math.ceil(100 * shortest) / 100:.2f} h; give --hours "
            "more, or evaluate on fewer items with --limit.",
            option="--hours",
            hours_needed=round(shortest, 4),
        )
    whole, possible = measured.total_steps, fitting * sessions
    return Plan(
        measured=measured,
        hours=hours,
        margin_minutes=margin_minutes,
        sessions=sessions,
        train_hours=math.floor(10_000 * (hours - kept_free / 3600)) / 10_000,
        evaluation_hours=round(measured.evaluation_seconds / 3600, 4),
        steps_a_session=fitting,
        sessions_needed=math.ceil(whole / fitting),
        steps=min(whole, possible),
        fits=possible >= whole,
        epochs_that_fit=math.floor(possible * measured.epochs / whole),
    )
