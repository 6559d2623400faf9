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
CHANGES = "the same seed gives another item in another process or order"
RUNS = "its verifier runs text as code"
NO_LINE = "some of its items have no answer that is one line of text"
FALSE = "some of the answers it expects are false"
WRONG = "its verifier accepts wrong answers"
SLOW = "some of its items take longer to make than there is time to grade one"
PARTS = "it only joins other datasets"
PRINTS = "it prints while it makes items"
# Each reason was found in version 0.1.25 by making items; the tests find them again, and what a later version adds.
UNFIT: dict[str, tuple[str, ...]] = {
    CHANGES: ("decimal_chain_sum", "isomorphic_strings", "polynomial_multiplication", "ransom_note", "word_ladder"),
    RUNS: (
        "binary_matrix", "bitwise_arithmetic", "countdown", "intermediate_integration", "n_queens", "number_sorting",
        "puzzle24", "simple_integration", "spiral_matrix", "string_insertion",
    ),
    NO_LINE: (
        "arc_agi", "boxnet", "futoshiki", "graph_color", "kakurasu", "manipulate_matrix", "mini_sudoku", "modulo_grid",
        "pool_matrix", "propositional_logic", "rearc", "rotate_matrix", "rubiks_cube", "rush_hour", "sudoku", "survo",
        "tower_of_hanoi",
    ),
    FALSE: ("gsm_symbolic",),
    WRONG: ("coin_flip", "complex_arithmetic", "game_of_life_halting", "palindrome_partitioning", "time_intervals"),
    SLOW: ("jugs", "number_sequence", "sokoban"),
    PARTS: ("composite",),
    PRINTS: ("bf",),
}  # fmt: skip
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
            f"tasks and scores of {PACKAGE} need that package, not installed here; in the repository: pip install -e '.[gym]'.",
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
    refusals = [_refusal(dataset, level, options) for level in LEVELS]
    if all(refusals):
        raise errors.Invalid(f"recipes cannot have this task: {refusals[0]}", task=name)
    room = [0 if refusal else ROOM for refusal in refusals]
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


def _refusal(dataset: str, level: int, options: Mapping[str, Any]) -> str | None:
    try:
        _config(dataset, level, options, seed=0)
    except errors.Invalid as refused:
        return refused.message
    return None


def _config(dataset: str, level: int, options: Mapping[str, Any], seed: int) -> Any:
    """The configuration of one item. Invalid when the dataset does not have the level, or refuses the options there."""
    kind = library().DATASETS[dataset][1]
    where = f"{PREFIX}{dataset} level {level}"
    try:
        if library().has_curriculum(dataset):
            curriculum = library().create_curriculum(dataset)
            curriculum.set_global_level(level - 1)
            config = curriculum.generate_configuration()
        elif level == 1:
            config = kind()
        else:
            raise errors.Invalid(f"{where} does not exist: the dataset has one level.", level=level)
        config = dataclasses.replace(config, **options, seed=seed, size=1)
        if hasattr(config, "validate"):
            config.validate()
    except (AssertionError, TypeError, ValueError) as error:
        text = f"{PACKAGE} refuses {where} with the options {dict(options)!r}: {error}."
        raise errors.Invalid(text, task=PREFIX + dataset, level=level) from error
    return config


def _item(dataset: str, level: int, options: Mapping[str, Any], seed: int) -> Item:
    made = library().DATASETS[dataset][0](_config(dataset, level, options, seed))
    return Item(made, made[0])


def _draft(dataset: str, options: Mapping[str, Any], rng: Rng, level: int) -> Draft:
    seed = rng.below(1 << 31)
    made, entry = _item(dataset, level, options, seed)
    question, answer = entry["question"], entry["answer"]
    where = f"{PREFIX}{dataset} level {level} seed {seed}"
    if not one_line(answer):
        raise errors.Failed(f"{where} has the answer {answer!r}, which is no line of text; leave this task out.", task=dataset)
    if made.score_answer(answer, entry) != 1.0:
        raise errors.Failed(f"{where}: its own verifier does not accept the answer {answer!r}.", task=dataset)
    source = {"format": PACKAGE, "version": version(), "dataset": dataset, "seed": seed}
    source |= {"options": dict(options)} if options else {}
    return Draft(FORM, question, question, (step("conclude", answer),), answer, {**source, "reasoning": "absent"})


def one_line(answer: object) -> bool:
    """Whether a reply's last line can state it."""
    return isinstance(answer, str) and bool(answer.strip()) and "\n" not in answer


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
        return max(_judged(made, entry, answer) for answer in answers)


def _judged(made: Any, entry: dict[str, Any], answer: str) -> float:
    """An answer that the verifier fails on is one that it does not accept."""
    try:
        return float(made.score_answer(answer, entry))
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return 0.0


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
