"""What commands say of registered models."""

from typing import Any

from tunix_rt import registry
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.registry import Entry, Happening, Link
from tunix_rt.workbench import foreground


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
