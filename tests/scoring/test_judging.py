import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import scoring

TARGET = "1. 48 / 2 = 24\n2. 48 + 24 = 72\nAnswer: 72"


def test_a_strictly_correct_answer_keeps_its_steps() -> None:
    assert scoring.judge("72", TARGET, "stop") == scoring.Judgement(
        strict="correct", lenient="correct", answer="72", lenient_answer="72", steps=("48 / 2 = 24", "48 + 24 = 72")
    )


def test_a_wrong_answer_in_the_right_form_is_wrong_both_ways() -> None:
    judged = scoring.judge("71", TARGET, "stop")
    assert (judged.strict, judged.lenient, judged.answer) == ("wrong", "wrong", "72")


# expected, output: not in the strict form, and leniently correct
READ = [
    ("72", "Answer: 72"),
    ("72", "**Answer:** 72 clips"),
    ("72", "Final Answer: $72$"),
    ("72", "The answer is 72 because 48 + 24 = 72."),
    ("72", "The answer is 48 + 24 = 72 clips."),
    ("72", "Answer:\n\n72"),
    ("72", "Answer: 71. Wait, that is wrong. Answer: 72"),
    ("72", "We get \\boxed{72}."),
    ("72", "We get \\boxed{\\text{72}}, of course."),
    ("0.5", "The answer is \\boxed{\\frac{1}{2}}"),
    ("72", "48/2=24\n#### 72"),
    ("72", "#### Step 1\nhalf is 24\n#### Step 2\nso 72"),
    ("72", "Natalia sold 48 + 24 = 72 clips in total"),
    ("72", "She has $72."),
    ("1234", "That makes 1,234"),
    ("72", "The total is 72.\n1. add\n2. done"),
    ("-5", "It comes to -5"),
    ("3", "so 8-3"),
    ("72", "<think>is it 70? Answer: 70</think>72"),
    ("72", "<think>a <think>b</think> 70</think> The answer is 72"),
    ("72", "<think>48 + 24 is 72"),
    ("72", "<think>48 + 24 = 72</think>"),
    ("72", "<reasoning>48 + 24, maybe 70</reasoning><answer>72</answer> 70"),
    ("72", "<ANSWER>72"),
    ("yes", "Yes, because every cat is an animal."),
    ("yes", "Every cat is an animal.\nTherefore, the statement follows: yes."),
    ("no", "Answer: No, it does not."),
    ("false", "The statement is false."),
    ("olleh", "olleh"),
    ("olleh", 'The reversed word is "olleh".'),
    ("olleh", "The reversed word is 'olleh', I think"),
    ("olleh", "The reversed word is: olleh"),
    ("olleh", "The reversed word is olleh."),
    ("olleh", "The answer is `olleh`."),
    ("olleh", "Answer: olleh (read backwards)"),
    ("HELLO WORLD", "In capitals, HELLO WORLD it is."),
    ("apple, fig, pear", "Sorted: [apple, fig, pear]"),
    ("apple, fig, pear", "Here you go.\napple, fig, pear"),
]


@pytest.mark.parametrize(("expected", "output"), READ)
def test_lenient_reading_finds_the_answer(expected: str, output: str) -> None:
    judged = scoring.judge(expected, output, "stop")
    assert (judged.strict, judged.lenient) == ("unparseable", "correct")


# expected, output: a wrong answer stays wrong, however leniently it is read
MISREAD = [
    ("72", "I first thought 72. The answer is 70."),
    ("72", "72 is too much, so it must be 71"),
    ("yes", "No, that does not follow, although one may say yes to it."),
    ("yes", "The answer is no"),
    ("olleh", "olleh is wrong, the word is hello"),
    ("HELLO WORLD", "HELLO WORLD was the input.\nThe output is hello world"),
    ("12", "The answer is 120"),
]


@pytest.mark.parametrize(("expected", "output"), MISREAD)
def test_lenient_reading_takes_no_other_answer(expected: str, output: str) -> None:
    assert scoring.judge(expected, output, "stop").lenient == "wrong"


@pytest.mark.parametrize(("expected", "output"), [("72", ""), ("72", "no idea"), ("yes", "hard to say"), ("abc", " \n ")])
def test_nothing_to_read_is_unparseable(expected: str, output: str) -> None:
    judged = scoring.judge(expected, output, "stop")
    assert (judged.strict, judged.lenient, judged.lenient_answer) == ("unparseable", "unparseable", None)


@pytest.mark.parametrize(
    ("output", "lenient"),
    [
        ("1. 48 / 2 = 24\n2. 48 +", "truncated"),
        ("1. 48 / 2 = 24\n2. 48 + 24 = 72", "correct"),
        ("The answer is 70. Let me check", "wrong"),
        ("<think>the answer is 72, or", "truncated"),
        ("", "truncated"),
    ],
)
def test_a_cut_off_output_is_truncated_unless_it_says_its_answer(output: str, lenient: str) -> None:
    judged = scoring.judge("72", output, "length")
    assert (judged.strict, judged.lenient) == ("truncated", lenient)


def test_a_finished_answer_counts_although_the_limit_was_reached() -> None:
    assert scoring.judge("72", TARGET, "length").strict == "correct"


@given(st.text(max_size=20), st.text(max_size=60), st.sampled_from(["stop", "length"]))
def test_any_text_gets_an_outcome_and_strictly_correct_implies_leniently_correct(gold: str, text: str, end: str) -> None:
    judged = scoring.judge(gold, text, end)
    assert judged.strict != "correct" or judged.lenient == "correct"
    assert (judged.answer is None) == (judged.strict in ("unparseable", "truncated"))
    assert (judged.lenient_answer is None) == (judged.lenient in ("unparseable", "truncated"))


@pytest.mark.parametrize("expected", ["72", "yes", "olleh", "hello world"])
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "1,111",
        "Answer: ",
        '"',
        "'a",
        "`a",
        "“",
        "<think>",
        "<answer>",
        "\\boxed{",
        "\n",
        ". ",
        "x 1/ ",
        "a-",
        "#### 1\n",
    ],
)
def test_a_hostile_megabyte_is_judged(piece: str, expected: str) -> None:
    """Every pattern is linear; a quadratic one would take hours here."""
    judged = scoring.judge(expected, piece * (1_000_000 // len(piece)), "stop")
    assert judged.strict == "unparseable"
