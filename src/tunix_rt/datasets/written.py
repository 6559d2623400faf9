"""Items that people wrote: read from the file beside their recipe, and only if its bytes are the ones the recipe names."""

from pathlib import Path

from tunix_rt import errors, traces
from tunix_rt.traces import Trace
from tunix_rt.values import sha256_file


def read(path: Path, sha256: str, recipe: str) -> tuple[Trace, ...]:
    """The items in the order of the file. Raises NotFound, Tampered, and Invalid for a line that is no trace."""
    if not path.is_file():
        text = f"recipe {recipe!r} needs its written items beside it, in a file {path.name!r}; there is none at {str(path)!r}."
        raise errors.NotFound(text, path=str(path))
    found = sha256_file(path)
    if found != sha256:
        raise errors.Tampered(
            f"{path} is not the file that recipe {recipe!r} names: its sha256 is {found}. If they were changed on purpose, "
            "write this sha256 into the recipe and raise its version.",
            path=str(path),
            expected=sha256,
            found=found,
        )
    return tuple(traces.read(path))
