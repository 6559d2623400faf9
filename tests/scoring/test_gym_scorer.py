"""Verifiers of reasoning-gym on foreign text: what they accept, what they must not do, and what they must not be asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from tunix_rt import tasks
from tunix_rt.scoring import limited, scorers
from tunix_rt.scoring.scorers import Case, Scored
from tunix_rt.tasks import gym
from tunix_rt.traces import Step, Trace

GYM = scorers.named("gym")
CODE = "__import__('pathlib').Path('executed').touch()"
FOREIGN = [
    CODE,
    f"[{CODE}]",
    "9**9**9",
    "[[" * 2_000,
    "(" * 5_000,
    "1" * 6_000,
    "[1, 2]",
    '{"a": 1}',
    "nan",
    "1e999",
    "None",
    "x",
    "-",
    "lambda: 1",
]


def case(trace: Trace, output: str, finish: str = "stop") -> Case:
    return Case(item=trace.id, group="g", reference=trace, output=output, finish=finish, tokens=1)


def marks(trace: Trace, *outputs: str) -> list[Scored]:
    return list(limited.grade(GYM, [case(trace, output) for output in outputs]))


def evaluating() -> Trace:
    """An item of a dataset that no recipe may ask for, since its verifier evaluates the answer."""
    made = gym._item("countdown", 1, {}, 3).entry
    source = {"format": gym.PACKAGE, "version": gym.version(), "dataset": "countdown", "seed": 3}
    step = Step(i=1, type="conclude", content=made["answer"])
    return Trace(
        prompt=made["question"], steps=(step,), final_answer=made["answer"], meta={"task": "x", "level": 1, "source": source}
    )


def test_the_whole_mark_is_right_and_a_part_is_kept() -> None:
    made = tasks.item(tasks.get("gym:gcd"), 1, 2, 0)
    expected = made.final_answer
    right, close, wrong, none = marks(
        made, f"Answer: {expected}", f"Answer: it is {expected}", "The answer is blue.", "I do not know"
    )
    assert [one.outcome for one in (right, close, wrong, none)] == ["correct", "wrong", "wrong", "unparseable"]
    assert right.value == right.details["mark"] == 1
    assert 0 == close.value < close.details["mark"] < 1
    assert none.details == {"mark": 0.0}


def test_another_right_answer_is_right_although_it_is_not_the_expected_one() -> None:
    task = tasks.get("gym:palindrome_generation")
    made = next(trace for k in range(50) if len(set((trace := tasks.item(task, 1, 4, k)).final_answer[:2])) == 2)
    told = made.final_answer
    other = told[1] + told[0] + told[2:-2] + told[-1] + told[-2]
    same, swapped = marks(made, f"Answer: {told}", f"Answer: {other}")
    assert (same.outcome, swapped.outcome, swapped.answer == told) == ("correct", "correct", False)


def test_an_answer_that_the_verifier_fails_on_is_wrong() -> None:
    made = tasks.item(tasks.get("gym:game_of_life"), 1, 2, 0)
    found = marks(made, 'Answer: {"a": 1}')[0]
    assert (found.outcome, found.details) == ("wrong", {"mark": 0.0})


def test_a_final_stop_is_no_part_of_an_answer() -> None:
    made = tasks.item(tasks.get("gym:gcd"), 1, 2, 0)
    assert marks(made, f"The answer is {made.final_answer}.")[0].outcome == "correct"


def test_an_item_that_the_package_makes_otherwise_now_is_not_graded() -> None:
    made = tasks.item(tasks.get("gym:gcd"), 1, 2, 0)
    older = made.meta | {"source": made.meta["source"] | {"version": "0.1.1"}}
    other = made.model_copy(update={"prompt": made.prompt + " Please.", "meta": older})
    found = marks(other, f"Answer: {made.final_answer}")[0]
    assert found.outcome == "unparseable"
    assert "makes another item of this name than 0.1.1 did" in found.details["grading"]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "negative control"])
def test_an_answer_is_never_run(guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if guarded:
        found = list(limited.grade(GYM, [case(evaluating(), f"Answer: {CODE}"), case(evaluating(), "Answer: 1 + 1")]))
        assert ["wanted to run an answer as code" in one.details["grading"] for one in found] == [True, True]
    else:
        program = f"from tunix_rt.tasks import gym\nm, e = gym._item('countdown', 1, {{}}, 3)\nm.score_answer({CODE!r}, e)"
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert (tmp_path / "executed").exists() is not guarded


def test_no_verifier_that_can_be_had_runs_an_answer_or_takes_it_for_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    traces = [tasks.item(tasks.get(name), 1, 6, 0) for name in gym.names() if name != "gym:knight_swap"]
    cases = [case(trace, f"Answer: {text}") for trace in traces for text in FOREIGN if text != trace.final_answer]
    found = list(limited.grade(GYM, cases))
    assert [
        (one.reference.meta["task"], mark.details) for one, mark in zip(cases, found, strict=True) if "grading" in mark.details
    ] == []
    free = {one.reference.meta["task"] for one, mark in zip(cases, found, strict=True) if mark.outcome == "correct"}
    assert free == set()
    assert list(tmp_path.iterdir()) == []
