"""What other packages bring by entry points: tasks, scorers and import formats, each under a name of its own.

Only what is asked for by name is imported. A name that is built in, or that two packages bring, is refused until one of them
is gone; what cannot be imported, or is not what its group wants, is an error that names the package.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any, Literal, NamedTuple

from tunix_rt import errors

Group = Literal["tunix_rt.tasks", "tunix_rt.scorers", "tunix_rt.formats"]
_KIND: dict[Group, str] = {"tunix_rt.tasks": "task", "tunix_rt.scorers": "scorer", "tunix_rt.formats": "import format"}


class Package(NamedTuple):
    """The distribution that brings a plug-in, as it is installed."""

    name: str
    version: str


def named(group: Group, name: str, built_in: Mapping[str, Any], unfit: Callable[[Any, str], str | None]) -> Any:
    """What is built in under that name, or the plug-in, imported. `unfit` says in a few words what is wrong with one, or None.

    NotFound suggests the nearest name.
    """
    known = names(group, built_in)
    if name not in known:
        kind = _KIND[group]
        raise errors.NotFound(f"no {kind} {name!r}.{errors.nearest(name, known)}", **{kind.split()[-1]: name})
    if name in built_in:
        return built_in[name]
    made = _imported(group, name)
    wrong = unfit(made, name)
    if wrong is not None:
        raise _broken(group, name, wrong)
    return made


def names(group: Group, built_in: Mapping[str, Any]) -> tuple[str, ...]:
    """All that can be asked for, plug-ins last; none of them has been imported. Conflict when one takes the name of another."""
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
    return (*built_in, *sorted(found))


def package(group: Group, name: str) -> Package | None:
    """Where the plug-in comes from; None when there is none of that name."""
    points = _found(group).get(name)
    return _package(points[0]) if points else None


def installed(name: str) -> str | None:
    """The version of a distribution, None when it is not here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


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
    brings = _package(_found(group)[name][0])
    return errors.Failed(
        f"the plug-in {name!r} ({group}) of {brings.name} {brings.version} cannot be used: {why}. Mend or uninstall "
        f"{brings.name}.",
        name=name,
        package=brings.name,
        version=brings.version,
    )
