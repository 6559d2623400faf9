"""The traces a workspace has captured or taken in: add, find, list and search them in its database.

A row keeps the trace as its JSON line, of which its id is the hash. Rows are never changed; a mended trace is a new one whose
`meta.parent` names the old one. Pages are keyset pages, newest first: page 5,000 costs what page 1 does.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    func,
    select,
    text,
)

from tunix_rt import errors
from tunix_rt.store import Instant, clock, loading, metadata
from tunix_rt.traces import Trace, forms, searching

TABLE = Table(
    "traces",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("content", LargeBinary(16), nullable=False),
    Column("source", String(64), nullable=False),
    Column("parent", String(64)),
    Column("created", Instant, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "content"),
    Index(None, "source", "seq"),
    sqlite_autoincrement=True,
)
_NEWEST = select(TABLE.c.seq, TABLE.c.id, TABLE.c.source, TABLE.c.created, TABLE.c.body).order_by(TABLE.c.seq.desc())
BATCH, BATCH_CHARACTERS = 2_000, 32_000_000  # rows written by one statement, and about how long they may be together
LARGEST_PAGE = 1_000
Key = Literal["id", "content"]
_ID = re.compile(r"[0-9a-f]{64}")


class Stored(NamedTuple):
    """A trace as the database has it: `body` is its JSON line, `source` what brought it (an import format, "cli", "api")."""

    seq: int
    id: str
    source: str
    created: datetime
    body: str

    @property
    def trace(self) -> Trace:
        return Trace.model_validate_json(self.body)

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "source": self.source, "created": self.created.isoformat(), "trace": json.loads(self.body)}


class Page(NamedTuple):
    """`next` continues the list; None at its end."""

    data: tuple[Stored, ...]
    next: str | None


class Added(NamedTuple):
    """How many of the traces are new here, and how many were here already (or came twice)."""

    added: int
    duplicates: int


class Entry(NamedTuple):
    """What is written of a trace; `told` are its words, for searching."""

    id: str
    content: bytes
    parent: str | None
    body: str
    told: str

    @classmethod
    def of(cls, trace: Trace) -> "Entry":
        found = forms(trace.line())
        told = searching.told(trace.prompt, (step.content for step in trace.steps), trace.final_answer)
        return cls(found.id, found.content, parent(trace.meta), found.body.decode().rstrip("\n"), told)


def parent(meta: Mapping[str, Any]) -> str | None:
    """The id of the trace this one mends, if it names one."""
    found = meta.get("parent")
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def add(connection: Connection, trace: Trace, source: str) -> tuple[Stored, bool]:
    """Store one trace; False when the same trace is here already, which is then returned."""
    entry = Entry.of(trace)
    written = _add_batch(connection, [entry], source, "id")
    if entry.id not in written.seqs:
        return get(connection, entry.id), False
    return Stored(written.seqs[entry.id], entry.id, source, datetime.fromtimestamp(written.now, UTC), entry.body), True


def add_many(connection: Connection, traces: Iterable[Trace], source: str, unique: Key = "id") -> Added:
    """Store those that are not here yet, in order, streamed in batches.

    `unique` decides what counts as here already: the same trace, or another with the same prompt, steps and answer.
    """
    return add_entries(connection, map(Entry.of, traces), source, unique)


def add_entries(connection: Connection, entries: Iterable[Entry], source: str, unique: Key = "id") -> Added:
    """The same for traces that are already in the form they are written in."""
    added = total = 0
    with ExitStack() as stack:
        for batch in _batches(entries):
            if total == BATCH:  # there are many
                stack.enter_context(loading(connection))
            total += len(batch)
            added += len(_add_batch(connection, batch, source, unique).seqs)
    return Added(added, total - added)


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.body)
        if len(batch) == BATCH or size > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Written(NamedTuple):
    """The numbers of the new rows by their ids, and when they were written."""

    seqs: dict[str, int]
    now: float


def _add_batch(connection: Connection, batch: list[Entry], source: str, unique: Key) -> _Written:
    key = attrgetter(unique)
    first: dict[Any, Entry] = {}
    for entry in batch:
        first.setdefault(key(entry), entry)
    kept = _BY_DIALECT[connection.dialect.name]
    here = kept.here(connection, unique, list(first))
    fresh = [entry for entry in first.values() if key(entry) not in here] if here else list(first.values())
    if not fresh:
        return _Written({}, 0.0)
    written = kept.insert(connection, fresh, source)
    searching.index(connection, [(written.seqs[entry.id], entry.told) for entry in fresh if entry.id in written.seqs])
    return written


class _Kept(NamedTuple):
    """How a database is asked which keys it has, and given rows. Its driver gets both as they are: binding them through
    SQLAlchemy takes as long as the database does to write them."""

    here: Callable[[Connection, Key, list[Any]], set[Any]]
    insert: Callable[[Connection, Sequence[Entry], str], _Written]


def _here_sqlite(connection: Connection, unique: Key, keys: list[Any]) -> set[Any]:
    if unique == "id" and len(keys) == 1:
        return set()  # `_add_one` leaves it out itself
    marks = ", ".join("?" * len(keys))
    return set(connection.exec_driver_sql(f"SELECT {unique} FROM traces WHERE {unique} IN ({marks})", tuple(keys)).scalars())


def _insert_sqlite(connection: Connection, fresh: Sequence[Entry], source: str) -> _Written:
    """The writer's lock makes the next numbers ours."""
    if len(fresh) == 1:
        return _add_one(connection, fresh[0], source)
    last, now = connection.execute(_LAST).one()
    rows = [(seq, one.id, one.content, source, one.parent, now, one.body) for seq, one in enumerate(fresh, start=last + 1)]
    connection.exec_driver_sql(_INSERT, rows)
    return _Written({one.id: seq for seq, one in enumerate(fresh, start=last + 1)}, now)


def _add_one(connection: Connection, one: Entry, source: str) -> _Written:
    """One statement for three: asked, numbered, written."""
    row = connection.exec_driver_sql(_INSERT_ONE, (one.id, one.content, source, one.parent, one.body)).first()
    return _Written({one.id: row.seq}, row.created) if row else _Written({}, 0.0)


_LAST = select(text("coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'traces'), 0)"), clock())
_INSERT = "INSERT INTO traces (seq, id, content, source, parent, created, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_ONE = (
    "INSERT INTO traces (id, content, source, parent, created, body) "
    "VALUES (?, ?, ?, ?, (julianday('now') - 2440587.5) * 86400.0, ?) ON CONFLICT (id) DO NOTHING RETURNING seq, created"
)


def _here_postgresql(connection: Connection, unique: Key, keys: list[Any]) -> set[Any]:
    if unique == "id":
        return set()  # the statement that inserts leaves them out itself, which spares a question
    found = connection.execute(_SAME_CONTENT, {"keys": "\n".join(key.hex() for key in keys)}).scalars()
    return set(map(bytes, found))


def _insert_postgresql(connection: Connection, fresh: Sequence[Entry], source: str) -> _Written:
    """One statement for all rows; what another writer stored a moment ago is left out. Columns go as lines of one text, which
    takes a tenth of the time that lists of texts do; nothing that is in them holds a line break."""
    columns = {
        "id": "\n".join([one.id for one in fresh]),
        "content": "\n".join([one.content.hex() for one in fresh]),
        "parent": "\n".join([one.parent or "-" for one in fresh]),
        "body": "\n".join([one.body for one in fresh]),
    }
    rows = connection.execute(_UNNEST, {**columns, "source": source}).all()
    return _Written({row.id: row.seq for row in rows}, rows[0].created if rows else 0.0)


_SAME_CONTENT = text(
    "SELECT content FROM traces WHERE content = ANY("
    "ARRAY(SELECT decode(key, 'hex') FROM unnest(string_to_array(:keys, chr(10))) AS made (key)))"
)
_UNNEST = text(
    "INSERT INTO traces (id, content, source, parent, created, body) "
    "SELECT id, decode(content, 'hex'), :source, nullif(parent, '-'), "
    "(SELECT extract(epoch from clock_timestamp())::double precision), body FROM unnest("
    "string_to_array(:id, chr(10)), string_to_array(:content, chr(10)), string_to_array(:parent, chr(10)), "
    "string_to_array(:body, chr(10))) AS made (id, content, parent, body) "
    "ON CONFLICT (id) DO NOTHING RETURNING id, seq, created"
)
_BY_DIALECT = {
    "sqlite": _Kept(_here_sqlite, _insert_sqlite),
    "postgresql": _Kept(_here_postgresql, _insert_postgresql),
}


def get(connection: Connection, trace_id: str) -> Stored:
    """The trace with that id, or the only one whose id starts so; `errors.NotFound`, `errors.Invalid` for an open question."""
    found = connection.execute(_prefixed(trace_id).limit(2)).mappings().all()
    if not found:
        raise errors.NotFound(f"no trace {trace_id!r} is stored here.", trace=trace_id)
    if len(found) > 1 and found[0]["id"] != trace_id:
        raise errors.Invalid(f"several traces have an id that starts with {trace_id!r}; give more of it.", trace=trace_id)
    return _stored(found[0])


def _prefixed(start: str) -> Select[Any]:
    """A range, which the index on ids answers on both databases whatever their collation."""
    return select(TABLE).where(TABLE.c.id >= start, TABLE.c.id < start + "g").order_by(TABLE.c.id)


def listed(
    connection: Connection, *, after: str | None = None, limit: int = 50, source: str | None = None, parent: str | None = None
) -> Page:
    """A page of traces, newest first, of one source or with one parent if asked for."""
    query = _NEWEST
    if source is not None:
        query = query.where(TABLE.c.source == source)
    if parent is not None:
        query = query.where(TABLE.c.parent == parent)
    return _page(connection, query, after, limit)


def search(connection: Connection, words: str, *, after: str | None = None, limit: int = 50) -> Page:
    """A page of the traces whose prompt, steps or answer hold every word of `words`, newest first; "quoted words" stand
    side by side. Case does not matter."""
    before = None if after is None else _cursor(after)
    return _page(connection, searching.narrowed(connection, _NEWEST, words, before, limit + 1), after, limit)


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(TABLE)) or 0


def digest(connection: Connection) -> str:
    """sha256 over the ids of all traces in the order they came: what is here, in one name."""
    hashed = hashlib.sha256()
    rows = connection.execution_options(yield_per=LARGEST_PAGE).execute(select(TABLE.c.id).order_by(TABLE.c.seq)).scalars()
    for trace_id in rows:
        hashed.update(bytes.fromhex(trace_id))
    return hashed.hexdigest()


def sources(connection: Connection) -> Mapping[str, int]:
    """How many traces each source brought."""
    rows = connection.execute(select(TABLE.c.source, func.count()).group_by(TABLE.c.source).order_by(TABLE.c.source))
    return {row[0]: row[1] for row in rows}


def stream(connection: Connection, source: str | None = None) -> Iterator[Trace]:
    """Every stored trace in the order it came, read in pages."""
    for page in _pages(connection, source):
        yield from (_stored(row).trace for row in page)


def reindex(connection: Connection) -> None:
    """Index the words of all traces of a database that has no such index yet, as after restoring a backup."""
    for page in _pages(connection, None):
        searching.index(connection, [(row["seq"], Entry.of(_stored(row).trace).told) for row in page])


def problems(connection: Connection) -> Iterator[str]:
    """One sentence for each stored trace that is not what its id says, and for words that are not indexed."""
    for page in _pages(connection, None):
        for row in page:
            try:
                whole = _stored(row).trace.id == row["id"]
            except ValidationError:
                whole = False
            if not whole:
                yield f"trace {row['id']} (number {row['seq']}) is not what its id says"
    if (indexed := searching.indexed(connection)) != (here := count(connection)):
        yield f"{here} traces are stored but {indexed} can be searched"


def _pages(connection: Connection, source: str | None) -> Iterator[Sequence[RowMapping]]:
    last = 0
    while True:
        query = select(TABLE).where(TABLE.c.seq > last).order_by(TABLE.c.seq).limit(LARGEST_PAGE)
        rows = connection.execute(query if source is None else query.where(TABLE.c.source == source)).mappings().all()
        if not rows:
            return
        yield rows
        last = rows[-1]["seq"]


def _page(connection: Connection, query: Select[Any], after: str | None, limit: int) -> Page:
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.Invalid(f"a page holds 1 to {LARGEST_PAGE} traces, not {limit}.", field="limit")
    if after is not None:
        query = query.where(TABLE.c.seq < _cursor(after))
    rows = connection.execute(query.limit(limit + 1)).all()
    data = tuple(map(Stored._make, rows[:limit]))
    return Page(data, str(data[-1].seq) if len(rows) > limit else None)


def _cursor(after: str) -> int:
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise errors.Invalid(f"{after!r} is no cursor; use the 'next' of the page before.", field="after")
    return int(after)


def _stored(row: RowMapping) -> Stored:
    return Stored(row["seq"], row["id"], row["source"], row["created"], row["body"])
