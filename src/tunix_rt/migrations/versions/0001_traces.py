"""Stored traces, the words in them, and who uses which artifact."""

import sqlalchemy as sa
from alembic import op

revision = "0001_traces"
down_revision = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "traces",
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("parent", sa.String(64)),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_traces"),
        sa.UniqueConstraint("id", name="uq_traces_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_traces_content", "traces", ["content"])
    op.create_index("ix_traces_source_seq", "traces", ["source", "seq"])
    op.create_table(
        "artifact_uses",
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name="pk_artifact_uses"),
    )
    op.create_index("ix_artifact_uses_digest", "artifact_uses", ["digest"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE traces_words USING fts5(told, content='', tokenize='unicode61 remove_diacritics 0')")
    else:
        op.execute("CREATE TABLE traces_words (seq bigint PRIMARY KEY REFERENCES traces (seq), words tsvector NOT NULL)")
        op.execute("CREATE INDEX ix_traces_words_words ON traces_words USING gin (words)")
        op.execute("CREATE TABLE traces_unindexed (seq bigint PRIMARY KEY REFERENCES traces (seq), told text NOT NULL)")
