"""Words in stored traces: SQLite's FTS5, PostgreSQL's text search, asked the same way with the same answer.

A word is a run of letters and digits, in any case; both databases are given words, so neither's own idea of one matters.
PostgreSQL takes 100 microseconds to index a trace, five times what storing it takes, so there large batches are noted first:
`catch_up` indexes them, and until then a search looks through them one by one.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, TextClause, text

from tunix_rt import errors

AT_ONCE = 100  # traces that PostgreSQL indexes as they come
LONGEST = 200_000  # characters of a trace that are searched; PostgreSQL's own limit is 1 MB of positions
_WORD = re.compile(r"[^\W_]+")
_LOWER = bytes(ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else ord(" ") for byte in range(256))
_PART = re.compile(r'"([^"]*)"|([^\s"]+)')
# Each looks for no more than the page needs, newest first, so that a word which is everywhere is found as soon as a rare one.
_IN_SQLITE = (
    "traces.seq IN (SELECT rowid FROM traces_words WHERE traces_words MATCH :asked AND rowid < :before "
    "ORDER BY rowid DESC LIMIT :most)"
)
# PostgreSQL cannot know how often words occur together. A page of frequent ones lies among the newest traces; only if it does
# not is the index asked, and OFFSET 0 keeps the planner from walking through all traces in place of that.
_RECENT = 300
_IN_POSTGRESQL = f"""traces.seq IN (
WITH recent AS MATERIALIZED (
    SELECT seq FROM (SELECT seq, words FROM traces_words WHERE seq < :before ORDER BY seq DESC LIMIT {_RECENT}) AS newest
    WHERE words @@ cast(:asked AS tsquery) ORDER BY seq DESC LIMIT :most)
SELECT seq FROM recent UNION ALL (
    SELECT seq FROM (SELECT seq FROM traces_words WHERE words @@ cast(:asked AS tsquery) AND seq < :before OFFSET 0) AS every
    WHERE (SELECT count(*) FROM recent) < :most ORDER BY seq DESC LIMIT :most) UNION ALL (
    SELECT seq FROM traces_unindexed WHERE to_tsvector('simple', told) @@ cast(:asked AS tsquery) AND seq < :before
    ORDER BY seq DESC LIMIT :most))"""
_PAST_ALL = (1 << 63) - 1


def words(told: str) -> str:
    """The words of a text in lower case, one space between them."""
    told = told[:LONGEST]
    if told.isascii():
        return b" ".join(told.encode().translate(_LOWER).split()).decode()
    return " ".join(_WORD.findall(told.lower()))


def phrases(asked: str) -> list[str]:
    """What must occur, each as words that stand side by side; `errors.Invalid` when nothing is asked."""
    found = [words(quoted or plain) for quoted, plain in _PART.findall(asked[:1_000])]
    kept = [phrase for phrase in found if phrase]
    if not kept:
        raise errors.Invalid(f"{asked!r} holds no word to search for.", field="text")
    return kept


def narrowed(connection: Connection, query: Select[Any], asked: str, before: int | None, most: int) -> Select[Any]:
    """The query over stored traces, for the newest with a number under `before` that hold all that is asked: `most` at least,
    if there are so many."""
    found = phrases(asked)
    page = {"before": _PAST_ALL if before is None else before, "most": most}
    if connection.dialect.name == "sqlite":
        return query.where(text(_IN_SQLITE).bindparams(asked=" AND ".join(f'"{phrase}"' for phrase in found), **page))
    joined = " & ".join(f"({' <-> '.join(phrase.split())})" for phrase in found)
    return query.where(text(_IN_POSTGRESQL).bindparams(asked=joined, **page))


def told(prompt: str, steps: Iterable[str], answer: str) -> str:
    """The words of a trace."""
    return words("\n".join((prompt, *steps, answer)))


def index(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Make new traces findable: their numbers and their words."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO traces_words (rowid, told) VALUES (?, ?)", list(rows))
    else:
        _write(connection, _INDEX if len(rows) <= AT_ONCE else _NOTE, rows)


def _write(connection: Connection, statement: TextClause, rows: Sequence[tuple[int, str]]) -> None:
    """Both columns go as lines of one text: a list of numbers and one of texts take ten times as long to send."""
    seqs, found = zip(*rows, strict=True)
    connection.execute(statement, {"seq": "\n".join(map(str, seqs)), "told": "\n".join(found)})


def catch_up(connection: Connection, limit: int = 2_000) -> int:
    """Index up to so many of the traces that were only noted; returns how many it was."""
    if connection.dialect.name == "sqlite":
        return 0
    taken = connection.execute(_TAKE, {"limit": limit}).all()
    if taken:
        _write(connection, _INDEX, [(row.seq, row.told) for row in taken])
    return len(taken)


def behind(connection: Connection) -> bool:
    """Whether some are only noted."""
    return connection.dialect.name != "sqlite" and bool(connection.scalar(text("SELECT EXISTS (SELECT FROM traces_unindexed)")))


def unindexed(connection: Connection) -> int:
    """How many traces are only noted."""
    if connection.dialect.name == "sqlite":
        return 0
    return connection.scalar(text("SELECT count(*) FROM traces_unindexed")) or 0


_MADE = (  # one empty line is an empty list to PostgreSQL, and its row then has no words
    "SELECT cast(seq AS bigint) AS seq, coalesce(told, '') AS told "
    "FROM unnest(string_to_array(:seq, chr(10)), string_to_array(:told, chr(10))) AS lines (seq, told)"
)
_INDEX = text(f"INSERT INTO traces_words (seq, words) SELECT seq, to_tsvector('simple', told) FROM ({_MADE}) AS made")
_NOTE = text(f"INSERT INTO traces_unindexed (seq, told) {_MADE}")
_TAKE = text(
    "DELETE FROM traces_unindexed WHERE seq IN "
    "(SELECT seq FROM traces_unindexed ORDER BY seq LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING seq, told"
)


def indexed(connection: Connection) -> int:
    """How many traces a search looks through, noted ones included."""
    counted = (
        "SELECT count(*) FROM traces_words_docsize"
        if connection.dialect.name == "sqlite"
        else "SELECT count(*) FROM traces_words"
    )
    return (connection.scalar(text(counted)) or 0) + unindexed(connection)
