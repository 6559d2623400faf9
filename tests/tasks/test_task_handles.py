"""Handles: how exact values are written, and that what is written is what is claimed."""

from fractions import Fraction

import pytest

from tunix_rt.tasks.handles import Style, arrange, assert_, calc, given, noun, rewrite, word, written


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (24, "plain", "24"),
        (-3, "plain", "-3"),
        (Fraction(1, 2), "plain", "0.5"),
        (Fraction(-1, 4), "plain", "-0.25"),
        (Fraction(1, 3), "plain", "1/3"),
        (31, "dollars", "$31"),
        (31, "cents", "$31.00"),
        (Fraction(63, 2), "dollars", "$31.50"),
        (Fraction(5, 100), "cents", "$0.05"),
        (Fraction(-63, 2), "cents", "-$31.50"),
        (15, "percent", "15%"),
    ],
)
def test_numbers_have_one_written_form(value: int | Fraction, style: Style, text: str) -> None:
    assert written(value, style) == text


@pytest.mark.parametrize(("count", "text"), [(1, "1 box"), (2, "2 boxes"), (0, "0 boxes")])
def test_nouns_agree_with_their_number(count: int, text: str) -> None:
    assert f"{given(count, noun('box', 'boxes')):u}" == text


@pytest.mark.parametrize(
    ("value", "text"), [(7, "a 7"), (8, "an 8"), (11, "an 11"), (18, "an 18"), (81, "an 81"), (10, "a 10")]
)
def test_articles_follow_the_sound(value: int, text: str) -> None:
    assert f"{given(value):a}" == text


def test_equation_and_claim_agree() -> None:
    price, count = given(Fraction(21, 4), style="cents"), given(4)
    cost = calc("mul", price, count)
    assert f"{cost:eq}" == "$5.25 * 4 = $21.00"
    assert cost.claims == (("mul", ("21/4", 4), 21),)


def test_money_per_money_is_a_plain_number() -> None:
    assert f"{calc('div', given(20, style='dollars'), given(5, style='dollars'))}" == "4"


def test_lists_and_texts_carry_their_claims() -> None:
    letters = arrange("spell", word("kiwi"))
    assert f"{letters:-}" == "k-i-w-i"
    assert rewrite("reverse", word("kiwi")).value == "iwik"
    assert f"{assert_('member', word('k'), letters)}" == "yes"


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="no format 'x' for a quantity"):
        f"{given(1):x}"
