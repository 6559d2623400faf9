"""Aliases: names for versions that can move, and go back; every move is kept with who made it."""

from sqlalchemy import Connection, insert, select

from tunix_rt import errors
from tunix_rt.registry import entries
from tunix_rt.registry.entries import ALIAS, Entry
from tunix_rt.registry.tables import HISTORY, MODELS
from tunix_rt.store import clock
from tunix_rt.values import fits


def hold(connection: Connection, name: str) -> None:
    """Until the transaction ends, nobody else adds anything under the name. SQLite has one writer at a time anyway."""
    connection.execute(select(MODELS.c.name).where(MODELS.c.name == name).with_for_update())


def move(connection: Connection, reference: str, alias: str, *, who: str, reason: str | None = None) -> Entry:
    """Let the alias name that version from now on; a move to where it is changes nothing."""
    name = reference.partition("@")[0]
    hold(connection, name)
    found = entries.get(connection, reference)
    point(connection, name, found.version, alias, who=who, reason=reason)
    return entries.get(connection, f"{name}@{found.version}")


def point(connection: Connection, name: str, version: int, alias: str, *, who: str, reason: str | None) -> None:
    """The same for a number, while the name is held."""
    if not fits(ALIAS, alias) or fits(f"[0-9a-f]{{{entries.LEAST_DIGEST},64}}", alias):
        text = f"an alias is up to 32 of a-z, 0-9 and '-', begins with a letter and looks like no digest; not {alias!r}."
        raise errors.Invalid(text, field="alias")
    if entries.current(entries.history(connection, name)).get(alias) != version:
        row = {"name": name, "version": version, "action": "set", "alias": alias, "who": who, "at": clock(), "reason": reason}
        connection.execute(insert(HISTORY).values(row))


def roll_back(connection: Connection, name: str, alias: str, *, who: str, reason: str | None = None) -> Entry:
    """Let the alias name the version it named before the present one; rolling back twice goes back two.

    `errors.NotFound` for an alias that the model does not have, `errors.Conflict` when there is nothing before.
    """
    hold(connection, name)
    entries.known(connection, name)
    stacks = entries.stacks(entries.history(connection, name))
    if alias not in stacks:
        raise errors.NotFound(f"{name!r} has no alias {alias!r}.{errors.nearest(alias, stacks)}", model=name, alias=alias)
    if len(stacks[alias]) == 1:
        text = f"{alias!r} of {name!r} has only ever named version {stacks[alias][0]}; there is nothing to go back to."
        raise errors.Conflict(text, model=name, alias=alias)
    before = stacks[alias][-2]
    row = {"name": name, "version": before, "action": "rolled back", "alias": alias, "who": who, "at": clock()}
    connection.execute(insert(HISTORY).values(**row, reason=reason))
    return entries.get(connection, f"{name}@{before}")
