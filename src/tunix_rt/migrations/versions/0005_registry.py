"""Registered models: names, versions, and what happened to them."""

import sqlalchemy as sa
from alembic import op

revision = "0005_registry"
down_revision = "0004_sweeps"


def upgrade() -> None:
    op.create_table(
        "registered_models",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_registered_models"),
    )
    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_model_versions"),
        sa.UniqueConstraint("name", "digest", name="uq_model_versions_name_digest"),
        sa.ForeignKeyConstraint(["name"], ["registered_models.name"], name="fk_model_versions_name"),
    )
    op.create_index("ix_model_versions_run_id", "model_versions", ["run_id"])
    _history()


def _history() -> None:
    op.create_table(
        "model_history",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("alias", sa.String(32)),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("admission", sa.Text),
        sa.CheckConstraint("(action = 'promoted') = (alias IS NULL)", name="ck_model_history_alias"),
        sa.CheckConstraint("(action = 'promoted') = (admission IS NOT NULL)", name="ck_model_history_admission"),
        sa.ForeignKeyConstraint(
            ["name", "version"], ["model_versions.name", "model_versions.version"], name="fk_model_history_name"
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_model_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_history_name_seq", "model_history", ["name", "seq"])
