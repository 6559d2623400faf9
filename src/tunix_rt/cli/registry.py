"""`tunix-rt models` for what runs made: promote, look, move an alias, check, download."""

from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import errors, registry
from tunix_rt.cli import registering
from tunix_rt.cli.app import command
from tunix_rt.cli.console import Surface, size
from tunix_rt.cli.decide import Alpha, Margin, MetricName, Seed
from tunix_rt.cli.models import group
from tunix_rt.registry import CHAMPION, Criterion
from tunix_rt.workbench import foreground, registered

Reference = Annotated[
    str,
    typer.Argument(metavar="NAME[@WHICH]", help="A registered model; @ a version, an alias or a digest (default: champion)."),
]
Reason = Annotated[str | None, typer.Option(help="Why, kept in the history.")]
After = Annotated[str | None, typer.Option(help="The 'next' of the page before.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many on a page.")]


@command(group)
def promote(
    surface: Surface,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run (id or folder).")],
    name: Annotated[str, typer.Option("--as", help="The model's name; the run becomes its next version.")],
    baseline: Annotated[
        str | None, typer.Option(help="What the gate holds it against: a baseline's name, or an evaluation.")
    ] = None,
    margin: Margin = 0.05,
    metric: MetricName = None,
    alpha: Alpha = 0.05,
    seed: Seed = None,
    evaluation: Annotated[str | None, typer.Option(help="The run's evaluation that decides, where several could.")] = None,
    gate: Annotated[Path | None, typer.Option(help="A gate.json of `tunix-rt gate`; it is decided again.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; needs --reason.")] = False,
    reason: Reason = None,
    alias: Annotated[str | None, typer.Option(help="Let this alias name the version, such as champion.")] = None,
) -> None:
    """Make a finished run a version of a registered model, through a gate. The same run again is the same version."""
    if gate is not None and baseline is not None:
        raise typer.BadParameter("a gate.json names its own baseline", param_hint="--baseline")
    criterion = None
    if baseline is not None:
        criterion = Criterion(baseline=baseline, margin=margin, metric=metric, alpha=alpha, seed=seed, evaluation=evaluation)
    made, new = registered.promote(surface, run, name, criterion=criterion, gate=gate, forced=force, reason=reason, alias=alias)
    told = f"{made.reference} {'made' if new else 'is there already'}: {registering.standing(made)}"
    named = f"\n  {', '.join(made.aliases)} of {name}" if made.aliases else ""
    surface.emit({**made.document(), "new": new}, f"{told}{named}")


@command(group)
def versions(
    surface: Surface,
    name: Annotated[str | None, typer.Argument(help="A registered model (default: list the registered models).")] = None,
    after: After = None,
    limit: Limit = 50,
) -> None:
    """The versions of a registered model, newest first; without a name, the registered models."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        if name is None:
            found = registry.listed(connection, after=after, limit=limit)
            data, text = registering.named(found.data)
            return surface.emit({"data": data, "next": found.next}, text)
        page = registry.versions(connection, name, after=after, limit=limit)
    rows = [entry.document() for entry in page.data]
    return surface.emit({"data": rows, "next": page.next}, registering.rows(page.data))


@command(group)
def alias(
    surface: Surface,
    version: Annotated[str, typer.Argument(metavar="NAME@WHICH", help="The version: a number, another alias or a digest.")],
    alias: Annotated[str, typer.Argument(help="The alias that is to name it.")] = CHAMPION,
    reason: Reason = None,
) -> None:
    """Let an alias name a version; where it was before is kept."""
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        made = registry.move(connection, version, alias, who=registered.who(), reason=reason)
    surface.emit(made.document(), f"{alias} of {made.name} is version {made.version}")


@command(group)
def rollback(
    surface: Surface,
    name: Annotated[str, typer.Argument(help="A registered model.")],
    alias: Annotated[str, typer.Option(help="The alias that goes back.")] = CHAMPION,
    reason: Reason = None,
) -> None:
    """Let an alias name the version that it named before."""
    with foreground.ledger(surface) as opened, opened.unit_of_work() as connection:
        made = registry.roll_back(connection, name, alias, who=registered.who(), reason=reason)
    surface.emit(made.document(), f"{alias} of {made.name} is version {made.version} again")


@command(group)
def check(
    surface: Surface,
    name: Annotated[str | None, typer.Argument(help="Only this registered model.")] = None,
) -> None:
    """Read every byte of the registered versions and compare it with what was promoted; exit code 1 when anything differs."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        found = registry.every(connection, name)
        if name is not None and not found:
            registry.get(connection, name)
        with surface.progress("checking") as update:
            wrong = registry.problems(surface.settings, connection, found, update)
    total = sum({file.sha256: file.bytes for entry in found for file in entry.content.files.values()}.values())
    data = {"ok": not wrong, "versions": len(found), "bytes": total, "problems": [one._asdict() for one in wrong]}
    if wrong:
        lines = [f"  {one.name}@{one.version}: {one.file} {one.digest[:12]}: {one.problem}" for one in wrong]
        mend = "Promoting the run again mends it, if its folder is whole."
        text = f"files of registered versions that are not what was promoted: {len(wrong)}. {mend}"
        raise errors.Tampered("\n".join([text, *lines]), **data)
    surface.emit(data, f"versions: {len(found)}, {size(total)}; every byte is what was promoted")


@command(group)
def download(
    surface: Surface,
    reference: Reference,
    out: Annotated[Path, typer.Option(help="Folder to write; empty or absent.")],
) -> None:
    """Copy the files of a registered version, each checked on the way, with `version.json` about it."""
    with foreground.ledger(surface) as opened, opened.reading() as connection:
        entry = registry.get(connection, reference)
    files = registry.download(surface.settings, entry, out)
    data = {"name": entry.name, "version": entry.version, "digest": entry.digest, "dir": str(out.absolute()), "files": files}
    surface.emit(data, f"{entry.reference} in {out}: {', '.join(files)}")
