"""What a run's process says, in the ledger: the lines of its `events.jsonl`, taken in by byte offset, so never twice."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tunix_rt import values
from tunix_rt.runs.ledger import Run
from tunix_rt.runs.tables import EVENTS
from tunix_rt.values import Value

LARGEST_READ = 1_000_000  # bytes taken in at once
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Event(Value):
    """One line. `seq` is the byte offset of its end in the file, and the cursor to what follows it."""

    seq: int
    attempt: int
    kind: str
    body: dict[str, Any]


def position(connection: Connection, run_id: str) -> int:
    """The byte offset that is taken in already."""
    return connection.scalar(select(func.max(EVENTS.c.seq)).where(EVENTS.c.run_id == run_id)) or 0


def unread(path: Path, start: int) -> bytes:
    """The whole lines after `start`."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(LARGEST_READ)
    return data[: data.rfind(b"\n") + 1]


def ingest(connection: Connection, run: Run, path: Path) -> int:
    """Take in the new whole lines of `path`; doing it again, or twice at once, changes nothing. Returns how many lines."""
    offset, rows = position(connection, run.run_id), []
    for line in unread(path, offset).splitlines(keepends=True):
        offset += len(line)
        rows.append({"run_id": run.run_id, "seq": offset, "attempt": run.attempt, **_row(line)})
    if rows:
        connection.execute(_INSERT[connection.dialect.name](EVENTS).on_conflict_do_nothing(), rows)
    return len(rows)


def _row(line: bytes) -> dict[str, Any]:
    """A line torn by a kill is noted as unreadable, not dropped."""
    try:
        body = json.loads(line)
        return {"kind": str(body["kind"])[:64], "body": values.canonical(body).decode()}
    except (ValueError, KeyError, TypeError):
        return {"kind": "unreadable", "body": values.canonical({"bytes": len(line)}).decode()}


def events(connection: Connection, run_id: str, after: int = 0, limit: int = 1_000) -> tuple[Event, ...]:
    """Events behind cursor `after` (the `seq` of the last one seen), in order."""
    query = select(EVENTS).where(EVENTS.c.run_id == run_id, EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
    rows = connection.execute(query).mappings()
    return tuple(Event(seq=r["seq"], attempt=r["attempt"], kind=r["kind"], body=json.loads(r["body"])) for r in rows)
