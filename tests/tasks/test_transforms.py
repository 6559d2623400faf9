"""Edge cases: each transform does what it says, and leaves what the question is about alone."""

import pytest

from tunix_rt.tasks.core import Draft, step
from tunix_rt.tasks.rng import Rng
from tunix_rt.tasks.transforms import TRANSFORMS

DRAFT = Draft(
    "plain",
    "Write 'red  lemon' in capitals, please, now.",
    "Caps: 'red  lemon'",
    (step("conclude", "RED  LEMON"),),
    "RED  LEMON",
)


def applied(name: str, k: int = 0) -> str:
    return TRANSFORMS[name].apply(Rng(1, name, k), DRAFT)


def test_minimal_is_the_terse_form() -> None:
    assert applied("minimal") == DRAFT.terse


@pytest.mark.parametrize("name", ["long", "symbols", "unicode"])
def test_the_question_stays_whole(name: str) -> None:
    assert all(DRAFT.prompt in applied(name, k) and applied(name, k) != DRAFT.prompt for k in range(30))


def test_long_is_long() -> None:
    assert all(len(applied("long", k).split()) > 60 for k in range(30))


def test_symbols_are_not_letters() -> None:
    assert all(not applied("symbols", k)[0].isalnum() for k in range(30))


def test_unicode_leaves_ascii() -> None:
    assert not any(applied("unicode", k).isascii() for k in range(30))


def test_whitespace_changes_only_blanks_outside_quotes() -> None:
    for k in range(30):
        spaced = applied("whitespace", k)
        assert spaced != DRAFT.prompt
        assert spaced.split() == DRAFT.prompt.split()
        assert "'red  lemon'" in spaced
