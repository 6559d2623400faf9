"""Stored traces: once each, found by id, page and word, the same on both databases."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import errors
from tunix_rt.store import Store
from tunix_rt.traces import Step, Trace, searching, stored


def trace(prompt: str, answer: str = "4", **meta: Any) -> Trace:
    steps = (Step(i=1, type="compute", content="2 + 2 = 4"),)
    return Trace(prompt=prompt, steps=steps, final_answer=answer, meta=meta)


def fill(opened: Store, count: int, source: str = "cli") -> list[Trace]:
    made = [trace(f"What is item number {k}?", answer=str(k)) for k in range(count)]
    with opened.unit_of_work() as connection:
        stored.add_many(connection, made, source)
    return made


def prompts(page: stored.Page) -> list[str]:
    return [row.trace.prompt for row in page.data]


def test_a_trace_is_stored_once_and_comes_back_the_same(opened: Store) -> None:
    given_trace = trace("Wie viel ist 2 + 2? ½ 🙂 'quoted' \\ \"double\"\ttab", n=1.5, deep={"a": [1, None, True]})
    with opened.unit_of_work() as connection:
        first, fresh = stored.add(connection, given_trace, "api")
        again, twice = stored.add(connection, given_trace, "cli")
    assert (fresh, twice) == (True, False)
    assert again == first
    assert first.trace == given_trace
    assert (first.id, first.source) == (given_trace.id, "api")


def test_many_are_counted_as_new_or_known(opened: Store) -> None:
    made = fill(opened, 5)
    other = trace(made[0].prompt, answer=made[0].final_answer, seen="elsewhere")
    with opened.unit_of_work() as connection:
        assert stored.add_many(connection, [*made, trace("new"), trace("new")], "cli") == (1, 6)
        assert stored.add_many(connection, [other], "file", unique="content") == (0, 1)
        assert stored.add_many(connection, [other], "file") == (1, 0)
        assert [row.prompt for row in stored.stream(connection)] == [*(t.prompt for t in made), "new", made[0].prompt]
        assert stored.sources(connection) == {"cli": 6, "file": 1}


def test_pages_follow_each_other_to_the_end_while_rows_are_added(opened: Store) -> None:
    made = fill(opened, 25)
    seen, after = [], None
    with opened.unit_of_work() as connection:
        while True:
            page = stored.listed(connection, after=after, limit=7)
            seen += prompts(page)
            stored.add(connection, trace(f"late {len(seen)}"), "cli")
            if page.next is None:
                break
            after = page.next
    assert seen == [row.prompt for row in reversed(made)]


def test_a_page_can_be_of_one_source_or_of_one_parent(opened: Store) -> None:
    (old, *_) = fill(opened, 3)
    with opened.unit_of_work() as connection:
        mended, _ = stored.add(connection, trace("mended", parent=old.id), "api")
        assert prompts(stored.listed(connection, source="api")) == ["mended"]
        assert [row.id for row in stored.listed(connection, parent=old.id).data] == [mended.id]


@pytest.mark.parametrize(("after", "limit"), [("x", 5), ("-1", 5), ("9" * 30, 5), ("1", 0), ("1", 100_000)])
def test_a_page_that_cannot_be_is_refused(opened: Store, after: str, limit: int) -> None:
    with opened.reading() as connection, pytest.raises(errors.Invalid):
        stored.listed(connection, after=after, limit=limit)


def test_an_id_may_be_shortened_while_it_is_clear(opened: Store) -> None:
    made = fill(opened, 40)
    with opened.reading() as connection:
        assert stored.get(connection, made[7].id[:16]).trace == made[7]
        with pytest.raises(errors.NotFound):
            stored.get(connection, "0" * 64)
        with pytest.raises(errors.Invalid, match="several"):
            stored.get(connection, "")


SENTENCES = ("Anna has 12 red apples.", "ANNA's apples: red, 31.50 each", "Ben's café — naïve Straße 東京タワー", "x_1 = 3*4")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("anna", [1, 0]),
        ("Apples RED", [1, 0]),
        ('"red apples"', [0]),
        ('"apples red"', [1]),
        ("31.50", [1]),
        ("café", [2]),
        ("cafe", []),
        ("straße 東京タワー", [2]),
        ("x_1", [3]),
        ("anna ben", []),
        ("OR anna* NEAR(x) ' \" ; --", []),
        ("2 + 2 = 4 anna", [1, 0]),
    ],
)
def test_words_are_found(opened: Store, asked: str, expected: list[int]) -> None:
    with opened.unit_of_work() as connection:
        stored.add_many(connection, map(trace, SENTENCES), "cli")
        found = prompts(stored.search(connection, asked))
    assert found == [SENTENCES[k] for k in expected]


def test_a_search_without_words_is_refused(opened: Store) -> None:
    with opened.reading() as connection, pytest.raises(errors.Invalid, match="no word"):
        stored.search(connection, '" - " ')


def test_pages_of_a_search_follow_each_other_to_the_end(opened: Store) -> None:
    made = fill(opened, 205)  # on PostgreSQL: only noted
    with opened.unit_of_work() as connection:
        searching.catch_up(connection, 150)  # and now partly indexed
        seen, after = [], None
        while (page := stored.search(connection, "item", after=after, limit=20)).next:
            seen, after = seen + prompts(page), page.next
    assert seen + prompts(page) == [row.prompt for row in reversed(made)]


def test_what_is_only_noted_is_found_like_what_is_indexed(opened: Store) -> None:
    fill(opened, searching.AT_ONCE + 1)
    with opened.unit_of_work() as connection:
        before = prompts(stored.search(connection, '"number 7"'))
        noted = searching.unindexed(connection)
        while searching.catch_up(connection, 40):
            pass
        assert searching.unindexed(connection) == 0
        assert prompts(stored.search(connection, '"number 7"')) == before == ["What is item number 7?"]
    assert noted == (0 if opened.dialect == "sqlite" else searching.AT_ONCE + 1)


@given(st.text(min_size=1, max_size=60).filter(lambda text: searching.words(text) != ""))
def test_every_text_with_a_word_finds_itself(text: str) -> None:
    assert " ".join(searching.phrases(f'"{text.replace(chr(34), " ")}"')) == searching.words(text.replace('"', " "))
