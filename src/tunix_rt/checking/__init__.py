"""1d The step checker: a verdict for every step of a trace, from its text and from the claims it carries.

normalise -> segment -> find statements -> evaluate exactly -> ask where the numbers come from -> verdict. A step in which
nothing could be checked is unchecked, never ok. Coverage is the share of steps that were checked. Nothing of a text is ever
executed; every pattern is linear and every number, depth and exponent is capped, so hostile text costs little.
"""

from tunix_rt import errors
from tunix_rt.checking import anchoring, answers, steps
from tunix_rt.checking.equations import unit_name
from tunix_rt.checking.verdicts import AnswerCheck, Mode, StepCheck, Summary, Totals, TraceCheck, Verdict, collect, summarise
from tunix_rt.traces import Trace

__all__ = ["AnswerCheck", "Mode", "StepCheck", "Summary", "Totals", "TraceCheck", "Verdict", "check", "summarise", "unit_name"]


def check(trace: Trace, line: int = 1, mode: Mode = "hybrid", reference: Trace | None = None) -> TraceCheck:
    """Judge every step in order.

    `free` looks at the trace alone, `anchored` at where a reference arrives, `hybrid` at both: a step is wrong when either says
    so. Hybrid without a reference is free; anchored without one is an `errors.Invalid`.
    """
    if mode == "anchored" and reference is None:
        raise errors.Invalid(
            "the anchored mode needs a reference trace; use --mode free, or give one as 'reference'.", line=line
        )
    memory = steps.prepare(trace.prompt)
    read = [steps.read(step, memory) for step in trace.steps]
    free = tuple(one.check for one in read)
    answer = answers.judge(trace, read, memory.solution.values())
    if reference is None or mode == "free":
        return collect(trace.id, line, free, answer)
    anchored = anchoring.compare(trace, read, anchoring.anchor(reference))
    beside = answers.against(reference.final_answer, trace.final_answer)
    if mode == "anchored":
        return collect(trace.id, line, tuple(anchored), beside)
    both = tuple(_earlier(one, other) for one, other in zip(free, anchored, strict=True))
    return collect(trace.id, line, both, answer if answer.verdict == "wrong" else beside)


def _earlier(free: StepCheck, anchored: StepCheck) -> StepCheck:
    """What either finds wrong is wrong; a number that only the reference accounts for is accounted for."""
    if free.verdict == "wrong" or anchored.verdict == "unchecked":
        return free
    return anchored if anchored.verdict == "wrong" or free.verdict == "ungrounded" else free
