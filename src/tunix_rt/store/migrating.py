"""Bring a database to the newest schema. The migrations are inside the package, so an installed wheel has them."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from tunix_rt import errors

FOLDER = Path(__file__).parents[1] / "migrations"
_LOCK = 7_461_202_611  # any number that no other program on the server uses


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database lacks, in one transaction; a database from a newer version is refused."""
    with engine.connect() as connection:
        if current(connection) == head():
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = current(connection)
        if found not in (None, *known()):
            raise errors.Conflict(
                f"the database has schema {found!r}, which this version does not know; use the newer tunix-rt."
            )
        if found != head():
            _run(connection)


def current(connection: Connection) -> str | None:
    """The revision of the database, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def known() -> list[str]:
    """All revisions in order; a migration's file is named by its revision, and revisions sort."""
    return sorted(path.stem for path in (FOLDER / "versions").glob("[0-9]*.py"))


def head() -> str:
    return known()[-1]


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # half a second that most starts do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    command.upgrade(config, "head")
