"""One step further: tell what has ended, stop what is hopeless, ask for new trials, choose, confirm.

Any number of workers may call `advance` at once, and be killed at any point of it. What is seen (files, runs) is read first;
what follows from it is decided again under the sweep's lock, and written in one unit of work with the run it queues. A trial's
number, its run's key and the test question's key are unique: nothing is asked twice.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tunix_rt import comparisons, errors, evals, runs, statistics
from tunix_rt.evals import rescoring
from tunix_rt.evals.looks import tuned
from tunix_rt.runs import ENDED, Run
from tunix_rt.runs.specs import evaluation_of
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings
from tunix_rt.store import Store, clock
from tunix_rt.sweeps import ledger, pruning, sampling
from tunix_rt.sweeps.ledger import Confirmed, Standing, State, Trial, TrialState
from tunix_rt.sweeps.sampling import Told

HOPELESS = 3  # a sweep whose first trials all failed is not worth the others
Points = tuple[tuple[int, float], ...]


class Seen(NamedTuple):
    """How a trial ended, or its held-out losses so far."""

    state: TrialState
    curve: Points = ()
    value: float | None = None
    evaluation_id: str | None = None
    message: str | None = None


class Sight(NamedTuple):
    """What the files and the ledger of runs say about a sweep: its open trials by number, and the confirmation."""

    trials: dict[int, Seen]
    confirmed: Confirmed | None = None
    failure: str | None = None


def advance(settings: Settings, opened: Store) -> bool:
    """Move every sweep that has not ended as far as it goes now; True when anything changed."""
    with opened.reading() as connection:
        found = ledger.at_work(connection)
    moved = [_advance(settings, opened, sweep_id) for sweep_id in found]
    return any(moved)


def _advance(settings: Settings, opened: Store, sweep_id: str) -> bool:
    with opened.reading() as connection:
        found = ledger.get(connection, sweep_id)
        linked = {trial.number: ledger.runs_of(connection, trial) for trial in found.open_trials}
        confirmation = _run(connection, found.confirmation) if found.confirmation else None
    sight = _look(settings, found, linked, confirmation)
    if not _due(found, sight):
        return False
    with opened.unit_of_work() as connection:
        ledger.lock(connection, sweep_id)
        again = ledger.get(connection, sweep_id)
        return _Step(settings, connection, again, sight).take()


def _run(connection: Connection, run_id: str) -> Run | None:
    try:
        return runs.get(connection, run_id)
    except errors.NotFound:
        return None


def _look(settings: Settings, found: Standing, linked: dict[int, list[Run]], confirmation: Run | None) -> Sight:
    """Scores may be made here, of predictions that are there; outside any transaction, for that takes a while."""
    seen = {
        trial.number: one
        for trial in found.open_trials
        if (one := _seen(settings, found, trial, linked[trial.number])) is not None
    }
    if found.state != "confirming":
        return Sight(seen)
    if confirmation is None:
        return Sight(seen, failure="the run that asked the test set was deleted.")
    if confirmation.state not in ENDED:
        return Sight(seen)
    if confirmation.state != "completed":
        return Sight(seen, failure=f"the test set could not be asked: {confirmation.message or confirmation.reason}")
    try:
        return Sight(seen, confirmed=_confirmed(settings, found, confirmation))
    except errors.Mistake as mistake:
        return Sight(seen, failure=mistake.message)


def _seen(settings: Settings, found: Standing, trial: Trial, linked: list[Run]) -> Seen | None:
    """None while there is nothing new."""
    if not linked:
        return Seen("failed", message="its run was deleted.")
    training, *evaluations = linked
    try:
        curve = _curve(training.dir(settings)) if found.spec.pruner is not None else ()
        last = evaluations[0] if evaluations else training
        if last.state not in ENDED:
            return Seen("running", curve) if len(curve) > len(trial.curve) else None
        if last.state != "completed":
            return Seen(_ending(trial, last), curve, message=last.message or last.reason)
        if not evaluations:
            return None
        value = sum((marks := _marks(settings, last, found.spec.objective.metric)).values.values()) / len(marks.values)
        return Seen("completed", curve, value, last.dir(settings).name)
    except errors.Mistake as mistake:
        return Seen("failed", message=mistake.message)


def _ending(trial: Trial, run: Run) -> TrialState:
    if run.state != "cancelled":
        return "failed"
    return "pruned" if trial.pruned_at is not None else "cancelled"


def _curve(folder: Path) -> Points:
    """(tokens so far, held-out loss) of each validation, from the whole lines of the metrics."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return ()
    tokens, points = 0, []
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            row = json.loads(line)
            tokens += row["tokens"]
            if "eval_loss" in row:
                points.append((tokens, float(row["eval_loss"])))
    return tuple(points)


def _marks(settings: Settings, run: Run, metric: str) -> comparisons.Scores:
    """The metric's number for every item; what needs a scorer of its own is scored now, from the stored predictions."""
    folder = run.dir(settings)
    if metric not in scorers.KINDS:
        return comparisons.scores(folder, metric)
    scorer = scorers.named(metric)
    evals.rescore(settings, folder, scorer)
    return comparisons.scores(folder, metric, rescoring.digest(scorer))


def _confirmed(settings: Settings, found: Standing, run: Run) -> Confirmed:
    marks = _marks(settings, run, found.spec.objective.metric)
    order = sorted(marks.values)
    numbers = [marks.values[item] for item in order]
    clustered = statistics.mean(numbers, [marks.groups[item] for item in order])
    binary = all(number in (0.0, 1.0) for number in numbers)
    return Confirmed(
        evaluation_id=run.dir(settings).name,
        n=len(numbers),
        groups=clustered.groups,
        value=clustered.value,
        ci95=statistics.wilson(round(sum(numbers)), len(numbers)) if binary else None,
        ci95_clustered=clustered.ci95,
        looks=tuned(evals.looks(settings, found.spec.test.evalset_digest)),
    )


def _due(found: Standing, sight: Sight) -> bool:
    """Whether a step would change anything."""
    if sight.trials or sight.confirmed or sight.failure:
        return True
    return found.state != "confirming" and (not found.open_trials or room(found) > 0)


def room(found: Standing) -> int:
    """How many trials may be begun now."""
    budget = found.spec.budget
    late = budget.hours is not None and found.hours >= budget.hours
    if found.state != "running" or late or _failing(found):
        return 0
    return max(0, min(found.spec.parallel - len(found.open_trials), sampling.most(found.spec) - len(found.trials)))


def _failing(found: Standing) -> bool:
    ended = [trial.state for trial in found.trials if trial.state != "running"]
    return len(ended) >= HOPELESS and set(ended) == {"failed"}


class _Step:
    """One unit of work on a sweep that is locked. `found` is kept as the rows are."""

    def __init__(self, settings: Settings, connection: Connection, found: Standing, sight: Sight) -> None:
        self._settings, self._connection = settings, connection
        self._found, self._sight = found, sight
        self._changed = False

    def take(self) -> bool:
        for trial in self._found.open_trials:
            if trial.number in self._sight.trials:
                self._tell(trial, self._sight.trials[trial.number])
        while room(self._found):
            self._ask()
        if self._found.state == "confirming":
            self._end_confirming()
        elif not self._found.open_trials and self._found.state in ("running", "stopping"):
            self._choose()
        return self._changed

    def _tell(self, trial: Trial, seen: Seen) -> None:
        if seen.state == "running":
            return self._judge(trial, seen.curve)
        facts: dict[str, Any] = {
            "state": seen.state,
            "value": seen.value,
            "evaluation_id": seen.evaluation_id,
            "message": seen.message,
            "curve": seen.curve,
        }
        self._note(trial, **facts, ended=clock())
        if seen.state == "completed":
            found = sampling.importance(self._found.spec, _told(self._found.trials))
            ledger.change(self._connection, self._found.sweep_id, importance=found)
        return None

    def _judge(self, trial: Trial, curve: Points) -> None:
        """Keep the new points of a trial under way, and stop it if they are no good."""
        rule = self._found.spec.pruner
        if rule is None or len(curve) <= len(trial.curve):
            return
        others = [one for one in self._found.trials if one.number != trial.number]
        completed = [one.curve for one in others if one.state == "completed"]
        stopped = trial.pruned_at is None and pruning.hopeless(
            rule, curve, len(trial.curve), completed, [one.curve for one in others]
        )
        self._note(trial, curve=curve, **({"pruned_at": curve[-1][0]} if stopped else {}))
        if stopped and runs.get(self._connection, trial.run_id).state in ("queued", "running"):
            runs.cancel(self._connection, trial.run_id)

    def _note(self, trial: Trial, **changes: Any) -> None:
        ledger.change_trial(self._connection, trial, **changes)
        self._reload()

    def _reload(self) -> None:
        self._found = ledger.get(self._connection, self._found.sweep_id)
        self._changed = True

    def _ask(self) -> None:
        """Begin the next trial; one that cannot be, for a name that is gone, ends the sweep."""
        found, number = self._found, len(self._found.trials)
        params = sampling.ask(found.spec, _told(found.trials))
        try:
            spec = found.spec.trial(self._settings, number, params)
        except errors.Mistake as mistake:
            return self._move("failed", message=f"trial {number} cannot be begun: {mistake.message}", ended=clock())
        run = runs.submit(self._connection, spec, dedup_key=f"sweep:{found.sweep_id}:{number}")
        ledger.add_trial(self._connection, found.sweep_id, number, params, run.run_id)
        return self._reload()

    def _choose(self) -> None:
        """All trials have ended: ask the test set about the best, or say why there is none."""
        found, best = self._found, self._found.best
        if found.state == "stopping":
            return self._move("stopped", ended=clock())
        if best is None:
            last = next((trial.message for trial in reversed(found.trials) if trial.message), None)
            text = f"no trial was completed{f'; the last one: {last}' if last else '.'}"
            return self._move("failed", message=text, ended=clock())
        run = runs.get(self._connection, best.run_id)
        asked = run.asked
        assert isinstance(asked, runs.TrainSpec)
        assert run.result is not None
        on_test = asked.model_copy(update={"evaluate": found.spec.test})
        question = evaluation_of(on_test, run.run_id, run.result["adapter_digest"])
        assert question is not None
        queued = runs.submit(self._connection, question, parent=run.run_id)
        return self._move("confirming", chosen=best.number, confirmation=queued.run_id)

    def _end_confirming(self) -> None:
        if self._sight.confirmed is not None:
            self._move("completed", confirmed=self._sight.confirmed.model_dump(mode="json"), ended=clock())
        elif self._sight.failure is not None:
            self._move("failed", message=self._sight.failure, ended=clock())

    def _move(self, state: State, **changes: Any) -> None:
        ledger.move(self._connection, self._found, state, **changes)
        self._reload()


def _told(trials: Sequence[Trial]) -> list[Told]:
    return [Told(trial.params, trial.state, trial.value, trial.curve) for trial in trials]
