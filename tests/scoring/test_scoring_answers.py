from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import scoring
from tunix_rt.scoring.answers import quantity

EQUAL = [
    ("72", "72"),
    ("72", " 72. "),
    ("72", '"72"'),
    ("1234", "1,234"),
    ("1234567", "1,234,567.00"),
    ("31.5", "$31.50"),
    ("$31.50", "31.5"),
    ("50", "50%"),
    ("50%", "50 %"),
    ("-5", "−5"),
    ("-5", "-$5"),
    ("0.5", "1/2"),
    ("0.5", ".5"),
    ("1/3", "2/6"),
    ("2.5", "2 1/2"),
    ("-2.5", "-2 1/2"),
    ("72", "72 clips"),
    ("72", "72 packs of pens"),
    ("60", "60 km/h"),
    ("20", "20 °C"),
    ("60 km", "60.0 km"),
    ("5 m²", "5 m²"),
    ("yes", "Yes."),
    ("True", "true"),
    ("olleh", "“olleh”"),
    ("HELLO WORLD", "HELLO  WORLD"),
    ("caf\u00e9", "cafe\u0301"),
    ("10" * 50, "10" * 50),
    ("9" * 300, "9" * 300),
]

DIFFERENT = [
    ("72", "73"),
    ("72", ""),
    ("0.333", "1/3"),
    ("60 km", "60 miles"),
    ("60 km", "60"),
    ("5", "5 million"),
    ("5", "5 and a half"),
    ("5", "5 dozen"),
    ("72", "72 or 73"),
    ("1234", "1,23,4"),
    ("021", "21"),
    ("5", "--5"),
    ("5", "5/0"),
    ("yes", "no"),
    ("yes", "true"),
    ("HELLO", "hello"),
    ("olleh", "olleh olleh"),
    (".cba", "cba"),
    ("8", "2**3"),
    ("9" * 300, "9" * 299 + "8"),
]


@pytest.mark.parametrize(("expected", "got"), EQUAL)
def test_same(expected: str, got: str) -> None:
    assert scoring.same(expected, got)


@pytest.mark.parametrize(("expected", "got"), DIFFERENT)
def test_not_same(expected: str, got: str) -> None:
    assert not scoring.same(expected, got)


@given(st.text(max_size=30))
def test_every_text_is_the_same_as_itself(text: str) -> None:
    assert scoring.same(text, text)


@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_nothing_normalises_to_nothing(text: str) -> None:
    assert scoring.normalise(text) != ""


@given(st.integers(-(10**12), 10**12))
def test_an_integer_is_read_with_and_without_separators(number: int) -> None:
    assert quantity(str(number)) == (number, "") == quantity(f"{number:,}")


@given(st.fractions(min_value=0, max_denominator=10**6))
def test_a_fraction_is_read_exactly(fraction: Fraction) -> None:
    assert quantity(f"{fraction.numerator}/{fraction.denominator}") == (fraction, "")


@given(st.text(alphabet="0123456789.,/ -−+$%abc°²", max_size=130))
def test_reading_a_number_never_fails(text: str) -> None:
    found = quantity(text)
    assert found is None or isinstance(found.value, Fraction)
