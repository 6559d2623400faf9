"""Where the recipes that ship lie: beside the code in an installed wheel, at the top of the repository in a checkout."""

from pathlib import Path
from typing import Literal

from tunix_rt import errors

Kind = Literal["data", "train", "study", "sweeps"]
_PACKAGE = Path(__file__).parent


def folder() -> Path:
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "recipes"


def names(kind: Kind) -> list[str]:
    return sorted(path.stem for path in (folder() / kind).glob("*.toml"))


def path(kind: Kind, name: str) -> Path:
    """The file of the shipped recipe called `name`; `errors.NotFound` suggests the nearest."""
    if name not in names(kind):
        raise errors.NotFound(f"no {kind} recipe {name!r}.{errors.nearest(name, names(kind))}", recipe=name)
    return folder() / kind / f"{name}.toml"
