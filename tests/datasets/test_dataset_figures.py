"""Counts and lengths of a few traces small enough to count by hand."""

from tunix_rt import datasets
from tunix_rt.traces import Step, Trace


def trace(prompt: str, steps: int, **meta: object) -> Trace:
    lines = tuple(Step(i=i, type="compute", content="1 + 1") for i in range(1, steps + 1))
    return Trace(prompt=prompt, steps=lines, final_answer="2", meta=meta)


FEW = [
    trace("add 1 and 1", 1, task="sums", level=1),
    trace("add 22 and 1", 2, task="sums", level=2),
    trace("go", 4, task="other", level=1, transform="minimal"),
]


def test_composition_counts_meta() -> None:
    composition = datasets.tally(FEW).composition
    assert composition.task == {"other": 1, "sums": 2}
    assert composition.level == {"1": 2, "2": 1}
    assert composition.transform == {"minimal": 1}
    assert composition.step_type == {"compute": 7}


def test_figures_measure_lengths() -> None:
    figures = datasets.tally(FEW).figures
    assert figures.prompt_words.model_dump() == {"min": 1, "median": 4, "max": 4}
    assert figures.steps.model_dump() == {"min": 1, "median": 2, "max": 4}
    assert figures.trace_words.model_dump() == {"min": 8, "median": 11, "max": 14}
    assert (figures.distinct_prompts, figures.distinct_skeletons, figures.distinct_answers) == (3, 2, 1)
    assert (figures.claims, figures.steps_with_claims) == (0, 0)
