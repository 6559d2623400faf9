"""Two evaluations of the same items, compared in pairs.

The baseline comes first, the candidate second, and a difference is candidate minus baseline. Only evaluations of one
evaluation set, under one instruction and drawn in one way, are comparable. Every comparison is made twice, by the strict and
by the lenient reading of the answers: what the strict one gains beyond the lenient one is format, not ability.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import ConfigDict

from tunix_rt import errors, statistics
from tunix_rt.jobs import GenerateJob
from tunix_rt.scoring import Outcome, Prediction, ReplyFormat, ScoreRow, Summary
from tunix_rt.statistics import Verdict
from tunix_rt.traces import Trace
from tunix_rt.values import Value, differences, read_json, read_jsonl

Change = Literal["fixed", "broken", "both wrong", "both correct"]
CHANGES: tuple[Change, ...] = ("fixed", "broken", "both wrong", "both correct")
Reading = Literal["strict", "lenient"]
Row = TypeVar("Row", Prediction, ScoreRow)


class EvaluationSummary(Summary):
    """`summary.json`: what was evaluated on what, and the numbers. Further keys are kept.

    An imported evaluation knows no digest of its model, and may know neither time nor tokens.
    """

    model_config = ConfigDict(extra="allow")

    evaluation_id: str
    run_id: str | None
    label: str
    model: str
    model_digest: str | None
    adapter_digest: str | None
    evalset: str
    evalset_digest: str
    format: ReplyFormat = "numbered"
    instruction_digest: str
    seconds: float | None
    tokens: int | None


class Limits(Value):
    """How answers were drawn, by the evaluation's job. Its `seed` is no part of it: another one draws again in the same way."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float
    stop: tuple[str, ...]
    samples: int


class Evaluation(NamedTuple):
    """A finished evaluation: its summary, and one score and one prediction an item in the same order. `limits` are None where
    no job says them, as of an outside result."""

    summary: EvaluationSummary
    scores: tuple[ScoreRow, ...]
    predictions: tuple[Prediction, ...]
    limits: Limits | None = None


class Block(Value):
    """One paired comparison; see `statistics.paired` for each number."""

    n: int
    groups: int
    difference: float
    ci95: tuple[float, float]
    p_value: float
    fixed: int
    broken: int
    minimum_detectable_effect: float
    equivalence_p_value: float
    verdict: Verdict


class Comparison(Block):
    """The strict reading's comparison, and the lenient one under `lenient`.

    `format_gain` is the strict difference minus the lenient one. `format_share` is that as a share of the strict
    difference, kept within 0 and 1, and None when the strict difference is not a gain.
    """

    baseline: str
    candidate: str
    evalset: str
    evalset_digest: str
    margin: float
    lenient: Block
    format_gain: float
    format_share: float | None


class Example(Value):
    """One item before and after."""

    item: str
    group: str
    change: Change
    prompt: str
    expected: str
    before: str
    after: str
    before_outcome: Outcome
    after_outcome: Outcome


def load(folder: Path) -> Evaluation:
    """The evaluation in `folder`. A missing file, a broken row or rows that do not belong together are errors."""
    path = folder / "summary.json"
    summary = EvaluationSummary.parse(read_json(path), source=str(path))
    scores = _rows(folder / "scores.jsonl", ScoreRow)
    predictions = _rows(folder / "predictions.jsonl", Prediction)
    return checked(Evaluation(summary, scores, predictions, limits_of(folder)), source=str(folder))


def limits_of(folder: Path) -> Limits | None:
    path = folder / "config.json"
    if not path.is_file():
        return None
    job = GenerateJob.parse(read_json(path), source=str(path))
    return Limits(**job.model_dump(include=set(Limits.model_fields)))


def checked(evaluation: Evaluation, *, source: str) -> Evaluation:
    """The same evaluation, or `errors.Invalid` when its rows are not one score and one prediction an item."""
    items = [row.item for row in evaluation.scores]
    if items != [row.item for row in evaluation.predictions]:
        raise errors.Invalid(f"{source}: scores and predictions are not of the same items in the same order.")
    if len(set(items)) != len(items):
        raise errors.Invalid(f"{source}: item {Counter(items).most_common(1)[0][0]!r} occurs twice.")
    if len(items) != evaluation.summary.n:
        raise errors.Invalid(f"{source}: the summary counts {evaluation.summary.n} items, but there are {len(items)}.")
    return evaluation


def compare(a: Evaluation, b: Evaluation, margin: float = 0.05, *, any_instruction: bool = False) -> Comparison:
    """Compare candidate `b` with baseline `a`, item by item, in intervals clustered by template group.

    `errors.Invalid` when they differ in evaluation set, items or, unless `any_instruction`, in instruction, format or limits:
    such a difference would mean nothing.
    """
    pairs = pairs_of(a, b, any_instruction=any_instruction)
    strict = _block(pairs, "strict", margin)
    lenient = _block(pairs, "lenient", margin)
    gain = strict.difference - lenient.difference
    return Comparison(
        **strict.model_dump(),
        baseline=a.summary.evaluation_id,
        candidate=b.summary.evaluation_id,
        evalset=a.summary.evalset,
        evalset_digest=a.summary.evalset_digest,
        margin=margin,
        lenient=lenient,
        format_gain=gain,
        format_share=min(1.0, max(0.0, gain / strict.difference)) if strict.difference > 0 else None,
    )


def examples(a: Evaluation, b: Evaluation, dataset: Iterable[Trace], k: int) -> list[Example]:
    """`k` items before and after, always the same ones: fixed before broken before both wrong before both correct.

    Within a kind each template group comes up once before any comes up again, then the smaller item id goes first.
    """
    prompts = {trace.id: trace.prompt for trace in dataset}
    before = {row.item: row.output for row in a.predictions}
    after = {row.item: row.output for row in b.predictions}
    shown: Counter[tuple[Change, str]] = Counter()
    ranked = []
    for one, other in sorted(pairs_of(a, b), key=lambda pair: pair[0].item):
        change = change_of(one.strict, other.strict)
        ranked.append((CHANGES.index(change), shown[change, one.group], one.item, one, other))
        shown[change, one.group] += 1
    return [
        Example(
            item=item,
            group=one.group,
            change=CHANGES[rank],
            prompt=prompts[item],
            expected=one.expected,
            before=before[item],
            after=after[item],
            before_outcome=one.strict,
            after_outcome=other.strict,
        )
        for rank, _, item, one, other in sorted(ranked, key=lambda entry: entry[:3])[:k]
    ]


def _rows(path: Path, kind: type[Row]) -> tuple[Row, ...]:
    return tuple(kind.parse(row, source=f"{path}, line {number}") for number, row in read_jsonl(path))


def pairs_of(a: Evaluation, b: Evaluation, *, any_instruction: bool = False) -> list[tuple[ScoreRow, ScoreRow]]:
    """(score in `a`, score in `b`) of each item, in the order of `a`; `errors.Invalid` when they are not comparable."""
    names = f"{a.summary.evaluation_id!r} and {b.summary.evaluation_id!r}"
    if a.summary.evalset_digest != b.summary.evalset_digest:
        raise errors.Invalid(
            f"{names} are of different evaluation sets ({a.summary.evalset!r} and {b.summary.evalset!r}); "
            "evaluate both on the same one.",
            baseline=a.summary.evalset_digest,
            candidate=b.summary.evalset_digest,
        )
    if a.summary.instruction_digest != b.summary.instruction_digest and not any_instruction:
        raise errors.Invalid(
            f"{names} were given different instructions; evaluate both with the same one, or compare with --any-instruction.",
            baseline=a.summary.instruction_digest,
            candidate=b.summary.instruction_digest,
        )
    if a.summary.format != b.summary.format and not any_instruction:
        raise errors.Invalid(
            f"{names} were asked for the formats {a.summary.format!r} and {b.summary.format!r}; ask both for the same one.",
            baseline=a.summary.format,
            candidate=b.summary.format,
        )
    if not any_instruction:
        _same_limits(a, b, names)
    candidates = {row.item: row for row in b.scores}
    if candidates.keys() != {row.item for row in a.scores}:
        odd = sorted(candidates.keys() ^ {row.item for row in a.scores})
        raise errors.Invalid(f"{names} do not cover the same items: {len(odd)} differ, first {odd[0]!r}.", items=odd[:10])
    pairs = [(row, candidates[row.item]) for row in a.scores]
    for one, other in pairs:
        if (one.expected, one.group) != (other.expected, other.group):
            raise errors.Invalid(f"{names} expect different answers of item {one.item!r}, or group it differently.")
    return pairs


def _same_limits(a: Evaluation, b: Evaluation, names: str) -> None:
    if a.limits is None or b.limits is None:
        return
    for field, before, after in differences(a.limits.model_dump(mode="json"), b.limits.model_dump(mode="json")):
        raise errors.Invalid(
            f"{names} were drawn with {field} {before!r} and {after!r}; evaluate both with the same, or compare with "
            "--any-instruction.",
            field=field,
            baseline=before,
            candidate=after,
        )


def marks_of(pairs: Sequence[tuple[ScoreRow, ScoreRow]], reading: Reading) -> tuple[list[float], list[float], list[str]]:
    """(before, after, groups): 1 where the item's answer is right by the reading, else 0."""
    before = [float(getattr(one, reading) == "correct") for one, _ in pairs]
    after = [float(getattr(other, reading) == "correct") for _, other in pairs]
    return before, after, [one.group for one, _ in pairs]


def _block(pairs: Sequence[tuple[ScoreRow, ScoreRow]], reading: Reading, margin: float) -> Block:
    return Block(**statistics.paired(*marks_of(pairs, reading), margin)._asdict())


def change_of(before: Outcome, after: Outcome) -> Change:
    if before == "correct":
        return "both correct" if after == "correct" else "broken"
    return "fixed" if after == "correct" else "both wrong"
