"""A study as a value, locked before anything runs; what each of its runs left is noted beside the lock, one file a run.

The lock holds the digest of the study and of everything it names, and the time. A study whose file has changed since is another
study: it gets a folder, and runs, of its own.
"""

import time
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tunix_rt import datasets, errors, models, recipes, values
from tunix_rt.comparisons import METRICS
from tunix_rt.datasets import Selection
from tunix_rt.jobs import FolderName, Stage, TrainConfig
from tunix_rt.runs import TrainSpec
from tunix_rt.settings import Settings
from tunix_rt.values import Value

BASE = "base"  # the model as it is, an arm of every study
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Arm(Value):
    """What one arm is trained on: datasets one after another, each `epochs` times or until the steps are used up."""

    about: str
    stages: tuple[FolderName, ...] = Field(min_length=1)
    epochs: int = Field(default=1, ge=1, le=1000)


class Question(Value):
    """What every arm is asked. `metric` is what the arms are compared by; `also` is shown beside it and tests nothing."""

    about: str
    evalset: FolderName
    metric: str
    also: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=160, ge=1, le=8192)

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [metric for metric in (self.metric, *self.also) if metric not in METRICS]
        if unknown:
            raise ValueError(f"no metric {unknown[0]!r}.{errors.nearest(unknown[0], METRICS)}")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.metric, *self.also)))


class Study(Value):
    """`config` trains every arm, for exactly `config.steps` optimizer steps, once with each seed. `selections` are datasets
    made for the study. Every arm is compared with each of the `references` it is not itself."""

    name: Name
    version: int = Field(ge=1)
    about: str
    seeds: tuple[int, ...] = Field(min_length=2)
    margin: float = Field(default=0.05, gt=0, lt=1)
    references: tuple[Name, ...] = Field(default=(BASE,), min_length=1)
    config: TrainConfig
    selections: tuple[Selection, ...] = ()
    arms: dict[Name, Arm] = Field(min_length=1)
    questions: dict[Name, Question] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.config.steps is None:
            raise ValueError("'config.steps' is missing: it is what makes the arms equal")
        if self.config.stages or self.config.validation or BASE in self.arms:
            raise ValueError(f"stages belong to the arms, there is no validation, and no arm is called {BASE!r}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed occurs twice")
        for name in self.references:
            if name != BASE and name not in self.arms:
                raise ValueError(f"the reference {name!r} is no arm.{errors.nearest(name, [BASE, *self.arms])}")
        return self

    @property
    def datasets(self) -> tuple[str, ...]:
        """Everything that is trained on."""
        return tuple(dict.fromkeys(stage for arm in self.arms.values() for stage in arm.stages))

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """(arm, seed) of every run, a whole round of arms before the next seed."""
        return tuple((arm, seed) for seed in self.seeds for arm in self.arms)


class Plan(Value):
    """The lock: what will be done, said while nobody knows the result. `locked_at` is in seconds since 1970, by this
    machine's clock."""

    study: Study
    study_digest: str
    model_digest: str
    datasets: dict[str, str]
    evalsets: dict[str, str]
    locked_at: float


class Cell(Value):
    """What a run of the study left: its evaluations and bundles by question. The base model has neither run nor seed."""

    arm: str
    seed: int | None = None
    run_id: str | None = None
    evaluations: dict[str, str]
    bundles: dict[str, str] = Field(default_factory=dict)
    finished_at: float


def load(name_or_path: str) -> Study:
    """A study that ships, by name, or any by the path of its TOML file."""
    own = name_or_path.endswith(".toml") or "/" in name_or_path
    path = Path(name_or_path) if own else recipes.path("study", name_or_path)
    return Study.parse(values.read_toml(path), source=str(path))


def folder(settings: Settings, study: Study) -> Path:
    return settings.home / "studies" / f"{study.name}-{study.digest[:12]}"


def lock(settings: Settings, study: Study) -> Plan:
    """Lock the study now, or find it locked; the workspace has its model and datasets by then.

    `errors.Conflict` when one of them is not what was locked.
    """
    path = folder(settings, study) / "plan.json"
    made = Plan(
        study=study,
        study_digest=study.digest,
        model_digest=models.prepare(settings, study.config.model).digest,
        datasets={name: datasets.manifest(settings, name).digest for name in study.datasets},
        evalsets={one.evalset: datasets.manifest(settings, one.evalset).digest for one in study.questions.values()},
        locked_at=round(time.time(), 3),
    )
    if not path.is_file():
        values.write_json(path, made.model_dump(mode="json"))
        return made
    there = Plan.parse(values.read_json(path), source=str(path))
    now = made.model_copy(update={"locked_at": there.locked_at})
    for field, was, found in values.differences(there.model_dump(mode="json"), now.model_dump(mode="json")):
        raise errors.Conflict(f"{path}: {field} was locked as {was!r} and is {found!r} now.", field=field, was=was, now=found)
    return there


def asked(study: Study, arm: str, seed: int) -> TrainSpec:
    """The training run of an arm with a seed."""
    chosen = study.arms[arm]
    changes: dict[str, object] = {"name": f"{study.name}-{arm}", "seed": seed, "epochs": chosen.epochs}
    if len(chosen.stages) > 1:
        stages = tuple(Stage(dataset=name, epochs=chosen.epochs) for name in chosen.stages)
        changes |= {"stages": stages, "epochs": 1}
    return TrainSpec(config=study.config.model_copy(update=changes), dataset=chosen.stages[0])


def dedup_key(study: Study, arm: str, seed: int) -> str:
    """Names the run in the ledger, so that it is done once however often the study is started."""
    return f"study:{study.digest[:16]}:{arm}:{seed}"


def _path(settings: Settings, study: Study, arm: str, seed: int | None) -> Path:
    return folder(settings, study) / "cells" / (f"{arm}.json" if seed is None else f"{arm}-{seed}.json")


def cell(settings: Settings, study: Study, arm: str, seed: int | None = None) -> Cell | None:
    path = _path(settings, study, arm, seed)
    return Cell.parse(values.read_json(path), source=str(path)) if path.is_file() else None


def keep(settings: Settings, study: Study, made: Cell) -> None:
    values.write_json(_path(settings, study, made.arm, made.seed), made.model_dump(mode="json"))


def cells(settings: Settings, study: Study) -> tuple[Cell, ...]:
    """What is finished, the base model first."""
    found = [cell(settings, study, BASE), *(cell(settings, study, arm, seed) for arm, seed in study.pairs)]
    return tuple(one for one in found if one is not None)


def missing(settings: Settings, study: Study) -> list[str]:
    """The runs that are not finished."""
    there = {(one.arm, one.seed) for one in cells(settings, study)}
    wanted: list[tuple[str, int | None]] = [(BASE, None), *study.pairs]
    return [arm if seed is None else f"{arm} seed {seed}" for arm, seed in wanted if (arm, seed) not in there]
