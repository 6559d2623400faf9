"""Registered models where a run or a base model can stand, and how a run becomes one."""

import os
import pwd
import tempfile
from pathlib import Path

from tunix_rt import comparisons, errors, models, registry
from tunix_rt.launchers import local
from tunix_rt.registry import Criterion, Entry
from tunix_rt.runs import Trained, exports
from tunix_rt.values import fits
from tunix_rt.workbench import foreground
from tunix_rt.workbench.desk import Desk


def who() -> str:
    """The account that a command runs under: what it registers is kept under this name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:64]
    except KeyError:
        return f"uid {os.getuid()}"


def registered(desk: Desk, what: str) -> Entry | None:
    """The version that is named so; None when nothing is registered under such a name."""
    name = what.partition("@")[0]
    if not fits(registry.NAME, name):
        return None
    with foreground.ledger(desk) as opened, opened.reading() as connection:
        return registry.get(connection, what) if registry.is_known(connection, name) else None


def trained(desk: Desk, what: str) -> Trained:
    """A finished run by id or folder, or a registered version as if it were one."""
    try:
        return foreground.trained(desk, what)
    except errors.NotFound:
        entry = registered(desk, what)
        if entry is None:
            raise
    return registry.as_run(desk.settings, entry)


def as_base(desk: Desk, what: str) -> str:
    """The name of a base model: `what` itself, or the one that a registered version is made into, once, by merging."""
    entry = None if what in models.known(desk.settings) else registered(desk, what)
    if entry is None:
        return what
    name, source = f"{entry.name}-v{entry.version}", f"registered {entry.reference} {entry.digest[:16]}"
    if name in models.known(desk.settings):
        there = models.prepare(desk.settings, name)
        if there.manifest.source == source:
            return name
    run = registry.as_run(desk.settings, entry)
    base, job = models.prepare(desk.settings, run.model, desk.say), exports.job_of(run, "merged")
    with tempfile.TemporaryDirectory(dir=desk.settings.home, prefix=".export-") as folder:
        work = Path(folder)
        exports.prepare(desk.settings, run, job, work)
        local.run(work)
        exports.publish(run, job, base, work / "export", work / "out")
        models.fetch(desk.settings, str(work / "out"), name=name, source=source, say=desk.say)
    return name


def promote(
    desk: Desk,
    run: str,
    name: str,
    *,
    criterion: Criterion | None = None,
    gate: Path | None = None,
    forced: bool = False,
    reason: str | None = None,
    alias: str | None = None,
) -> tuple[Entry, bool]:
    """The run as a version of the model `name`, and whether it is a new one. `gate` is a gate.json, decided again."""
    found = foreground.trained(desk, run)
    admission = registry.admit(desk.settings, found, _decided(desk, found, criterion, gate), reason, forced=forced)
    content = registry.keep(desk.settings, found)
    with foreground.ledger(desk) as opened, opened.unit_of_work() as connection:
        return registry.record(connection, desk.settings, name, content, admission, who=who(), reason=reason, alias=alias)


def _decided(desk: Desk, run: Trained, criterion: Criterion | None, gate: Path | None) -> comparisons.Gate | None:
    if gate is not None:
        return registry.read_gate(desk.settings, run, gate)
    return registry.decide(desk.settings, run, criterion) if criterion else None
