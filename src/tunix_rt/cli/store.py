"""`tunix-rt store`: the workspace's database and files as a whole: check, back up, restore, tidy."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import datasets, errors, store
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface
from tunix_rt.settings import Settings
from tunix_rt.store import Artifacts, Store, artifacts, open_artifacts
from tunix_rt.traces import stored

group = noun("store", "The workspace's database and files as a whole.")


@command(group)
def check(surface: Surface) -> None:
    """Read everything and compare it with its hashes; exit code 1 when something is not what it should be."""
    opened, files = store.open_store(surface.settings), open_artifacts(surface.settings)
    stored_files = sum(1 for _ in files.digests())
    found = list(_problems(surface.settings, opened, files))
    if found:
        text = f"{len(found)} problem{'s' * (len(found) > 1)} in {surface.settings.home}:"
        raise errors.Tampered("\n".join([text, *(f"  {one}" for one in found)]), problems=found)
    with opened.reading() as connection:
        count = stored.count(connection)
    data = {
        "ok": True,
        "database": opened.where,
        "traces": count,
        "artifacts": files.where,
        "files": stored_files,
        "problems": [],
    }
    text = (
        f"{opened.where}: {count} traces; {files.where}: {stored_files} artifacts; database, artifacts and datasets are whole"
    )
    surface.emit(data, text)


def _problems(settings: Settings, opened: Store, files: Artifacts) -> Iterator[str]:
    yield from opened.problems()
    with opened.reading() as connection:
        yield from stored.problems(connection)
        used = artifacts.used(connection)
    for digest in sorted(used):
        yield from _told(partial(files.verify, digest))
    for manifest in sorted(settings.datasets.glob("*/manifest.json")):
        yield from _told(partial(datasets.open_dataset, manifest.parent))


def _told(attempt: Callable[[], object]) -> Iterator[str]:
    try:
        attempt()
    except errors.Unavailable:
        raise
    except errors.Mistake as mistake:
        yield mistake.message


@command(group)
def backup(surface: Surface, out: Annotated[Path, typer.Argument(help="Zip to write; must not exist.")]) -> None:
    """Write the database to one file, in one consistent view, while others go on writing.

    Datasets, artifacts and run folders are files: copy them with the workspace folder. Artifacts in a bucket are
    backed up by the bucket's own means, such as its versions or a copy elsewhere."""
    made = store.backup(store.open_store(surface.settings), out)
    rows = ", ".join(f"{name} {count}" for name, count in made.tables.items())
    bucket = surface.settings.artifacts
    text = f"{out}: {rows}" + (
        f"\nnot in it: the artifacts in {bucket}; back that bucket up by its own means" if bucket else ""
    )
    surface.emit({**made.model_dump(mode="json"), "path": str(out.absolute()), "artifacts": bucket}, text)


@command(group)
def restore(surface: Surface, file: Annotated[Path, typer.Argument(help="A file that `store backup` wrote.")]) -> None:
    """Fill the empty database of a new workspace; SQLite and PostgreSQL read each other's backups."""
    opened = store.open_store(surface.settings)
    made = store.restore(opened, file, stored.reindex)
    rows = ", ".join(f"{name} {count}" for name, count in made.tables.items())
    surface.emit(made.model_dump(mode="json"), f"{opened.where}: {rows}")


@command(group)
def gc(surface: Surface) -> None:
    """Remove artifacts that nothing uses and that are older than an hour."""
    with store.open_store(surface.settings).reading() as connection:
        removed = open_artifacts(surface.settings).collect(artifacts.used(connection))
    surface.emit({"removed": removed}, f"{len(removed)} artifacts removed")
