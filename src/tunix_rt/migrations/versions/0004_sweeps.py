"""Sweeps and their trials."""

import sqlalchemy as sa
from alembic import op

revision = "0004_sweeps"
down_revision = "0003_tokens"


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("sweep_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("chosen", sa.Integer),
        sa.Column("confirmation", sa.String(64)),
        sa.Column("confirmed", sa.Text),
        sa.Column("importance", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.PrimaryKeyConstraint("seq", name="pk_sweeps"),
        sa.UniqueConstraint("sweep_id", name="uq_sweeps_sweep_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sweeps_state", "sweeps", ["state"])
    op.create_table(
        "trials",
        sa.Column("sweep_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("value", sa.Double),
        sa.Column("evaluation_id", sa.String(64)),
        sa.Column("curve", sa.Text, nullable=False),
        sa.Column("pruned_at", sa.BigInteger),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_trials"),
        sa.UniqueConstraint("run_id", name="uq_trials_run_id"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_trials_sweep_id", ondelete="CASCADE"),
    )
