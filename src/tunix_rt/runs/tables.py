"""The tables of the ledger. CHECKs forbid the rows that lose runs: a running one without a lease, an end without a reason."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from tunix_rt.store import Instant, metadata

NUMBER = BigInteger().with_variant(Integer, "sqlite")

RUNS = Table(
    "runs",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(16)),
    Column("message", Text),
    Column("priority", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("dedup_key", String(200), unique=True),
    Column("folder", Text, nullable=False),
    Column("parent", String(64)),
    Column("timeout", Double),
    Column("max_attempts", Integer, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempts_before", Integer, nullable=False),
    Column("owner", String(36)),
    Column("lease_until", Instant),
    Column("launcher", String(16)),
    Column("host", String(255)),
    Column("cancel_requested", Instant),
    Column("created", Instant, nullable=False),
    Column("started", Instant),
    Column("ended", Instant),
    Column("result", Text),
    CheckConstraint(
        "(state IN ('running', 'cancelling')) = (lease_until IS NOT NULL) AND (lease_until IS NULL) = (owner IS NULL)",
        name="leased",
    ),
    CheckConstraint(
        "(state IN ('queued', 'running', 'cancelling')) = (reason IS NULL) AND (reason IS NULL) = (ended IS NULL)",
        name="one_reason",
    ),
    Index(None, "state", "priority", "seq"),
    Index(None, "owner"),
    sqlite_autoincrement=True,
)

ATTEMPTS = Table(
    "attempts",
    metadata,
    Column("run_id", String(64), nullable=False),
    Column("n", Integer, nullable=False),
    Column("worker", String(36), nullable=False),
    Column("handle", Text),
    Column("started", Instant, nullable=False),
    Column("ended", Instant),
    Column("exit_code", Integer),
    Column("reason", String(16)),
    PrimaryKeyConstraint("run_id", "n"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"], ondelete="CASCADE"),
)

EVENTS = Table(
    "run_events",
    metadata,
    Column("run_id", String(64), nullable=False),
    Column("seq", NUMBER, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"], ondelete="CASCADE"),
)

WORKERS = Table(
    "workers",
    metadata,
    Column("worker_id", String(36), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("started", Instant, nullable=False),
    Column("heartbeat", Instant, nullable=False),
    Column("stopped", Instant),
)
