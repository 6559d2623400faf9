"""A backup is one consistent view, restores into either database, and is refused when a byte of it changed."""

import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunix_rt import errors, store
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.traces import Step, Trace, searching, stored


def traces(count: int, start: int = 0) -> Iterator[Trace]:
    for k in range(start, start + count):
        yield Trace(prompt=f"Question {k}?", steps=(Step(i=1, type="given", content="½ is a half"),), final_answer=str(k))


def everything(opened: Store) -> list[object]:
    with opened.reading() as connection:
        return [(row.seq, row.id, row.source, row.created) for row in stored.listed(connection, limit=1000).data]


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_restores_into_either_database(
    opened: Store, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with opened.unit_of_work() as connection:
        stored.add_many(connection, traces(250), "cli")
    made = store.backup(opened, tmp_path / "b.zip")
    assert made.tables["traces"] == 250
    address = request.getfixturevalue("postgresql").create("migrated") if target == "postgresql" else None
    other = store.open_store(Settings(home=tmp_path / "other", database=address))
    store.restore(other, tmp_path / "b.zip", stored.reindex)
    assert everything(other) == everything(opened)
    with other.unit_of_work() as connection:
        assert [row.trace.prompt for row in stored.search(connection, '"question 7"').data] == ["Question 7?"]
        assert list(stored.problems(connection)) == []
        added, _ = stored.add(connection, next(traces(1, 999)), "cli")
        assert added.seq > 250
    with pytest.raises(errors.Conflict, match="not empty"):
        store.restore(other, tmp_path / "b.zip", stored.reindex)
    other.close()


def test_a_backup_under_writers_is_one_moment(opened: Store, tmp_path: Path) -> None:
    """Each transaction stores ten: any moment holds a multiple of ten."""
    stop = threading.Event()

    def write() -> None:
        k = 0
        while not stop.is_set():
            with opened.unit_of_work() as connection:
                stored.add_many(connection, traces(10, k), "cli")
            k += 10

    writer = threading.Thread(target=write)
    writer.start()
    counts = [store.backup(opened, tmp_path / f"{k}.zip").tables["traces"] for k in range(5)]
    stop.set()
    writer.join()
    assert all(count % 10 == 0 for count in counts)
    assert counts == sorted(counts)


def changed(path: Path, name: str, data: bytes) -> Path:
    out = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, data if entry == name else old.read(entry))
    return out


def test_a_changed_backup_restores_nothing(home: Callable[[str], Settings], tmp_path: Path) -> None:
    opened = store.open_store(home("sqlite"))
    with opened.unit_of_work() as connection:
        stored.add_many(connection, traces(3), "cli")
    store.backup(opened, tmp_path / "b.zip")
    opened.close()
    fresh = store.open_store(Settings(home=tmp_path / "fresh"))
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        lines = archive.read("traces.jsonl")
    with pytest.raises(errors.Tampered, match=r"traces\.jsonl"):
        store.restore(fresh, changed(tmp_path / "b.zip", "traces.jsonl", lines.replace(b"cli", b"api")), stored.reindex)
    (tmp_path / "torn.zip").write_bytes((tmp_path / "b.zip").read_bytes()[:-40])
    with pytest.raises(errors.Tampered, match="not a whole backup"):
        store.restore(fresh, tmp_path / "torn.zip", stored.reindex)
    assert everything(fresh) == []
    with pytest.raises(errors.Conflict):
        store.backup(fresh, tmp_path / "b.zip")
    store.restore(fresh, tmp_path / "b.zip", stored.reindex)
    assert len(everything(fresh)) == 3
    fresh.close()


def test_a_trace_that_is_not_its_id_is_found(opened: Store) -> None:
    with opened.unit_of_work() as connection:
        stored.add_many(connection, traces(3), "cli")
        assert list(stored.problems(connection)) == []
        connection.execute(stored.TABLE.update().where(stored.TABLE.c.seq == 2).values(body='{"prompt": "other"}'))
        assert len(list(stored.problems(connection))) == 1
        assert searching.indexed(connection) == 3
