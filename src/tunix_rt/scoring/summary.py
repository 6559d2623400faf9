"""Rows and their counts. One row per item; every number of a summary can be computed again from the rows alone."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import Field

from tunix_rt import errors, statistics
from tunix_rt.scoring.format import ReplyFormat
from tunix_rt.scoring.judging import Finish, Outcome, judge
from tunix_rt.values import Value


class Prediction(Value):
    """A line of `predictions.jsonl`: all that a model said to one item, and what the strict reading took from it.

    `item` is the trace id; `tokens` counts the generated and `prompt_tokens` the given ones, None where an imported log does
    not.
    """

    item: str
    prompt: str
    output: str
    answer: str | None
    steps: tuple[str, ...]
    tokens: int | None = Field(ge=0)
    prompt_tokens: int | None = Field(ge=0)
    finish: Finish


class ScoreRow(Value):
    """A line of `scores.jsonl`. `group` is the template group the intervals are clustered by."""

    item: str
    group: str
    expected: str
    strict: Outcome
    lenient: Outcome
    answer: str | None
    lenient_answer: str | None


class Tally(Value):
    """Counts of outcomes; `accuracy` is correct of all n, and `ci95` its Wilson interval."""

    n: int
    correct: int
    wrong: int
    unparseable: int
    truncated: int
    accuracy: float
    ci95: tuple[float, float]


class Summary(Tally):
    """The strict reading's counts, the template groups and the interval clustered by them, and the lenient counts."""

    groups: int
    ci95_clustered: tuple[float, float]
    lenient: Tally


def score(item: str, group: str, expected: str, output: str, finish: str, form: ReplyFormat = "numbered") -> ScoreRow:
    """Judge one output and keep what scores need of it."""
    judged = judge(expected, output, finish, form)
    return ScoreRow(
        item=item,
        group=group,
        expected=expected,
        strict=judged.strict,
        lenient=judged.lenient,
        answer=judged.answer,
        lenient_answer=judged.lenient_answer,
    )


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Counts and rate of at least one outcome."""
    counts = Counter(outcomes)
    n = counts.total()
    if n == 0:
        raise errors.Invalid("no item was scored, so there is no accuracy; evaluate at least one item.")
    return Tally(
        n=n,
        correct=counts["correct"],
        wrong=counts["wrong"],
        unparseable=counts["unparseable"],
        truncated=counts["truncated"],
        accuracy=counts["correct"] / n,
        ci95=statistics.wilson(counts["correct"], n),
    )


def summarise(scores: Sequence[ScoreRow]) -> Summary:
    """The numeric part of `summary.json`."""
    strict = tally(row.strict for row in scores)
    clustered = statistics.mean([float(row.strict == "correct") for row in scores], [row.group for row in scores])
    return Summary(
        **strict.model_dump(),
        groups=clustered.groups,
        ci95_clustered=clustered.ci95,
        lenient=tally(row.lenient for row in scores),
    )
