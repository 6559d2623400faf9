"""The files of a version: are they what was promoted, where do they lie, and copies of them for others.

Nothing is read as a whole: a file is hashed and copied a megabyte at a time, so its size is no matter.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from tunix_rt import datasets, errors, jobs, models, runs, values
from tunix_rt.jobs import Inputs
from tunix_rt.registry.entries import Entry
from tunix_rt.registry.promotions import owner
from tunix_rt.runs import Trained, load
from tunix_rt.settings import Settings
from tunix_rt.store import artifacts, open_artifacts

DOCUMENT = "version.json"
State = Literal["here", "changed", "absent"]


class Problem(NamedTuple):
    """Something of a version that is not what was promoted; `digest` is the one that was."""

    name: str
    version: int
    file: str
    digest: str
    problem: str


class Link(NamedTuple):
    """A step of the way from a version back to its data: `state` says whether this workspace still has that very thing."""

    what: str
    name: str
    digest: str
    state: State


def problems(
    settings: Settings,
    connection: Connection,
    entries: Iterable[Entry],
    say: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Problem]:
    """Every byte of these versions' files against its sha256, and each version's content against its digest."""
    found, told = [], list(entries)
    seen: dict[str, str] = {}
    for k, entry in enumerate(told):
        say(k, len(told), entry.reference)
        if entry.content.digest != entry.digest:
            found.append(_problem(entry, DOCUMENT, entry.digest, "the database holds other content than was promoted"))
        kept = artifacts.uses(connection, owner(entry.name, entry.version))
        for name, file in entry.content.files.items():
            if file.sha256 not in seen:
                seen[file.sha256] = _looked_at(settings, file.sha256)
            if seen[file.sha256]:
                found.append(_problem(entry, name, file.sha256, seen[file.sha256]))
            elif name not in kept:
                found.append(_problem(entry, name, file.sha256, "nothing keeps it from being collected"))
    return found


def _problem(entry: Entry, file: str, digest: str, text: str) -> Problem:
    return Problem(entry.name, entry.version, file, digest, text)


def _looked_at(settings: Settings, digest: str) -> str:
    try:
        open_artifacts(settings).verify(digest)
    except errors.NotFound:
        return "the file is missing"
    except errors.Tampered:
        return "the file's bytes have changed"
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    return ""


def sizes(settings: Settings, entry: Entry) -> bool:
    """Whether every file is there with its size: what can be told without reading it."""
    files = open_artifacts(settings)
    try:
        return all(files.size(file.sha256) == file.bytes for file in entry.content.files.values())
    except errors.NotFound:
        return False


def walk(settings: Settings, connection: Connection, entry: Entry) -> tuple[Link, ...]:
    """From the version to the data it was trained on, and what this workspace still has of it."""
    run, job = entry.content.run, entry.content.job
    facts = values.sha256(values.canonical(entry.content.facts))
    sets = [(run.dataset, run.dataset_digest)] if not run.stages else [(one.dataset, one.dataset_digest) for one in run.stages]
    return (
        Link("version", entry.reference, entry.digest, "here" if entry.content.digest == entry.digest else "changed"),
        Link("weights", run.method, run.adapter_digest, "here" if sizes(settings, entry) else "absent"),
        Link("run", run.run_id, facts, _run(settings, connection, run)),
        Link("config", job.config.name, job.config.digest, "here" if job.config.digest == run.config_digest else "changed"),
        Link("base model", run.model, run.model_digest, _base(settings, run.model, run.model_digest)),
        *(Link("dataset", name, digest, _dataset(settings, name, digest)) for name, digest in sets),
    )


def _run(settings: Settings, connection: Connection, run: Trained) -> State:
    """The ledger knows where it lies."""
    try:
        there = load(runs.get(connection, run.run_id).dir(settings))
    except errors.NotFound:
        return "absent"
    return "here" if there.model_copy(update={"dir": ""}) == run else "changed"


def _base(settings: Settings, name: str, digest: str) -> State:
    path = settings.models / name / models.folders.MANIFEST
    if not path.is_file():
        return "absent"
    return "here" if models.Manifest.parse(values.read_json(path), source=str(path)).digest == digest else "changed"


def _dataset(settings: Settings, name: str, digest: str) -> State:
    try:
        return "here" if datasets.manifest(settings, name).digest == digest else "changed"
    except errors.NotFound:
        return "absent"


def download(settings: Settings, entry: Entry, out: Path) -> dict[str, str]:
    """Copy the files to the folder `out`, each checked on the way, and `version.json` last; returns file name -> sha256.

    `out` must be empty or absent. `errors.Tampered` for a file that has changed: then nothing is left under its name.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.Conflict(f"{str(out)!r} is not an empty folder; give another with --out.", path=str(out))
    store, made = open_artifacts(settings), {}
    for name, file in entry.content.files.items():
        with store.path(file.sha256).open("rb") as source, values.atomic_writer(out / name) as target:
            if artifacts.copy(source, target).digest != file.sha256:
                raise errors.Tampered(f"{entry.reference}: the stored {name} is not what was promoted.", digest=file.sha256)
        made[name] = file.sha256
    document = {**entry.document(), "content": entry.content.model_dump(mode="json")}
    values.write_json(out / DOCUMENT, document)
    return {**made, DOCUMENT: values.sha256_file(out / DOCUMENT)}


def as_run(settings: Settings, entry: Entry) -> Trained:
    """The version laid out as the folder of a run, for whatever works on runs: its weights are links to the stored files.

    Whoever uses them checks their digest, as with every run.
    """
    folder, run, store = settings.home / "registry" / entry.digest[:16], entry.content.run, open_artifacts(settings)
    adapter = folder / "adapter"
    adapter.mkdir(parents=True, exist_ok=True)
    for name, file in entry.content.files.items():
        link = adapter / f".{name}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(store.path(file.sha256).absolute())
        link.replace(adapter / name)
    places = Inputs(model=settings.models / run.model, dataset=settings.datasets / run.dataset, adapter=adapter)
    jobs.write(folder, entry.content.job, places)
    values.write_json(folder / "run.json", {**entry.content.facts, "dir": str(folder)})
    return load(folder)
