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
from tunix_rt.store import Artifacts, Store, artifacts
from tunix_rt.traces import stored

group = noun("store", "The workspace's database and files as a whole.")


@command(group)
def check(surface: Surface) -> None:
    """Read everything and compare it with its hashes; exit code 1 when something is not what it should be."""
    opened = store.open_store(surface.settings)
    found = list(_problems(surface.settings, opened))
    if found:
        text = f"{len(found)} problem{'s' * (len(found) > 1)} in {surface.settings.home}:"
        raise errors.Tampered("\n".join([text, *(f"  {one}" for one in found)]), problems=found)
    with opened.reading() as connection:
        count = stored.count(connection)
    data = {"ok": True, "database": opened.where, "traces": count, "problems": []}
    surface.emit(data, f"{opened.where}: {count} traces; database, artifacts and datasets are whole")


def _problems(settings: Settings, opened: Store) -> Iterator[str]:
    yield from opened.problems()
    with opened.reading() as connection:
        yield from stored.problems(connection)
        used = artifacts.used(connection)
    files = Artifacts(settings.artifacts)
    for digest in sorted(used):
        yield from _told(partial(files.verify, digest))
    for manifest in sorted(settings.datasets.glob("*/manifest.json")):
        yield from _told(partial(datasets.open_dataset, manifest.parent))


def _told(attempt: Callable[[], object]) -> Iterator[str]:
    try:
        attempt()
    except errors.Mistake as mistake:
        yield mistake.message


@command(group)
def backup(surface: Surface, out: Annotated[Path, typer.Argument(help="Zip to write; must not exist.")]) -> None:
    """Write the database to one file, in one consistent view, while others go on writing.

    Datasets, artifacts and run folders are files: copy them with the workspace folder."""
    made = store.backup(store.open_store(surface.settings), out)
    rows = ", ".join(f"{name} {count}" for name, count in made.tables.items())
    surface.emit({**made.model_dump(mode="json"), "path": str(out.absolute())}, f"{out}: {rows}")


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
        removed = Artifacts(surface.settings.artifacts).collect(artifacts.used(connection))
    surface.emit({"removed": removed}, f"{len(removed)} artifacts removed")
