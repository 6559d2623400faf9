"""Arithmetic written out: the chain reads as on paper, and each of its links is a claim that holds."""

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from tunix_rt import claims
from tunix_rt.tasks import working
from tunix_rt.tasks.handles import Quantity, given


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (working.add(given(38), given(47)), "38 + 47 = 78 + 7 = 85"),
        (working.add(given(38), given(7)), "38 + 7 = 45"),
        (working.add(given(347), given(285)), "347 + 285 = 547 + 85 = 627 + 5 = 632"),
        (working.sub(given(85), given(47)), "85 - 47 = 45 - 7 = 38"),
        (working.sub(given(85), given(40)), "85 - 40 = 45"),
        (working.mul(given(47), given(6)), "47 * 6 = 40 * 6 + 7 * 6 = 240 + 42 = 282"),
        (working.mul(given(60), given(3)), "60 * 3 = 180"),
        (working.mul(given(12, style="dollars"), given(7)), "$12 * 7 = $10 * 7 + $2 * 7 = $70 + $14 = $84"),
        (working.div(given(84), given(6)), "84 / 6 = 60 / 6 + 24 / 6 = 10 + 4 = 14"),
        (working.div(given(48), given(6)), "48 / 6 = 8"),
        (working.split(given(305)), "305 = 300 + 5"),
        (working.chunks(given(84), given(6)), "84 = 60 + 24"),
    ],
)
def test_chains_read_as_on_paper(quantity: Quantity, text: str) -> None:
    assert f"{quantity:eq}" == text


@pytest.mark.parametrize(
    ("rate", "whole", "texts"),
    [
        (10, 75, ["10% of 75 = 75 / 10 = 7.5"]),
        (20, 80, ["10% of 80 = 80 / 10 = 8", "20% of 80 = 2 * 8 = 16"]),
        (20, 35, ["20% of 35 = 35 / 5 = 7"]),
        (25, 80, ["25% of 80 = 80 / 4 = 20"]),
        (30, 80, ["10% of 80 = 80 / 10 = 8", "30% of 80 = 3 * 8 = 24"]),
        (5, 80, ["10% of 80 = 80 / 10 = 8", "5% of 80 = 8 / 2 = 4"]),
        (15, 80, ["10% of 80 = 80 / 10 = 8", "5% of 80 = 8 / 2 = 4", "15% of 80 = 8 + 4 = 12"]),
        (35, 80, ["10% of 80 = 80 / 10 = 8", "30% of 80 = 3 * 8 = 24", "5% of 80 = 8 / 2 = 4", "35% of 80 = 24 + 4 = 28"]),
        (75, 80, ["25% of 80 = 80 / 4 = 20", "75% of 80 = 3 * 20 = 60"]),
    ],
)
def test_percentages_go_by_tenths_and_quarters(rate: int, whole: int, texts: list[str]) -> None:
    assert [f"{part:eq}" for part in working.percent(given(rate, style="percent"), given(whole))] == texts


@over(a=st.integers(1, 9_999), b=st.integers(1, 9_999))
def test_every_link_of_a_sum_holds(a: int, b: int) -> None:
    for quantity, value in ((working.add(given(a), given(b)), a + b), (working.sub(given(a + b), given(b)), a)):
        assert quantity.value == value
        assert all(claims.true(*claim) for claim in quantity.claims)


@over(a=st.integers(1, 999), b=st.integers(1, 9))
def test_every_link_of_a_product_holds(a: int, b: int) -> None:
    for quantity, value in ((working.mul(given(a), given(b)), a * b), (working.div(given(a * b), given(b)), a)):
        assert quantity.value == value
        assert all(claims.true(*claim) for claim in quantity.claims)
