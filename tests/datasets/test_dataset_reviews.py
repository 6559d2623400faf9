"""Attempts to be reviewed: each problem twice, the mistake where the checker finds it, and in the prompt alone."""

import re
from functools import cache
from typing import Any

import pytest

from tunix_rt import checking, datasets, errors, tasks
from tunix_rt.traces import Step, Trace

ATTEMPT = re.compile(r"^[0-9]+\. (.*)$", re.MULTILINE)
NAMES = ("self-correction-v1", "detection-v1-eval")


@cache
def reviewed(name: str) -> tuple[Trace, ...]:
    return tuple(trace for trace in datasets.generate(datasets.recipe(name)) if "review" in trace.meta)


def attempt(trace: Trace) -> Trace:
    """What the prompt shows, as a trace of its own."""
    problem, _, shown = trace.prompt.partition("\n\nAttempt:\n")
    lines = ATTEMPT.findall(shown)
    answer = shown.partition("\nAnswer: ")[2].partition("\n")[0]
    steps = tuple(Step(i=i, type="compute", content=text) for i, text in enumerate(lines, start=1))
    return Trace(prompt=problem, steps=steps, final_answer=answer)


def mended(**part: Any) -> datasets.Recipe:
    row = {"name": "mine", "version": 1, "seed": 7, "split": "train", "description": "mine", "licence": "MIT"}
    tasked = {"tasks": {"shopping": {"count": 4}}, "levels": {1: 1}, "review": "mend"}
    return datasets.Recipe.parse({**row, "parts": {"all": {**tasked, **part}}}, source="mine")


@pytest.mark.parametrize("name", NAMES)
def test_each_problem_comes_once_right_and_once_wrong(name: str) -> None:
    problems: dict[str, set[bool]] = {}
    for trace in reviewed(name):
        problems.setdefault(trace.meta["problem"], set()).add(trace.meta["first_wrong"] > 0)
    assert len(problems) * 2 == len(reviewed(name))
    assert set(map(frozenset, problems.values())) == {frozenset((False, True))}


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_finds_the_mistake_where_it_is_said_to_be(name: str) -> None:
    for trace in reviewed(name):
        shown = attempt(trace)
        assert shown.prompt == trace.meta["problem"]
        first = checking.check(shown, mode="free").first_wrong
        assert first in (None, trace.meta["first_wrong"])
        assert first is None or trace.meta["first_wrong"]
        right = [one for one in reviewed(name) if one.meta["problem"] == shown.prompt and not one.meta["first_wrong"]]
        assert (shown.final_answer == attempt(right[0]).final_answer) == (trace.meta["first_wrong"] == 0)
        if trace.meta["review"] == "find":
            assert trace.final_answer == (str(trace.meta["first_wrong"]) if trace.meta["first_wrong"] else "none")


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_is_true_and_says_which_step_is_wrong(name: str) -> None:
    for trace in reviewed(name):
        text = " ".join(step.content for step in trace.steps)
        assert tasks.problems(trace) == []
        assert checking.check(trace).first_wrong is None
        assert text.count("is wrong") == (trace.meta["first_wrong"] > 0)
        assert f"so step {trace.meta['first_wrong']} is wrong" in text or not trace.meta["first_wrong"]


def test_mending_ends_in_the_right_answer_whatever_was_shown() -> None:
    right, wrong = datasets.generate(mended())[:2]
    assert (right.meta["first_wrong"], wrong.meta["first_wrong"] > 0) == (0, True)
    assert right.final_answer == wrong.final_answer == attempt(right).final_answer != attempt(wrong).final_answer


def test_no_problem_of_one_side_is_on_the_other() -> None:
    train, held_out = ({trace.meta["problem"] for trace in reviewed(name)} for name in NAMES)
    assert train.isdisjoint(held_out)
    assert {datasets.side(problem) for problem in train} == {"train"}
    assert not (train | {next(iter(held_out))}).isdisjoint(held_out), "the comparison can fail"


def test_pairs_need_even_numbers_and_no_transforms() -> None:
    with pytest.raises(errors.Invalid, match="3 items of task 'shopping' level 1 to be reviewed; they come in pairs"):
        datasets.plan(mended(tasks={"shopping": {"count": 3}}))
    with pytest.raises(errors.Invalid, match="a part with review has no transforms"):
        mended(transforms={"minimal": 1})
