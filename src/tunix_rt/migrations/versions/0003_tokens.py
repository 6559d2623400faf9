"""Named tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0003_tokens"
down_revision = "0002_runs"


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
