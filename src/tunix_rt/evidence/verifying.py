"""Verify a bundle. Nothing is written or unpacked; whatever the file holds, the answer is a report.

Depth 0 accounts for every byte. Depth 1 computes every number again. A report never says more than was done: what this
depth leaves unchecked is part of it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors
from tunix_rt.evidence import contents, recompute, standalone
from tunix_rt.evidence.contents import Manifest
from tunix_rt.evidence.recompute import Bundle, Check
from tunix_rt.values import Value

DEEPEST = 1
NOT_REPEATED = (
    "the datasets were not built again from their recipes",
    "the base model's weights are not in the bundle and were not hashed",
    "training was not repeated, and no answer was generated again",
    "times, memory, throughput, labels and the environment stand as the run recorded them",
    "nothing is signed: the bundle id says that two copies are one, not who made them",
)


class Report(Value):
    """`bundle_id` is the sha256 of the manifest, the name to publish; None when there is no bundle to name."""

    ok: bool
    bundle_id: str | None
    depth_reached: int
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    failures: tuple[str, ...]


class Findings(NamedTuple):
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    failures: tuple[str, ...]


def verify(path: Path, depth: int = DEEPEST) -> Report:
    """Check the bundle at `path` to `depth` 0 or 1. A bundle that fails is a report; a file that is not there, NotFound."""
    if depth not in range(DEEPEST + 1):
        raise errors.Invalid(f"depth {depth!r} is not known; this version verifies to depth {DEEPEST}.", depth=depth)
    try:
        members = standalone.parse(_read(path))
    except standalone.Refused as error:
        return _report(0, None, Findings((), NOT_REPEATED, (str(error),)))
    bundle_id = standalone.sha256(members.get(standalone.MANIFEST, b""))
    found = _integrity(members)
    if found.failures or depth == 0:
        left = "no answer was scored again and no number computed again"
        return _report(0, bundle_id, found._replace(unchecked=(left, *NOT_REPEATED)))
    deeper = _recompute(members)
    return _report(1, bundle_id, deeper._replace(checked=found.checked + deeper.checked))


def deepen(bundle: Bundle) -> Findings:
    """Every check of depth 1. What another version wrote in its own words is left unchecked."""
    checks = recompute.CHECKS
    unchecked = list(NOT_REPEATED)
    if bundle.packed_by == recompute.own_version():
        checks = (*checks, recompute.PROSE)
    else:
        unchecked.append(f"README.md, model_card.md and verify.py are from version {bundle.packed_by!r} and not compared")
    if bundle.left_out:
        unchecked.append("the adapter is not in the bundle: " + ", ".join(entry.name for entry in bundle.left_out))
    results = [(check.about, _failures(check, bundle)) for check in checks]
    return Findings(
        checked=tuple(about for about, failures in results if not failures),
        unchecked=tuple(unchecked),
        failures=tuple(failure for _, failures in results for failure in failures),
    )


def _failures(check: Check, bundle: Bundle) -> list[str]:
    """The failures of one check; a mistake it runs into is one, and so are values no file of ours would hold."""
    try:
        return list(check.failures(bundle))
    except errors.Mistake as error:
        return [error.message]
    except (ValueError, RecursionError) as error:
        return [f"{check.about}: cannot be computed ({error})"]


def _integrity(members: Mapping[str, bytes]) -> Findings:
    failures = standalone.integrity(members)
    checked = (
        f"{len(members)} files: names, sizes, sha256, Merkle root, manifest and seal",
        "the zip container: every byte",
    )
    return Findings(() if failures else checked, (), tuple(failures))


def _recompute(members: Mapping[str, bytes]) -> Findings:
    try:
        manifest = Manifest.parse(
            contents.decoded(members[standalone.MANIFEST], standalone.MANIFEST), source=standalone.MANIFEST
        )
        facts = contents.read(members)
    except errors.Mistake as error:
        return Findings((), NOT_REPEATED, (error.message,))
    except (ValueError, RecursionError) as error:
        return Findings((), NOT_REPEATED, (f"the files cannot be read ({error})",))
    found = deepen(Bundle(members, facts, manifest.left_out, manifest.packed_by))
    return found._replace(failures=(*found.failures, *_misnamed(manifest, contents.names(facts))))


def _misnamed(manifest: Manifest, names: Mapping[str, object]) -> Iterable[str]:
    for key, value in names.items():
        if getattr(manifest, key) != value:
            yield f"{standalone.MANIFEST}: {key} is {getattr(manifest, key)!r}, but the files say {value!r}"


def _report(depth: int, bundle_id: str | None, found: Findings) -> Report:
    return Report(
        ok=not found.failures,
        bundle_id=bundle_id,
        depth_reached=depth,
        checked=found.checked,
        unchecked=found.unchecked,
        failures=found.failures,
    )


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise errors.Invalid(f"{path} is not a file; name a bundle, not the folder it was unpacked to.", path=str(path))
        if path.exists() and path.stat().st_size > standalone.LARGEST:
            raise standalone.Refused(f"the file has more than {standalone.LARGEST} bytes.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise errors.NotFound(f"no file {str(path)!r}.", path=str(path)) from error
    except OSError as error:
        raise errors.Invalid(f"cannot read {str(path)!r}: {error.strerror}.", path=str(path)) from error
