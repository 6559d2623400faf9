"""The ledger in numbers: how many runs are in each state, for which reason they ended, and how long they took."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from tunix_rt.runs.tables import RUNS


class Figure(NamedTuple):
    """`seconds` is the sum from start to end over the `ended` ones that were started."""

    kind: str
    state: str
    reason: str | None
    runs: int
    ended: int
    seconds: float


def figures(connection: Connection) -> list[Figure]:
    """One for each kind, state and reason that occurs."""
    lasted = RUNS.c.ended - RUNS.c.started
    columns = (RUNS.c.kind, RUNS.c.state, RUNS.c.reason)
    query = select(*columns, func.count(), func.count(lasted), func.sum(lasted)).group_by(*columns).order_by(*columns)
    return [
        Figure(kind, state, reason, n, ended, float(total or 0))
        for kind, state, reason, n, ended, total in connection.execute(query)
    ]
