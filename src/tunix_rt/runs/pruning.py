"""Disk space that nothing needs any more: the checkpoints of completed runs, which are never resumed."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from tunix_rt import errors
from tunix_rt.runs import ledger
from tunix_rt.runs.ledger import LARGEST_PAGE, Run
from tunix_rt.settings import Settings


class Spare(NamedTuple):
    """A run's checkpoints that nothing reads any more, and how many bytes they hold."""

    run_id: str
    folder: Path
    size: int


def spare(connection: Connection, settings: Settings, run_ids: Iterable[str] = ()) -> list[Spare]:
    """Of these runs, or of every completed run of the workspace that has its folder on this machine.

    Raises `errors.NotFound` for a run that is not there, `errors.Conflict` for one that is not completed: it goes on from its
    checkpoints.
    """
    asked = [ledger.get(connection, run_id) for run_id in run_ids]
    for run in asked:
        if run.state != "completed":
            told = f"run {run.run_id} is {run.state}; only a completed run has no more use for its checkpoints."
            raise errors.Conflict(told, state=run.state, run=run.run_id)
    places = [(run, run.dir(settings) / "checkpoints") for run in asked or _completed(connection)]
    return [Spare(run.run_id, folder, _size(folder)) for run, folder in places if folder.is_dir() and not folder.is_symlink()]


def remove(found: Spare) -> None:
    """Remove them; adapter, metrics and result stay."""
    shutil.rmtree(found.folder)


def _completed(connection: Connection) -> Iterable[Run]:
    after = None
    while True:
        page = ledger.listed(connection, state="completed", limit=LARGEST_PAGE, after=after)
        yield from page.data
        if (after := page.next) is None:
            return


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
