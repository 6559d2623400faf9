"""What reading a dataset tells: the checker's sums, repeats and percentiles."""

from tunix_rt import datasets
from tunix_rt.datasets import PERCENTILES
from tunix_rt.traces import Step, Trace


def trace(prompt: str, *steps: str, answer: str = "5") -> Trace:
    made = tuple(Step(i=i, type="compute", content=text) for i, text in enumerate(steps, start=1))
    return Trace(prompt=prompt, steps=made, final_answer=answer)


ROWS = [trace("2 + 3?", "2 + 3 = 5"), trace("2 + 3!", "Let us see.", "2 + 3 = 6", answer="6"), trace("2 + 3?", "2 + 3 = 5")]


def test_the_checker_is_asked() -> None:
    check = datasets.examine(ROWS).check
    assert check is not None
    assert (check.traces, check.steps, check.wrong_traces, check.wrong_steps) == (3, 4, 1, 1)
    assert (check.coverage, check.step_accuracy) == (0.75, 2 / 3)


def test_it_is_not_asked_when_not_wanted() -> None:
    found = datasets.examine(ROWS, judge=False)
    assert found.check is None
    assert (found.duplicates.content.duplicates, found.duplicates.prompt.distinct) == (1, 2)
    assert found.steps == {1: 2, 2: 1}


def test_percentiles_are_lengths_that_occur() -> None:
    found = datasets.examine([trace("x" * size, "y") for size in range(1, 101)], judge=False).percentiles
    assert dict(zip(PERCENTILES, found["prompt_chars"], strict=True)) == {0: 1, 5: 5, 25: 25, 50: 50, 75: 75, 95: 95, 100: 100}
    assert set(found["steps"]) == {1}


def test_a_built_in_set_has_no_wrong_step() -> None:
    check = datasets.examine(datasets.generate(datasets.recipe("tiny-sums"))).check
    assert check is not None
    assert (check.wrong_traces, check.step_accuracy, check.coverage) == (0, 1.0, 1.0)
