"""The ledger of runs: attempts, events, workers."""

import sqlalchemy as sa
from alembic import op

revision = "0002_runs"
down_revision = "0001_traces"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    _runs(number)
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(36), nullable=False),
        sa.Column("handle", sa.Text),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.String(16)),
        sa.PrimaryKeyConstraint("run_id", "n", name="pk_attempts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_attempts_run_id", ondelete="CASCADE"),
    )
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("seq", number, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_run_events"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_events_run_id", ondelete="CASCADE"),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("heartbeat", sa.Double, nullable=False),
        sa.Column("stopped", sa.Double),
        sa.PrimaryKeyConstraint("worker_id", name="pk_workers"),
    )


def _runs(number: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "runs",
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("message", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("dedup_key", sa.String(200)),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("parent", sa.String(64)),
        sa.Column("timeout", sa.Double),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("attempts_before", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(36)),
        sa.Column("lease_until", sa.Double),
        sa.Column("launcher", sa.String(16)),
        sa.Column("host", sa.String(255)),
        sa.Column("cancel_requested", sa.Double),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("ended", sa.Double),
        sa.Column("result", sa.Text),
        sa.PrimaryKeyConstraint("seq", name="pk_runs"),
        sa.UniqueConstraint("run_id", name="uq_runs_run_id"),
        sa.UniqueConstraint("dedup_key", name="uq_runs_dedup_key"),
        sa.CheckConstraint(
            "(state IN ('running', 'cancelling')) = (lease_until IS NOT NULL) AND (lease_until IS NULL) = (owner IS NULL)",
            name="ck_runs_leased",
        ),
        sa.CheckConstraint(
            "(state IN ('queued', 'running', 'cancelling')) = (reason IS NULL) AND (reason IS NULL) = (ended IS NULL)",
            name="ck_runs_one_reason",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_state_priority_seq", "runs", ["state", "priority", "seq"])
    op.create_index("ix_runs_owner", "runs", ["owner"])
