"""The tables of sweeps. A trial's number is its place in the sweep, so that none is asked twice; its run is in the ledger."""

from sqlalchemy import BigInteger, Column, Double, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, String, Table, Text

from tunix_rt.runs.tables import NUMBER
from tunix_rt.store import Instant, Json, metadata

SWEEPS = Table(
    "sweeps",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("sweep_id", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False, index=True),
    Column("message", Text),
    Column("spec", Json, nullable=False),
    Column("chosen", Integer),
    Column("confirmation", String(64)),
    Column("confirmed", Json),
    Column("importance", Json),
    Column("created", Instant, nullable=False),
    Column("ended", Instant),
    sqlite_autoincrement=True,
)

TRIALS = Table(
    "trials",
    metadata,
    Column("sweep_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("params", Json, nullable=False),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("message", Text),
    Column("value", Double),
    Column("evaluation_id", String(64)),
    Column("curve", Json, nullable=False),
    Column("pruned_at", BigInteger),
    Column("created", Instant, nullable=False),
    Column("ended", Instant),
    PrimaryKeyConstraint("sweep_id", "number"),
    ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], ondelete="CASCADE"),
)
