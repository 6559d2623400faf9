"""1a The workspace's database: SQLite in its folder by default, PostgreSQL where one is named.

A stage declares its tables on `metadata` and writes plain SQLAlchemy Core that both databases understand; surfaces open a
connection with `Store.unit_of_work`, the only committer, or `Store.reading`, and hand it down. Time comes from the
database's clock, so that two machines never disagree about a lease.
"""

from tunix_rt.store.artifacts import Artifacts
from tunix_rt.store.backups import backup, restore
from tunix_rt.store.buckets import open_artifacts
from tunix_rt.store.engines import Store, loading, open_store
from tunix_rt.store.schema import Instant, Json, clock, metadata

__all__ = [
    "Artifacts", "Instant", "Json", "Store", "backup", "clock", "loading", "metadata", "open_artifacts", "open_store",
    "restore",
]  # fmt: skip
