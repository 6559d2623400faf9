"""What other packages bring by entry points: tasks, scorers and import formats, each under a name of its own.

Only what is asked for by name is imported. A name that is built in, or that two packages bring, is refused until one of them
is gone; what cannot be imported, or is not what its group wants, is an error that names the package.
"""

from collections.abc import Callable, Collection
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any, Literal, NamedTuple

from tunix_rt import errors

Group = Literal["tunix_rt.tasks", "tunix_rt.scorers", "tunix_rt.formats"]


class Package(NamedTuple):
    """The distribution that brings a plug-in, as it is installed."""

    name: str
    version: str


def names(group: Group, built_in: Collection[str]) -> tuple[str, ...]:
    """The plug-ins of the group, none of which has been imported. Conflict when one takes the name of another."""
    found = _found(group)
    for name, points in found.items():
        packages = sorted(f"{each.name} {each.version}" for each in map(_package, points))
        if name in built_in:
            raise errors.Conflict(
                f"{packages[0]} brings {name!r} ({group}), which is the name of a built-in one; uninstall it, or ask its "
                "authors for another name.",
                name=name,
                packages=packages,
            )
        if len(points) > 1:
            raise errors.Conflict(
                f"{name!r} ({group}) is brought by {' and by '.join(packages)}; uninstall one of them.",
                name=name,
                packages=packages,
            )
    return tuple(sorted(found))


def package(group: Group, name: str) -> Package:
    """Where the plug-in comes from."""
    return _package(_found(group)[name][0])


def installed(name: str) -> str | None:
    """The version of a distribution, None when it is not here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def load(group: Group, name: str, problem: Callable[[Any], str | None]) -> Any:
    """Import a plug-in. `problem` says in a few words what is wrong with it, or None."""
    made = _imported(group, name)
    wrong = problem(made)
    if wrong is not None:
        raise _broken(group, name, wrong)
    return made


@cache
def _found(group: Group) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in metadata.entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def _package(point: EntryPoint) -> Package:
    assert point.dist is not None, "entry points of installed distributions have one"
    return Package(point.dist.name, point.dist.version)


@cache
def _imported(group: Group, name: str) -> Any:
    try:
        return _found(group)[name][0].load()
    except Exception as error:
        raise _broken(group, name, f"{type(error).__name__}: {error}") from error


def _broken(group: Group, name: str, why: str) -> errors.Failed:
    brings = package(group, name)
    return errors.Failed(
        f"the plug-in {name!r} ({group}) of {brings.name} {brings.version} cannot be used: {why}. Mend or uninstall "
        f"{brings.name}.",
        name=name,
        package=brings.name,
        version=brings.version,
    )
