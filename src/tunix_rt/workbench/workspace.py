"""The verbs of a notebook: what the commands do, returning the values that the commands print."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tunix_rt import checking, comparisons, datasets, evals, evidence, jobs, models, recipes, settings
from tunix_rt.checking import Mode, Summary, TraceCheck
from tunix_rt.comparisons import Board, Comparison, Evaluation, Filters, Gate
from tunix_rt.datasets import Dataset, Ingested
from tunix_rt.evidence import Report
from tunix_rt.jobs import Device, Drawn, Mesh, TrainConfig
from tunix_rt.registry import Criterion, Entry
from tunix_rt.runs import Trained
from tunix_rt.scoring import ReplyFormat
from tunix_rt.sweeps import Standing
from tunix_rt.workbench import building, deciding, evaluating, judging, proving, registered, sweeping, training
from tunix_rt.workbench.desk import Update, lines


class Checked(NamedTuple):
    """The verdicts of all traces in a few numbers, and those of each."""

    summary: Summary
    traces: tuple[TraceCheck, ...]


class Workspace:
    """A workspace folder. Runs are named by id or as the value that `train` gave, evaluations likewise."""

    def __init__(self, home: Path | str | None = None, say: Callable[[str], None] | None = None) -> None:
        """`home` as in `--home`; `say` is called with every line about the progress, which goes to stderr without it."""
        self.settings = settings.load(None if home is None else Path(home))
        self._say = say or _to_stderr

    def __repr__(self) -> str:
        return f"Workspace({str(self.settings.home)!r})"

    def say(self, text: str) -> None:
        self._say(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Update]:
        yield lines(self.say, what)

    def build(self, recipe: Path | str) -> Dataset:
        """`data build`: the dataset of a recipe by name, or of a TOML file, which may be a selection."""
        return datasets.open_dataset(building.build(self, str(recipe))[1])

    def ingest(
        self,
        file: Path | str,
        *,
        name: str | None = None,
        format: str = "auto",
        skip_bad: bool = False,
        check: bool = False,
        rejects: Path | None = None,
        licence: str = "unknown",
    ) -> Ingested:
        """`data ingest`: a dataset of a file; refused as a whole when a line is bad, unless `skip_bad`."""
        return building.ingest(
            self, Path(file), name=name, format=format, skip_bad=skip_bad, check=check, rejects=rejects, licence=licence
        )

    def check(self, what: Path | str, mode: Mode = "hybrid") -> Checked:
        """`check`: a verdict for every step of every trace of a file or dataset."""
        found = tuple(one.check for one in judging.judged(self, str(what), mode))
        return Checked(checking.summarise(found), found)

    def train(
        self,
        dataset: str,
        config: TrainConfig | Path | str | None = None,
        *,
        model: str | None = None,
        seed: int | None = None,
        device: Device = "auto",
        smoke_steps: int | None = None,
        max_hours: float | None = None,
    ) -> Trained:
        """`train`: fine-tune in the foreground. `config` is a value, a TOML file, or by default the built-in sft_demo."""
        chosen = config if isinstance(config, TrainConfig) else jobs.read_config(_file(config))
        changes = {"model": registered.as_base(self, model) if model else None, "seed": seed}
        chosen = chosen.model_copy(update={key: value for key, value in changes.items() if value is not None})
        models.require(self.settings, chosen.model)
        asked = training.spec(self, chosen, dataset, device, Mesh(), smoke_steps)
        return training.train_spec(self, asked, timeout=None if max_hours is None else max_hours * 3600)

    def evaluate(
        self,
        what: Trained | str,
        on: str,
        *,
        like: Trained | str | None = None,
        format: ReplyFormat | None = None,
        limit: int | None = None,
        max_new_tokens: int = 160,
        drawn: Drawn = Drawn(),
        device: Device = "auto",
    ) -> Evaluation:
        """`eval`: the answers of a run, a registered model or a base model to an evaluation set, scored."""
        folder = evaluating.evaluate(
            self,
            _run(what),
            on,
            like=None if like is None else _run(like),
            form=format,
            limit=limit,
            max_new_tokens=max_new_tokens,
            device=device,
            drawn=drawn,
        )
        return comparisons.load(folder)

    def compare(
        self, baseline: Evaluation | str, candidate: Evaluation | str, margin: float = 0.05, *, any_instruction: bool = False
    ) -> Comparison:
        """`compare`: is the candidate better on the same items?"""
        a, b = (comparisons.load(evals.find(self.settings, _evaluation(one))) for one in (baseline, candidate))
        return comparisons.compare(a, b, margin, any_instruction=any_instruction)

    def gate(
        self,
        candidate: Evaluation | str,
        baseline: Evaluation | str,
        margin: float = 0.05,
        *,
        metric: str | None = None,
        alpha: float = 0.05,
        seed: int | None = None,
    ) -> Gate:
        """`gate`: may the candidate go out? `baseline` may be a baseline's name. gate.md and gate.json are left."""
        names = _evaluation(candidate), _evaluation(baseline)
        return deciding.gate(self, *names, margin, metric=metric, alpha=alpha, seed=seed)[0]

    def sweep(self, file: Path | str, workers: int | None = None) -> Standing:
        """`sweep start`: begin a sweep, or go on with it, and follow it to its end."""
        return sweeping.sweep(self, str(file), workers)

    def promote(
        self,
        run: Trained | str,
        name: str,
        *,
        criterion: Criterion | None = None,
        gate: Path | None = None,
        force: bool = False,
        reason: str | None = None,
        alias: str | None = None,
    ) -> Entry:
        """`models promote`: the run as a version of the model `name`, through a gate unless forced with a reason."""
        return registered.promote(
            self, _run(run), name, criterion=criterion, gate=gate, forced=force, reason=reason, alias=alias
        )[0]

    def pack(self, run: Trained | str, out: Path | str | None = None, *, sign: Path | None = None) -> Path:
        """`evidence pack`: the bundle of an evaluated run; the zip that was written."""
        return proving.pack(self, _run(run), None if out is None else Path(out), sign)[1]

    def verify(self, bundle: Path | str, depth: int = 1, *, key: Path | None = None) -> Report:
        """`evidence verify`: whether a bundle holds. Its `ok` is the answer; nothing is raised for a bundle that does not."""
        return evidence.verify(Path(bundle), depth, settings=self.settings, key=key)

    def leaderboard(
        self,
        *,
        dataset: str | None = None,
        model: str | None = None,
        config: str | None = None,
        on: str | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> Sequence[Board]:
        """`leaderboard`: finished evaluations, a board for every question."""
        filters = Filters(dataset=dataset, model=model, config=config, evalset=on, since=since, until=until)
        return comparisons.leaderboard(self.settings, filters)


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _file(config: Path | str | None) -> Path:
    return recipes.path("train", "sft_demo") if config is None else Path(config)


def _run(what: Trained | str) -> str:
    return what if isinstance(what, str) else what.dir


def _evaluation(what: Evaluation | str) -> str:
    return what if isinstance(what, str) else what.summary.evaluation_id
