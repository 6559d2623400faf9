"""1c  Seeded generators whose every claim is machine-checkable.

`CATALOGUE` names every task. `item` makes one candidate trace from (task, level, seed, k) and nothing else; `problems` says
what is wrong with a trace: a claim that is false or that its own sentence does not show, an answer its steps do not reach.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from tunix_rt import claims, errors
from tunix_rt.claims import Claim, Number
from tunix_rt.tasks import (
    ages,
    arithmetic,
    average,
    convert,
    decompose,
    equation,
    fractions_of,
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
from tunix_rt.tasks.core import LEVELS, Section, Task
from tunix_rt.tasks.rng import Rng
from tunix_rt.tasks.transforms import TRANSFORMS, Transform
from tunix_rt.traces import Step, Trace

__all__ = ["CATALOGUE", "LEVELS", "TRANSFORMS", "Section", "Task", "Transform", "get", "item", "problems"]

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


def get(name: str) -> Task:
    try:
        return CATALOGUE[name]
    except KeyError:
        raise errors.NotFound(f"no task {name!r}.{errors.nearest(name, CATALOGUE)}", task=name) from None


def item(task: Task, level: int, seed: int, k: int, transform: str | None = None) -> Trace:
    """Candidate `k` of the stream; a transform makes a stream of its own."""
    stream = f"{task.name}@{task.version}/{level}"
    if transform:
        stream += f"+{transform}@{TRANSFORMS[transform].version}"
    rng = Rng(seed, stream, k)
    draft = task.make(rng, level)
    prompt = TRANSFORMS[transform].apply(rng, draft) if transform else draft.prompt
    meta = {
        "task": task.name,
        "task_version": task.version,
        "level": level,
        "group": f"{task.name}/{draft.form}",
        "section": "edge" if transform else task.section,
        "key": f"{seed}/{k}",
    }
    if transform:
        meta["transform"] = transform
    steps = tuple(Step(i=i, type=kind, content=content, claims=made) for i, (kind, content, made) in enumerate(draft.lines, 1))
    return Trace(prompt=prompt, steps=steps, final_answer=draft.answer, meta=meta)


def problems(trace: Trace) -> Iterator[str]:
    """One sentence for each claim that is false or that its step's text does not show, and for an answer that the last step
    does not state; nothing when all is well."""
    for step in trace.steps:
        numbers = frozenset(_numbers(step.content))
        for claim in step.claims:
            if not claims.holds(claim):
                yield f"step {step.i} claims {claim.op}{list(claim.args)} = {claim.result!r}; it is {claims.evaluate(claim)!r}"
            elif missing := _unshown(claim, step.content, numbers):
                yield f"step {step.i} claims {claim.op}{list(claim.args)} = {claim.result!r} but does not show {missing!r}"
    if trace.final_answer not in trace.steps[-1].content:
        yield f"the last step does not state the answer {trace.final_answer!r}"


_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?")
_SYMBOLS = {*claims.RELATIONS, "", " ", "-", ", "}  # relation signs and separators are shown in words or not at all


def _numbers(text: str) -> Iterator[Number]:
    """Every number the text writes; of "3/4" also the 3 and the 4."""
    for found in _NUMBER.findall(text):
        parts = [int(part) if part.isdigit() else Fraction(part) for part in found.split("/")]
        yield from parts
        if len(parts) == 2 and parts[1]:
            yield Fraction(parts[0]) / parts[1]


def _unshown(claim: Claim, content: str, numbers: frozenset[Number]) -> claims.Operand | None:
    kinds = (*claims.TABLE[claim.op].args, claims.TABLE[claim.op].result)
    for kind, operand in zip(kinds, (*claim.args, claim.result), strict=True):
        for value in operand if isinstance(operand, tuple) else (operand,):
            if isinstance(value, bool) or value in _SYMBOLS:
                continue
            numeric = isinstance(value, int) or kind in ("number", "numbers")
            if (abs(claims.number(value)) not in numbers) if numeric else (str(value).casefold() not in content.casefold()):
                return value
    return None
