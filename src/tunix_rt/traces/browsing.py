"""Stored traces as somebody leafs through them: what stands beside one, and which sources there are."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from tunix_rt.traces import stored

_SKIP = text(
    "WITH RECURSIVE found(source) AS (SELECT min(source) FROM traces UNION ALL "
    "SELECT (SELECT min(source) FROM traces WHERE source > found.source) FROM found WHERE found.source IS NOT NULL) "
    "SELECT source FROM found WHERE source IS NOT NULL LIMIT :most"
)
MOST = 60  # sources that are told apart


class Neighbours(NamedTuple):
    """The ids of the traces that came after and before one; None at an end."""

    newer: str | None
    older: str | None


def neighbours(connection: Connection, seq: int) -> Neighbours:
    table = stored.TABLE
    newer = connection.scalar(
        table.select().with_only_columns(table.c.id).where(table.c.seq > seq).order_by(table.c.seq).limit(1)
    )
    older = connection.scalar(
        table.select().with_only_columns(table.c.id).where(table.c.seq < seq).order_by(table.c.seq.desc()).limit(1)
    )
    return Neighbours(newer, older)


def sources(connection: Connection) -> tuple[str, ...]:
    """The sources that traces came from, in order: one look into the index for each, however many traces there are."""
    return tuple(connection.scalars(_SKIP, {"most": MOST}))
