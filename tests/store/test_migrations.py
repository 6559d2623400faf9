"""What the migrations make is what the tables declare, on both databases."""

import importlib
import pkgutil
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import tunix_rt
from tunix_rt.store import Store, metadata, migrating

SEARCH = ("traces_words", "traces_unindexed", "alembic_version", "sqlite_")  # written in each database's own SQL


def every_table() -> None:
    """Import all modules that could declare a table."""
    for found in pkgutil.walk_packages(tunix_rt.__path__, "tunix_rt."):
        if not found.name.startswith(("tunix_rt.engine", "tunix_rt.migrations", "tunix_rt.cli", "tunix_rt.api")):
            importlib.import_module(found.name)


def ours(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
    return not (kind == "table" and (name or "").startswith(SEARCH))


def test_upgrading_makes_what_the_tables_declare(opened: Store) -> None:
    every_table()
    with opened.reading() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_revisions_follow_each_other_and_name_their_files() -> None:
    before = None
    for name in migrating.known():
        module = importlib.import_module(f"tunix_rt.migrations.versions.{name}")
        assert (module.revision, module.down_revision) == (name, before)
        before = name
