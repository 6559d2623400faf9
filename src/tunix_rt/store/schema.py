"""What tables are made of on both databases: one metadata, instants, JSON, and the database's own clock."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Double, MetaData, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from tunix_rt import values

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment, as an aware UTC datetime here and as seconds since 1970 in the database, so that arithmetic with `clock()`
    is the same SQL on both. A naive datetime is refused."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"{value!r} has no time zone")
            return value.timestamp()
        return value

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Json(TypeDecorator[Any]):
    """JSON as canonical text on both databases: what is read back is, to the byte, what was hashed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else values.canonical(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else json.loads(value)


class clock(FunctionElement[float]):  # noqa: N801  # reads as a function in SQL expressions
    """Seconds since 1970 by the database's clock, at the moment the statement runs; add seconds to it for a deadline."""

    type = Double()
    inherit_cache = True
    name = "clock"


@compiles(clock, "postgresql")
def _postgresql_clock(element: clock, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    """Not `unixepoch('subsec')`, which SQLite before 3.42 answers with NULL."""
    return "((julianday('now') - 2440587.5) * 86400.0)"
