"""The tables of the registry. A version is a row that nothing updates; what happens to it is added to the history."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tunix_rt.store import Instant, Json, metadata

MODELS = Table(
    "registered_models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created", Instant, nullable=False),
)
"""A row for each name. Whoever adds anything under a name holds this row, so that two never count the same version."""

VERSIONS = Table(
    "model_versions",
    metadata,
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("created", Instant, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    UniqueConstraint("name", "digest"),
    ForeignKeyConstraint(["name"], ["registered_models.name"]),
    Index(None, "run_id"),
)
"""`run_id` refers to nothing: a version outlives its run."""

HISTORY = Table(
    "model_history",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", String(16), nullable=False),
    Column("alias", String(32)),
    Column("who", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", Text),
    Column("admission", Json),
    CheckConstraint("(action = 'promoted') = (alias IS NULL)", name="alias"),
    CheckConstraint("(action = 'promoted') = (admission IS NOT NULL)", name="admission"),
    ForeignKeyConstraint(["name", "version"], ["model_versions.name", "model_versions.version"]),
    Index(None, "name", "seq"),
    sqlite_autoincrement=True,
)
