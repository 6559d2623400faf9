"""What an outside evaluation's log holds for us, whatever wrote it: see `inspect_logs` and `lm_eval_logs`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tunix_rt.scoring import Finish


class Attempt(NamedTuple):
    """One answer. `scores` are the log's own by name; None is what the log does not record. An `error` has no answer."""

    text: str
    finish: Finish | None = None
    tokens: int | None = None
    prompt_tokens: int | None = None
    scores: Mapping[str, Any] = MappingProxyType({})
    error: str | None = None


class Sample(NamedTuple):
    """One item of the log. `prompts` are the texts of which one may be our item's prompt; `told` is all that the model was
    given, as one text."""

    name: str
    prompts: tuple[str, ...]
    told: str
    targets: tuple[str, ...]
    attempts: tuple[Attempt, ...]


class Log(NamedTuple):
    """`ended` says how the run ended where that is not well."""

    format: str
    written_by: str | None
    task: str
    model: str | None
    seconds: float | None
    ended: str | None
    samples: tuple[Sample, ...]


class LogFormat(NamedTuple):
    """`knows` looks at the first bytes of a file."""

    name: str
    knows: Callable[[bytes], bool]
    read: Callable[[Path], Log]
