"""Foreign text in the grading process: nothing of it is executed, none of it takes long, and no other item notices."""

import os
import time
from pathlib import Path

import pytest
from bombs import Careless

from tunix_rt.scoring import limited, scorers
from tunix_rt.scoring.scorers import Case
from tunix_rt.traces import Step, Trace

TRACE = Trace(prompt="How much?", steps=(Step(i=1, type="compute", content="6 * 7 = 42"),), final_answer="42")
BOMBS = [
    "Answer: 9**9**9",
    "Answer: 9^9^9^9^9",
    "1. 9**9**9 = 9**9**9\nAnswer: 42",
    "1. " + "(" * 9_000 + "1" + ")" * 9_000 + " = 1\nAnswer: 42",
    "1. " + "2^" * 5_000 + "2 = 4\nAnswer: 42",
    "1. " + "-" * 20_000 + "1 = 1\nAnswer: 42",
    "Answer: " + "9" * 200_000,
    "Answer: 1" + "0" * 5_000 + "/" + "3" * 5_000,
    "Answer: " + "a" * 100_000 + "!",
    "#### " * 20_000,
    "\\boxed{" * 20_000,
    "<think>" * 20_000,
    "answer is " * 20_000,
    "1. " + "1 + " * 20_000 + "1 = 2\nAnswer: 42",
    "1. " + "1,000," * 10_000 + "0 = 1\nAnswer: 42",
    "\n" * 200_000 + "Answer: 42",
    "Answer: __import__('os').system('touch executed')",
    "Answer: {{7*7}} ${7*7} %s%s%s",
    "1. exec(open('/etc/passwd').read())\nAnswer: 42",
    "\x00\x01\ud7ff‮" * 1_000 + "Answer: 42",
]
SCORERS = [
    scorers.named("exact"),
    scorers.named("numeric", {"relative": 0.1}),
    scorers.named("steps"),
    scorers.named("regex", {"pattern": r"((a+)+)+!|(x*)*y"}),
]


def case(output: str, number: int) -> Case:
    return Case(item=str(number), group="g", reference=TRACE, output=output, finish="stop", tokens=1)


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
def test_no_bomb_takes_long_or_touches_another_item(
    scorer: scorers.Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mixed = [text for bomb in BOMBS for text in (bomb, "1. 6 * 7 = 42\nAnswer: 42 a!")]
    fine = scorer.score(case(mixed[1], 0)).outcome
    started = time.process_time()
    marks = list(limited.grade(scorer, [case(text, number) for number, text in enumerate(mixed)]))
    assert time.process_time() - started < 3
    assert [one.outcome for one in marks[1::2]] == [fine] * len(BOMBS)
    assert [one.details["grading"] for one in marks if "grading" in one.details] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "bomb", "reason"),
    [
        ("eval", "9**9**9", "more than 0.5 s"),
        ("match", "a" * 64 + "!", "more than 0.5 s"),
        ("hoard", "x", "memory"),
        ("eval", "(lambda f: f(f))(lambda f: f(f))", "RecursionError"),
        ("eval", "__import__('os')._exit(3)", "died"),
    ],
)
def test_a_careless_scorer_is_stopped_and_the_others_are_marked(
    how: str, bomb: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    given = [case(text, number) for number, text in enumerate(("harmless", bomb, "harmless"))]
    marks = list(limited.grade(Careless(how=how), given, seconds=0.5, module="bombs"))
    assert [one.outcome for one in marks] == ["correct", "unparseable", "correct"]
    assert reason in marks[1].details["grading"]


def test_the_grading_process_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    target = tmp_path / "written"
    marks = list(limited.grade(Careless(how="write", target=str(target)), [case("x", 0)], module="bombs"))
    assert "grading" in marks[0].details
    assert not target.exists() or target.read_text() == ""
