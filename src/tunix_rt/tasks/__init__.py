"""1c  Seeded generators whose every claim is machine-checkable.

`CATALOGUE` names every task. `item` makes one candidate trace from (task, level, seed, k) and nothing else; `draft` and `line`
are its two halves, for streams that turn most candidates down and need no `Trace`; `problems` says what is wrong with one.
"""

from collections.abc import Mapping
from typing import Any, Literal

from tunix_rt import errors, plugins
from tunix_rt.tasks import (
    ages,
    arithmetic,
    average,
    convert,
    decompose,
    equation,
    fractions_of,
    gym,
    logic,
    percent,
    rates,
    rectangle,
    repetition,
    reverse,
    sets,
    sharing,
    shopping,
    sorting,
    speed,
    stock,
    uppercase,
    verify,
    wordcount,
)
from tunix_rt.tasks.core import LEVELS, Draft, Section, Task
from tunix_rt.tasks.proof import problems
from tunix_rt.tasks.rng import Rng
from tunix_rt.tasks.transforms import TRANSFORMS, Transform
from tunix_rt.traces import TRACE_VERSION, Trace

__all__ = [
    "CATALOGUE", "LEVELS", "PLUGINS", "TRANSFORMS", "Draft", "Section", "Task", "Transform", "draft", "get", "gym", "item",
    "line", "package", "problems",
]  # fmt: skip

_MODULES = (
    speed,
    percent,
    shopping,
    decompose,
    verify,
    convert,
    ages,
    equation,
    average,
    sharing,
    stock,
    rectangle,
    rates,
    fractions_of,
    arithmetic,
    reverse,
    sorting,
    logic,
    sets,
    repetition,
    wordcount,
    uppercase,
)
CATALOGUE: dict[str, Task] = {module.TASK.name: module.TASK for module in _MODULES}


PLUGINS: Literal["tunix_rt.tasks"] = "tunix_rt.tasks"


def get(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """The task of that name. Only those of `gym` have options."""
    if name.startswith(gym.PREFIX):
        return gym.task(name, options or {})
    if options:
        raise errors.Invalid(f"task {name!r} has no options, {next(iter(options))!r} is one.", task=name)
    task: Task = plugins.named(PLUGINS, name, CATALOGUE, _unfit)
    return task


def package(name: str) -> plugins.Package | None:
    """What brings the task; None for a built-in one, and for one that is not here."""
    if name.startswith(gym.PREFIX):
        version = plugins.installed(gym.PACKAGE)
        return None if version is None else plugins.Package(gym.PACKAGE, version)
    return plugins.package(PLUGINS, name)


def _unfit(made: Any, name: str) -> str | None:
    if not isinstance(made, Task):
        return f"it is {type(made).__name__!r}, not a tunix_rt.tasks.Task"
    if made.name != name:
        return f"its task calls itself {made.name!r}"
    if not made.forms or len(made.capacity) != len(LEVELS):
        return f"it needs forms, and a capacity for each of the levels {LEVELS}"
    return None


def item(task: Task, level: int, seed: int, k: int, transform: str | None = None) -> Trace:
    """Candidate `k` of the stream; a transform makes a stream of its own."""
    made = draft(task, level, seed, k, transform)
    return Trace.model_validate(line(made, task, level, f"{seed}/{k}", transform))


def draft(task: Task, level: int, seed: int, k: int, transform: str | None = None) -> Draft:
    """What candidate `k` asks, thinks and answers."""
    stream = f"{task.name}@{task.version}/{level}"
    if not transform:
        return task.make(Rng(seed, stream, k), level)
    rng = Rng(seed, f"{stream}+{transform}@{TRANSFORMS[transform].version}", k)
    made = task.make(rng, level)
    return made._replace(prompt=TRANSFORMS[transform].apply(rng, made))


def line(made: Draft, task: Task, level: int, key: str, transform: str | None = None) -> dict[str, Any]:
    """The draft as a trace's JSONL object: what `Trace.line()` gives, without the cost of the trace."""
    steps = []
    for i, (kind, content, claims) in enumerate(made.lines, 1):
        step: dict[str, Any] = {"i": i, "type": kind, "content": content}
        if claims:
            step["claims"] = [{"op": op, "args": args, "result": result} for op, args, result in claims]
        steps.append(step)
    meta = {
        "task": task.name,
        "task_version": task.version,
        "level": level,
        "group": f"{task.name}/{made.form}",
        "section": "edge" if transform else task.section,
        "key": key,
    }
    if transform:
        meta["transform"] = transform
    if made.source:
        meta["source"] = made.source
    body = {"prompt": made.prompt, "steps": steps, "final_answer": made.answer, "meta": meta}
    return {"trace_version": TRACE_VERSION, **body}
