"""Replies as text: exact forms invert, prose is cut the same way every time."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import scoring
from tunix_rt.formats import BadRow, replies
from tunix_rt.traces import Trace

line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=40).map(str.strip).filter(bool)


def trace(steps: list[str], answer: str) -> Trace:
    rows = [{"i": i, "type": "compute", "content": text} for i, text in enumerate(steps, start=1)]
    return Trace.model_validate({"prompt": "?", "steps": rows, "final_answer": answer})


@given(st.lists(line, min_size=1, max_size=4), line)
def test_one_line_steps_are_written_as_training_renders_them(steps: list[str], answer: str) -> None:
    written = replies.write(trace(steps, answer))
    assert written == scoring.render(steps, answer)
    assert replies.parse(written)[:2] == (tuple(steps), answer)


@pytest.mark.parametrize(
    ("text", "steps", "answer"),
    [
        ("<think>add 2\n\nthen 3</think>\n\n5", ("add 2", "then 3"), "5"),
        ("<think>\n1. a\n2. b\n</think>\n\n5", ("a", "b"), "5"),
        ("<think>add</think> The answer is **5**.", ("add",), "5"),
        ("<thinking>add 2</thinking><answer> 5 </answer>", ("add 2",), "5"),
        ("<reasoning>add 2</reasoning><answer>5</answer>", ("add 2",), "5"),
        ("<reasoning>add 2\n<answer>5", ("add 2",), "5"),
        ("<think>add 2\nSo the answer is 5.", ("add 2",), "5"),
        ("add 2\n</think>\n5", ("add 2",), "5"),
        ("add 2\nthen 3\n#### 5", ("add 2", "then 3"), "5"),
        (
            "First, 2 + 3.\n\nHence $\\boxed{\\frac{1}{2}}$.",
            ("First, 2 + 3.", "Hence $\\boxed{\\frac{1}{2}}$."),
            "\\frac{1}{2}",
        ),
        ("Step 1: add\nmore\nStep 2: done\nFinal answer: 5", ("add\nmore", "done"), "5"),
        ("We add 2. Then 3. It is 5.", ("We add 2.", "Then 3."), "It is 5."),
        ("2 + 3 = 5, so the answer is 5.", ("2 + 3 = 5, so the answer is 5.",), "5"),
        ("5", (), "5"),
    ],
)
def test_prose_is_cut_into_steps_and_an_answer(text: str, steps: tuple[str, ...], answer: str) -> None:
    assert replies.parse(text)[:2] == (steps, answer)


def test_what_follows_the_reasoning_is_kept_beside_the_answer_it_points_at() -> None:
    assert replies.parse("<think>add</think>Well, the answer is 5").note == {"response": "Well, the answer is 5"}
    assert replies.parse("<think>add. So: 5").note == {"unclosed": True}


@pytest.mark.parametrize(
    "text", ["", " \n", "<think>add</think>", "<think>add</think>\n ", "<reasoning>a</reasoning><answer> </answer>"]
)
def test_a_reply_without_an_answer_is_refused(text: str) -> None:
    with pytest.raises(BadRow) as caught:
        replies.parse(text)
    assert caught.value.code == "no_answer"


def test_several_lines_go_between_tags() -> None:
    written = replies.write(trace(["a\nb", "c"], "x\ny"))
    assert written == "<reasoning>\n<step>a\nb</step>\n<step>c</step>\n</reasoning>\n<answer>x\ny</answer>"
    assert replies.parse(written)[:2] == (("a\nb", "c"), "x\ny")


def test_a_step_that_holds_the_separator_is_refused_and_not_changed() -> None:
    with pytest.raises(BadRow, match="could not be read back"):
        replies.write(trace(["a</step>\n<step>b\n"], "5"))
    assert replies.write(trace(["a</step>b\n"], "5"))


@pytest.mark.parametrize(
    "text",
    [
        "<step>x</step>\n" * 20_000 + "!",
        "<reasoning>\n<step>" + "</reasoning>\n<answer>" * 20_000,
        "answer is " * 50_000,
        "answer:" + " " * 200_000 + "\nx",
        "\\boxed{" * 50_000,
        "#" * 200_000,
        "a.  " * 50_000,
        "\n \t" * 100_000,
        "<think></think>" * 20_000,
    ],
    ids=range(9),
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    before = time.process_time()
    with suppress(BadRow):
        replies.parse(text)
    assert time.process_time() - before < 2
