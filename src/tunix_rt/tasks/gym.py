"""Items of the package `reasoning-gym` as tasks named `gym:DATASET`: its question, its answer, its own verifier.

They bring no reasoning and none is made up: the only step states the answer, and `meta.source.reasoning` is "absent". A level
is the package's own curriculum, every attribute at that level. An item is named by dataset, level, options and seed, and a
verifier is asked only after the item has been made again and is the same question, so another version cannot pass unseen.

The package is imported when one of its datasets is asked for, and not before.
"""

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, NamedTuple

from tunix_rt import errors, plugins
from tunix_rt.tasks.core import LEVELS, Draft, Task, step
from tunix_rt.tasks.rng import Rng
from tunix_rt.traces import Trace

PREFIX, PACKAGE = "gym:", "reasoning-gym"
FORM = "question"
ROOM = 1_000_000  # nobody knows how many items a dataset has: a build ends when there are no more
OWN = {
    "seed": "each item has one of its own",
    "size": "the recipe says how many there are",
    "data_file": "it would name a file of this machine",
}
UNFIT: dict[str, tuple[str, ...]] = {}
_WHY = {name: why for why, names in UNFIT.items() for name in names}


class Item(NamedTuple):
    """What the package made, and the dataset object that can judge it."""

    dataset: Any
    entry: dict[str, Any]


def version() -> str:
    """That of the package; Missing when it is not here."""
    found = plugins.installed(PACKAGE)
    if found is None:
        raise errors.Missing(
            f"tasks and scores of {PACKAGE} need that package, which is not installed: pip install 'tunix-rt[gym]'.",
            package=PACKAGE,
        )
    return found


@cache
def library() -> Any:
    """Its register of datasets and curricula."""
    version()
    importlib.import_module("reasoning_gym")
    return importlib.import_module("reasoning_gym.factory")


def names() -> tuple[str, ...]:
    """The tasks that can be asked for."""
    return tuple(PREFIX + name for name in sorted(library().DATASETS) if name not in _WHY)


def task(name: str, options: Mapping[str, Any]) -> Task:
    """The task called `gym:DATASET`, its configuration changed by the options. Levels it does not have have no room."""
    dataset = name.removeprefix(PREFIX)
    if dataset in _WHY:
        raise errors.Refused(f"task {name!r} is not to be had: {_WHY[dataset]}.", task=name)
    if dataset not in library().DATASETS:
        raise errors.NotFound(f"no task {name!r}.{errors.nearest(name, names())}", task=name)
    _known(name, options)
    levels = len(LEVELS) if library().has_curriculum(dataset) else 1
    room = tuple(ROOM if level <= levels else 0 for level in LEVELS)
    for level in LEVELS[: levels if options else 0]:
        _make(dataset, level, options, seed=0)
    return Task(
        name=name,
        version=1,
        section="foreign",
        about=f"{dataset} of {PACKAGE}",
        forms=(FORM,),
        capacity=(room[0], room[1], room[2]),
        make=partial(_draft, dataset, dict(options)),
        category=library().DATASETS[dataset][0].__module__.split(".")[1],
    )


def _known(name: str, options: Mapping[str, Any]) -> None:
    fields = {field.name for field in dataclasses.fields(library().DATASETS[name.removeprefix(PREFIX)][1])} - OWN.keys()
    for option in options:
        if option in OWN:
            raise errors.Invalid(f"task {name!r} takes no option {option!r}: {OWN[option]}.", task=name, field=option)
        if option not in fields:
            text = f"task {name!r} has no option {option!r}.{errors.nearest(option, fields)}"
            raise errors.Invalid(text, task=name, field=option)


def _make(dataset: str, level: int, options: Mapping[str, Any], seed: int) -> Any:
    """A dataset of one item."""
    kind, config_kind = library().DATASETS[dataset]
    try:
        if library().has_curriculum(dataset):
            curriculum = library().create_curriculum(dataset)
            curriculum.set_global_level(level - 1)
            config = curriculum.generate_configuration()
        else:
            config = config_kind()
        return kind(dataclasses.replace(config, **options, seed=seed, size=1))
    except (AssertionError, TypeError, ValueError) as error:
        told = f"{PACKAGE} refuses {PREFIX}{dataset} level {level} with the options {dict(options)!r}: {error}"
        raise errors.Invalid(told, task=PREFIX + dataset, level=level) from error


def _item(dataset: str, level: int, options: Mapping[str, Any], seed: int) -> Item:
    made = _make(dataset, level, options, seed)
    return Item(made, made[0])


def _draft(dataset: str, options: Mapping[str, Any], rng: Rng, level: int) -> Draft:
    seed = rng.below(1 << 31)
    made, entry = _item(dataset, level, options, seed)
    question, answer = entry["question"], entry["answer"]
    where = f"{PREFIX}{dataset} level {level} seed {seed}"
    if not isinstance(answer, str) or not answer.strip() or "\n" in answer:
        raise errors.Failed(f"{where} has the answer {answer!r}, which is no line of text; leave this task out.", task=dataset)
    if made.score_answer(answer, entry) != 1.0:
        raise errors.Failed(f"{where}: its own verifier does not accept the answer {answer!r}.", task=dataset)
    source = {"format": PACKAGE, "version": version(), "dataset": dataset, "seed": seed}
    source |= {"options": dict(options)} if options else {}
    return Draft(FORM, question, question, (step("conclude", answer),), answer, {**source, "reasoning": "absent"})


def is_item(trace: Trace) -> bool:
    """Whether the package can be asked about answers to it."""
    source = trace.meta.get("source")
    return isinstance(source, dict) and source.get("format") == PACKAGE and "seed" in source


def mark(trace: Trace, answers: tuple[str, ...]) -> float:
    """The best mark that the item's verifier gives any of the answers, most often between 0 and 1; they are foreign text.

    ValueError when the package makes another item of the same name now, and when its verifier wants to run an answer.
    """
    source = trace.meta["source"]
    made, entry = _item(source["dataset"], int(trace.meta["level"]), source.get("options", {}), int(source["seed"]))
    if (entry["question"], entry["answer"]) != (trace.prompt, trace.final_answer):
        raise ValueError(f"{PACKAGE} {version()} makes another item of this name than {source['version']} did")
    with _nothing_runs():
        return max(float(made.score_answer(answer, entry)) for answer in answers)


_SEEN: ContextVar[list[str] | None] = ContextVar("seen", default=None)


@contextmanager
def _nothing_runs() -> Iterator[None]:
    """Inside, text that is compiled or executed is an error, even where a verifier catches the first one."""
    _listen()
    seen: list[str] = []
    token = _SEEN.set(seen)
    try:
        yield
    finally:
        _SEEN.reset(token)
    if seen:
        raise ValueError("the verifier wanted to run an answer as code")


@cache
def _listen() -> None:
    """An audit hook stays until the process ends; outside `_nothing_runs` it does nothing."""
    sys.addaudithook(_audit)


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in ("compile", "exec") and (seen := _SEEN.get()) is not None:
        seen.append(event)
        raise ValueError(f"{event} is not allowed here")
