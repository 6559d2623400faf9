import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import errors, scoring
from tunix_rt.scoring import reading
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.format import MARKS, TAG, ReplyFormat, one_line

TARGET = "1. 48 / 2 = 24\n2. 48 + 24 = 72\nAnswer: 72"
meaningful = st.text(max_size=40).filter(lambda text: text.strip() != "")


def test_renders_numbered_steps_and_the_answer() -> None:
    assert scoring.render(["48 / 2 = 24", "48 + 24 = 72"], "72") == TARGET


def test_reads_steps_and_answer_back() -> None:
    assert scoring.parse_strict(TARGET) == (("48 / 2 = 24", "48 + 24 = 72"), "72")


@pytest.mark.parametrize("form", MARKS)
@given(steps=st.lists(meaningful, min_size=1, max_size=5), answer=meaningful)
def test_parsing_inverts_rendering(form: ReplyFormat, steps: list[str], answer: str) -> None:
    written = scoring.render(steps, answer, form)
    assert scoring.parse_strict(written, form) == (tuple(map(one_line, steps)), one_line(answer))
    judged = scoring.judge(answer, written, "stop", form)
    assert (judged.strict, judged.lenient) == ("correct", "correct")
    others = [other for other in MARKS if other != form]
    assert [scoring.parse_strict(written, other) for other in others] == [None, None]


@pytest.mark.parametrize("form", ["think", "tags"])
@given(
    steps=st.lists(meaningful, min_size=1, max_size=3),
    answer=meaningful,
    tag=st.sampled_from(["<think>", "</THINK>", "</answer>", "<reasoning>"]),
    where=st.integers(0, 3),
)
def test_a_text_that_holds_a_tag_is_refused_where_tags_part_the_reply(
    form: ReplyFormat, steps: list[str], answer: str, tag: str, where: int
) -> None:
    parts = [*steps, answer]
    parts[where % len(parts)] += f" {tag}"
    with pytest.raises(errors.Invalid, match="would part the reply"):
        scoring.render(parts[:-1], parts[-1], form)
    assert TAG.search(scoring.render(parts[:-1], parts[-1]))  # control: numbered lines can hold it


NEARLY = {
    "think": [
        "<think>\n48 / 2 = 24, so 72 in all.\n</think>\n72",
        "<think>1. 48 / 2 = 24</think>\n\nThe answer is 72.",
        "<thinking>\n1. 48 / 2 = 24\n</thinking>\n\nAnswer: 72",
    ],
    "tags": [
        "<reasoning>48 / 2 = 24</reasoning><answer>72</answer>",
        "Sure!\n<reasoning>\n1. 48 / 2 = 24\n2. 24 + 48 = 72\n</reasoning>\n<answer>72</answer>",
        "<reasoning>\n1. 48 / 2 = 24\n</reasoning>\n<answer>\n72\n",
    ],
}


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in NEARLY.items() for text in texts])
def test_what_nearly_keeps_the_format_is_read_leniently_only(form: ReplyFormat, text: str) -> None:
    judged = scoring.judge("72", text, "stop", form)
    assert (judged.strict, judged.lenient) == ("unparseable", "correct")
    assert scoring.normalise(str(stated(text, "stop", form))).endswith("72")
    assert "48 / 2 = 24" in reading.reasoned(text)


def test_a_thought_that_was_cut_off_states_no_answer() -> None:
    judged = scoring.judge("72", "<think>\n1. 48 / 2 = 24\n2. 48 + 24 = 72", "length", "think")
    assert (judged.strict, judged.lenient) == ("truncated", "truncated")
    assert stated("<think>\n1. 48 / 2 = 24\n2. 48 + 24 = 72", "length", "think") is None


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
