"""Evaluations side by side: a board for every question, and ties drawn as ties.

Only evaluations of the same items under the same instruction and limits share a board; an outside result, whose limits are
not known, is on each that it compares with. An entry's rank is one more than the number of entries that are surely better than
it, paired on the same items, Holm-adjusted over the board: entries that cannot be told apart share a rank, whatever their
digits say.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors, evals, jobs, runs, statistics, values
from tunix_rt.comparisons.pairs import Evaluation, EvaluationSummary, Limits, compare, load
from tunix_rt.comparisons.tables import clustered_p
from tunix_rt.evals.looks import Counted, counted
from tunix_rt.settings import Settings
from tunix_rt.values import Value

MOST = 60  # entries of one board: their pairs are compared one by one


class Filters(Value):
    """None is any. `config` is the name of the training config, "base" for none and "imported" for an outside result; dates
    are inclusive, UTC."""

    dataset: str | None = None
    model: str | None = None
    config: str | None = None
    evalset: str | None = None
    since: date | None = None
    until: date | None = None


class Entry(Value):
    """`tied` are the evaluations this one cannot be told apart from."""

    rank: int
    evaluation_id: str
    label: str
    run_id: str | None
    dataset: str | None
    config: str | None
    model: str
    finished: str
    n: int
    accuracy: float
    ci95: tuple[float, float]
    ci95_clustered: tuple[float, float]
    lenient_accuracy: float
    tied: tuple[str, ...]


class Board(Value):
    """The entries of one question, best first. `left_out` counts those beyond the most that are compared; `looks` are those
    at the evaluation set, whatever became of them; `limits` are None when none of its entries says them."""

    evalset: str
    evalset_digest: str
    instruction_digest: str
    limits: Limits | None
    n: int
    entries: tuple[Entry, ...]
    left_out: int
    looks: int
    looks_at_runs: int


class _Found(NamedTuple):
    folder: Path
    summary: EvaluationSummary
    dataset: str | None
    config: str | None
    finished: datetime


def leaderboard(settings: Settings, filters: Filters) -> list[Board]:
    """The boards of the workspace, those with most entries first."""
    found = [_about(settings, path.parent) for path in sorted(settings.evals.glob("*/summary.json"))]
    boards: dict[tuple[str, str, str, int], list[_Found]] = defaultdict(list)
    for one in found:
        if _wanted(one, filters):
            asked = (one.summary.instruction_digest, one.summary.format)
            boards[one.summary.evalset_digest, *asked, one.summary.n].append(one)
    made = [board for rows in boards.values() for board in _boards(settings, rows)]
    return sorted(made, key=lambda board: (-len(board.entries), board.evalset, board.evalset_digest, board.n))


def _about(settings: Settings, folder: Path) -> _Found:
    path = folder / "summary.json"
    summary = EvaluationSummary.parse(values.read_json(path), source=str(path))
    run = _run(settings, folder, summary.run_id)
    config = "imported" if (folder / evals.SOURCE).is_file() else "base"
    return _Found(folder, summary, run.dataset if run else None, run.name if run else config, finished(folder))


def _run(settings: Settings, folder: Path, run_id: str | None) -> runs.Trained | None:
    if run_id is None:
        return None
    adapter = jobs.read(folder)[1].adapter if (folder / "inputs.json").is_file() else None
    for place in (settings.runs / run_id, adapter.parent if adapter else settings.runs / run_id):
        if (place / "run.json").is_file():
            return runs.load(place)
    return None


def finished(folder: Path) -> datetime:
    """When the evaluation's engine was done, by its event log; else when its summary was written."""
    path = folder / "events.jsonl"
    ended = [row["at"] for _, row in values.read_jsonl(path) if row.get("kind") == "done"] if path.is_file() else []
    return datetime.fromtimestamp(ended[-1] if ended else (folder / "summary.json").stat().st_mtime, UTC)


def _wanted(one: _Found, filters: Filters) -> bool:
    day = one.finished.date()
    named = {"dataset": one.dataset, "model": one.summary.model, "config": one.config, "evalset": one.summary.evalset}
    return (
        all(getattr(filters, key) in (None, value) for key, value in named.items())
        and (filters.since is None or day >= filters.since)
        and (filters.until is None or day <= filters.until)
    )


def _boards(settings: Settings, rows: Sequence[_Found]) -> list[Board]:
    """One board, or several where evaluations of equal size took other items or had other limits."""
    apart: dict[frozenset[str], list[tuple[_Found, Evaluation]]] = defaultdict(list)
    for one in rows:
        evaluation = load(one.folder)
        apart[frozenset(row.item for row in evaluation.scores)].append((one, evaluation))
    seen = counted(settings, rows[0].summary.evalset_digest)
    return [_board(group, limits, seen) for same in apart.values() for limits, group in _by_limits(same)]


def _by_limits(rows: Sequence[tuple[_Found, Evaluation]]) -> Iterator[tuple[Limits | None, list[tuple[_Found, Evaluation]]]]:
    known = dict.fromkeys(one.limits for _, one in rows if one.limits is not None)
    for limits in known or (None,):
        yield limits, [row for row in rows if row[1].limits in (limits, None)]


def _board(group: list[tuple[_Found, Evaluation]], limits: Limits | None, seen: Counted) -> Board:
    group.sort(key=lambda pair: (-pair[1].summary.accuracy, pair[1].summary.evaluation_id))
    kept, first = group[:MOST], group[0][1].summary
    evaluations = [evaluation for _, evaluation in kept]
    better = _better(evaluations)
    entries = [_entry(found, at, better) for at, (found, _) in enumerate(kept)]
    names = [entry.evaluation_id for entry in entries]
    return Board(
        evalset=first.evalset,
        evalset_digest=first.evalset_digest,
        instruction_digest=first.instruction_digest,
        limits=limits,
        n=first.n,
        entries=tuple(
            sorted(
                (entry.model_copy(update={"tied": _tied(at, names, better)}) for at, entry in enumerate(entries)),
                key=lambda entry: (entry.rank, -entry.accuracy, entry.evaluation_id),
            )
        ),
        left_out=len(group) - len(kept),
        **seen._asdict(),
    )


def _better(evaluations: Sequence[Evaluation]) -> set[tuple[int, int]]:
    """(i, j): i is surely better than j."""
    pairs = [(i, j) for i in range(len(evaluations)) for j in range(i + 1, len(evaluations))]
    made = [compare(evaluations[j], evaluations[i]) for i, j in pairs]
    adjusted = statistics.holm([clustered_p(evaluations[j], evaluations[i]) for i, j in pairs])
    found = set()
    for (i, j), one, p in zip(pairs, made, adjusted, strict=True):
        if p < statistics.ALPHA and one.verdict in ("better", "worse"):
            found.add((i, j) if one.verdict == "better" else (j, i))
    return found


def _entry(found: _Found, at: int, better: set[tuple[int, int]]) -> Entry:
    summary = found.summary
    return Entry(
        rank=1 + sum(loser == at for _, loser in better),
        evaluation_id=summary.evaluation_id,
        label=summary.label,
        run_id=summary.run_id,
        dataset=found.dataset,
        config=found.config,
        model=summary.model,
        finished=found.finished.isoformat(timespec="seconds"),
        n=summary.n,
        accuracy=summary.accuracy,
        ci95=summary.ci95,
        ci95_clustered=summary.ci95_clustered,
        lenient_accuracy=summary.lenient.accuracy,
        tied=(),
    )


def _tied(at: int, names: Sequence[str], better: set[tuple[int, int]]) -> tuple[str, ...]:
    return tuple(name for j, name in enumerate(names) if j != at and (at, j) not in better and (j, at) not in better)


def day(text: str | None) -> date | None:
    """An ISO day; `errors.Invalid` for another text."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise errors.Invalid(f"{text!r} is not a day; write it as 2026-11-27.", field="since") from error
