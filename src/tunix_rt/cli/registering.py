"""What commands say of registered models, and how they take one where they take a run."""

import os
import pwd
import tempfile
from pathlib import Path
from typing import Any

from tunix_rt import errors, models, registry
from tunix_rt.cli import foreground
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.launchers import local
from tunix_rt.registry import Entry, Happening, Link
from tunix_rt.runs import Trained, exports
from tunix_rt.values import fits


def who() -> str:
    """The account that a command runs under: what it registers is kept under this name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:64]
    except KeyError:
        return f"uid {os.getuid()}"


def registered(surface: Surface, what: str) -> Entry | None:
    """The version that is named so; None when nothing is registered under such a name."""
    name = what.partition("@")[0]
    if not fits(registry.NAME, name):
        return None
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        return registry.get(connection, what) if registry.is_known(connection, name) else None


def trained(surface: Surface, what: str) -> Trained:
    """A finished run by id or folder, or a registered version as if it were one."""
    try:
        return foreground.trained(surface, what)
    except errors.NotFound:
        entry = registered(surface, what)
        if entry is None:
            raise
    return registry.as_run(surface.settings, entry)


def as_base(surface: Surface, what: str) -> str:
    """The name of a base model: `what` itself, or the one that a registered version is made into, once, by merging."""
    entry = None if what in models.known(surface.settings) else registered(surface, what)
    if entry is None:
        return what
    name, source = f"{entry.name}-v{entry.version}", f"registered {entry.reference} {entry.digest[:16]}"
    if name in models.known(surface.settings):
        there = models.prepare(surface.settings, name)
        if there.manifest.source == source:
            return name
    run = registry.as_run(surface.settings, entry)
    base, job = models.prepare(surface.settings, run.model, surface.say), exports.job_of(run, "merged")
    with tempfile.TemporaryDirectory(dir=surface.settings.home, prefix=".export-") as folder:
        work = Path(folder)
        exports.prepare(surface.settings, run, job, work)
        local.run(work)
        exports.publish(run, job, base, work / "export", work / "out")
        models.fetch(surface.settings, str(work / "out"), name=name, source=source, say=surface.say)
    return name


def emit(surface: Surface, reference: str) -> None:
    """Everything about one version, and the way back to its data."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        entry = registry.get(connection, reference)
        links = registry.walk(surface.settings, connection, entry)
        told = registry.history(connection, entry.name)
    data = {
        **entry.document(),
        "files": {name: file.model_dump() for name, file in entry.content.files.items()},
        "admission": entry.admission.model_dump(mode="json"),
        "provenance": [link._asdict() for link in links],
        "history": [one.document() for one in told],
        "content": entry.content.model_dump(mode="json"),
    }
    surface.emit(data, describe(entry, links, told))


def describe(entry: Entry, links: tuple[Link, ...], told: list[Happening]) -> str:
    lines = [f"{entry.reference} {entry.digest[:12]}{_marked(entry)}: {standing(entry)}", ""]
    lines += [f"  {link.what:10} {link.name}  {link.digest[:12]}  {link.state}" for link in links]
    lines += [f"  {'file':10} {name}  {file.sha256[:12]}  {size(file.bytes)}" for name, file in entry.content.files.items()]
    for one in entry.admission.evaluations:
        low, high = one.ci95_clustered
        lines.append(
            f"  {'evaluation':10} {one.evaluation_id} on {one.evalset}: {100 * one.accuracy:.1f} % of {one.n}, "
            f"95 % [{100 * low:.1f}, {100 * high:.1f}] clustered"
        )
    return "\n".join([*lines, "", *(f"  {_happened(one)}" for one in told)])


def standing(entry: Entry) -> str:
    """Why it was let in."""
    gate, admitted = entry.admission.gate, entry.admitted
    if entry.admission.standing == "forced":
        said = f"its gate was {gate.decision}" if gate else "no gate was asked"
        return f"forced by {admitted.who}, {said}: {admitted.reason}"
    assert gate is not None
    return (
        f"passed its gate on {gate.evalset}: {gate.metric} {100 * gate.candidate_value:.1f} % against "
        f"{100 * gate.baseline_value:.1f} %, margin {100 * gate.margin:g} points"
        f"{', exploratory' if gate.exploratory else ''}"
    )


def _marked(entry: Entry) -> str:
    return f" ({', '.join(entry.aliases)})" if entry.aliases else ""


def _happened(one: Happening) -> str:
    when = f"{one.at:%Y-%m-%d %H:%M}"
    admission = one.admission
    if admission:
        what = f"version {one.version} promoted by {one.who}: {admission.standing}"
    else:
        what = f"{one.alias} {'set' if one.action == 'set' else 'rolled back'} to version {one.version} by {one.who}"
    return f"{when}  {what}{f' ({one.reason})' if one.reason else ''}"


def rows(entries: tuple[Entry, ...]) -> str:
    """A table of versions."""
    shown = [
        (
            entry.reference,
            entry.digest[:12],
            ", ".join(entry.aliases) or "-",
            entry.admission.standing,
            entry.content.job.run_id,
            entry.content.job.dataset,
            f"{entry.created:%Y-%m-%d %H:%M}",
        )
        for entry in entries
    ]
    return table(shown, ("version", "digest", "aliases", "standing", "run", "trained on", "promoted (UTC)"))


def named(found: tuple[registry.Model, ...]) -> tuple[list[dict[str, Any]], str]:
    """The registered models as data and as a table."""
    shown = [
        (one.name, str(one.versions), ", ".join(f"{alias}: {version}" for alias, version in one.aliases.items()) or "-")
        for one in found
    ]
    return [one.document() for one in found], table(shown, ("model", "versions", "aliases"))
