"""Problems with an attempt shown in the prompt, to be reviewed: each comes twice, with a right attempt and with one mistake.

The attempt is part of the prompt, so no loss falls on it: a model is trained to see mistakes, never to make them. The reply
does every step again, says whether the one shown is right, and ends at the first wrong one (`find`) or goes on from it
(`mend`). Where the mistake is, the injector says and the step checker, which is not told, has to find too.
"""

from typing import Any, Literal, NamedTuple

from tunix_rt import checking
from tunix_rt.checking import injecting
from tunix_rt.checking.injecting import Injected, Kind
from tunix_rt.traces import Step, Trace

VERSION = 1  # of what is made of a problem; any change of output raises it
NONE = "none"  # the answer when no step is wrong
MISTAKES: tuple[Kind, ...] = ("result", "operand", "operator", "copied digit")
META = frozenset({"review", "problem", "mistake", "first_wrong"})  # what a reviewed item has beside its problem's meta
Review = Literal["find", "mend"]
Line = dict[str, Any]

ASKED: dict[Review, str] = {
    "find": "Which step of this attempt is the first wrong one? Answer with its number, or none.",
    "mend": "Check this attempt step by step, put right what is wrong, and give the right answer.",
}


class Attempt(NamedTuple):
    """`mistake` and `first_wrong` are "none" and 0 for a right one."""

    steps: tuple[Step, ...]
    answer: str
    mistake: str
    first_wrong: int


def problem(trace: Trace) -> str:
    """What the trace asks to solve: its prompt, or the problem whose attempt it asks to review."""
    return str(trace.meta.get("problem", trace.prompt))


def pair(problem: Line, review: Review, seed: int) -> list[Line]:
    """The items of a problem's JSONL object, that with the right attempt first; none when it has no place for a mistake, or
    the checker does not see where it is."""
    trace = Trace.model_validate(problem)
    made = _mistaken(trace, seed) if len(trace.steps) > 1 and _first_wrong(trace, trace) is None else None
    if made is None or made.label.step is None:
        return []
    right = Attempt(trace.steps, trace.final_answer, NONE, 0)
    wrong = Attempt(made.trace.steps, made.trace.final_answer, made.label.kind, made.label.step)
    return [_item(problem, review, attempt) for attempt in (right, wrong)]


def _mistaken(trace: Trace, seed: int) -> Injected | None:
    for kind in injecting.Draws(f"review/{seed}/{trace.id}").shuffled(list(MISTAKES)):
        made = injecting.inject(trace, seed, kind)
        if made is not None and _is_where_it_is_said_to_be(made, trace):
            return made
    return None


def _is_where_it_is_said_to_be(made: Injected, trace: Trace) -> bool:
    """The checker finds it there beside the right steps, and nowhere else without them; and the answer is wrong for it. A
    changed step that is true by luck and leads to the right answer is no mistake."""
    alone = checking.check(made.trace, mode="free").first_wrong
    return (
        len(made.trace.steps) == len(trace.steps)
        and made.trace.final_answer != trace.final_answer
        and _first_wrong(made.trace, trace) == made.label.step
        and alone in (None, made.label.step)
    )


def _first_wrong(said: Trace, reference: Trace) -> int | None:
    return checking.check(said, mode="hybrid", reference=reference).first_wrong


def _item(problem: Line, review: Review, attempt: Attempt) -> Line:
    shown = [f"{step.i}. {step.content}" for step in attempt.steps]
    prompt = "\n".join([problem["prompt"], "", "Attempt:", *shown, f"Answer: {attempt.answer}", "", ASKED[review]])
    found = str(attempt.first_wrong) if attempt.first_wrong else NONE
    steps = _reviewed(problem["steps"], attempt) + _rest(problem, review, attempt, found)
    meta = {"review": review, "problem": problem["prompt"], "mistake": attempt.mistake, "first_wrong": attempt.first_wrong}
    return {
        **problem,
        "prompt": prompt,
        "steps": [{**step, "i": i} for i, step in enumerate(steps, start=1)],
        "final_answer": found if review == "find" else problem["final_answer"],
        "meta": {**problem["meta"], **meta},
    }


def _reviewed(right: list[Line], attempt: Attempt) -> list[Line]:
    """Each step done again up to the first wrong one, with what follows for the step shown."""
    judged = right[: attempt.first_wrong or len(right)]
    return [
        {**step, "type": "correct", "content": f"{step['content']}, so step {i} is wrong"}
        if i == attempt.first_wrong
        else {**step, "type": "verify", "content": f"{step['content']}, so step {i} is right"}
        for i, step in enumerate(judged, start=1)
    ]


def _rest(problem: Line, review: Review, attempt: Attempt, found: str) -> list[Line]:
    if review == "mend" and attempt.first_wrong:
        return list(problem["steps"][attempt.first_wrong :])
    if review == "mend":
        text = f"every step is right, so the answer is {problem['final_answer']}"
    else:
        text = f"the first wrong step is {found}, so the answer is {found}"
    return [{"type": "conclude", "content": text}]
