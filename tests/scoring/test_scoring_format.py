import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import errors, scoring
from tunix_rt.scoring.format import one_line

TARGET = "1. 48 / 2 = 24\n2. 48 + 24 = 72\nAnswer: 72"
meaningful = st.text(max_size=40).filter(lambda text: text.strip() != "")


def test_renders_numbered_steps_and_the_answer() -> None:
    assert scoring.render(["48 / 2 = 24", "48 + 24 = 72"], "72") == TARGET


def test_reads_steps_and_answer_back() -> None:
    assert scoring.parse_strict(TARGET) == (("48 / 2 = 24", "48 + 24 = 72"), "72")


@given(st.lists(meaningful, min_size=1, max_size=5), meaningful)
def test_parsing_inverts_rendering(steps: list[str], answer: str) -> None:
    assert scoring.parse_strict(scoring.render(steps, answer)) == (tuple(map(one_line, steps)), one_line(answer))


def test_a_step_of_several_lines_becomes_one() -> None:
    assert scoring.render(["add:\r\n  3 + 4\n\n= 7"], "7\n") == "1. add: 3 + 4 = 7\nAnswer: 7"


@pytest.mark.parametrize(("steps", "answer"), [([], "7"), (["3 + 4"], " \n"), (["3 + 4", "\t"], "7")])
def test_refuses_to_render_nothing(steps: list[str], answer: str) -> None:
    with pytest.raises(errors.Invalid, match="blank"):
        scoring.render(steps, answer)


@pytest.mark.parametrize("text", [f"\n  {TARGET}\n\n", TARGET.replace("\n", "\r\n"), TARGET.replace("\n", "  \n")])
def test_blanks_around_text_and_after_lines_do_not_matter(text: str) -> None:
    assert scoring.parse_strict(text) == (("48 / 2 = 24", "48 + 24 = 72"), "72")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Answer: 72",
        "1. 48 / 2 = 24",
        "48 / 2 = 24\nAnswer: 72",
        "2. 48 / 2 = 24\nAnswer: 72",
        "1. 48 / 2 = 24\n3. 48 + 24 = 72\nAnswer: 72",
        "1. \nAnswer: 72",
        "1. 48 / 2 = 24\nAnswer:",
        "1. 48 / 2 = 24\nanswer: 72",
        "1. 48 / 2 = 24\n\nAnswer: 72",
        "1. 48 / 2 = 24\nSo it is easy.\nAnswer: 72",
        f"Sure!\n{TARGET}",
        f"{TARGET}\nI hope this helps.",
        f"{TARGET}\nAnswer: 72",
    ],
)
def test_any_other_form_is_not_the_format(text: str) -> None:
    assert scoring.parse_strict(text) is None
