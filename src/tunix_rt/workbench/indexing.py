"""The words of traces that a command has brought, made quick to search before it ends."""

from tunix_rt.store import Store
from tunix_rt.traces import searching
from tunix_rt.workbench.desk import Desk


def index_words(desk: Desk, opened: Store) -> None:
    """Make what came in a large batch quick to search, which PostgreSQL does apart from storing it."""
    with opened.reading() as connection:
        waiting = searching.unindexed(connection)
    with desk.progress("indexing words") as update:
        done = 0
        while done < waiting:
            with opened.unit_of_work() as connection:
                count = searching.catch_up(connection)
            if not count:
                return
            done += count
            update(done, waiting, "traces")
