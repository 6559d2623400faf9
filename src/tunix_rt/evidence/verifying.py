"""Verify a bundle. Nothing is unpacked outside a temporary folder; whatever the file holds, the answer is a report.

Depth 0 accounts for every byte and the signature. Depth 1 computes every number again. Depth 2 makes the datasets again and
tokenises again. Depth 3 lets the models answer a sample again. A depth builds on those before it and is reached only when all
of it could be done: a report never says more than was done, and what was left is part of it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors
from tunix_rt.evidence import contents, recompute, rederive, reinfer, signing, standalone
from tunix_rt.evidence.contents import Manifest
from tunix_rt.evidence.recompute import Bundle, Check
from tunix_rt.evidence.rederive import Outcome
from tunix_rt.evidence.reinfer import Sample
from tunix_rt.settings import Settings
from tunix_rt.values import Value

DEEPEST = 3
NO_SCORING = "no answer was scored again and no number computed again"
NO_REDERIVING = ("the datasets were not built again from their recipes, nor tokenised again",)
NO_BASE = ("the base model's weights are not in the bundle and were not hashed",)
NO_ANSWERS = ("no answer was generated again",)
NEVER = (
    "training was not repeated",
    "times, memory, throughput, labels and the environment stand as the run recorded them",
)
UNSIGNED = "nothing is signed: the bundle id says that two copies are one, not who made them"
LEFT = {0: (*NO_REDERIVING, *NO_BASE, *NO_ANSWERS, *NEVER), 2: (*NO_ANSWERS, *NEVER), 3: NEVER}
NOT_REPEATED = LEFT[0]


class Report(Value):
    """`bundle_id` is the sha256 of the manifest, the name to publish; None when there is no bundle to name. `signed_by` is
    the id of the key whose signature verified, `trusted` whether it is the key that was asked for."""

    ok: bool
    bundle_id: str | None
    depth_reached: int
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    failures: tuple[str, ...]
    signed_by: str | None = None
    trusted: bool = False


class Findings(NamedTuple):
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    failures: tuple[str, ...]


def verify(
    path: Path,
    depth: int = 1,
    *,
    settings: Settings | None = None,
    key: Path | None = None,
    sample: Sample | None = None,
) -> Report:
    """Check the bundle at `path`. A bundle that fails is a report; a file that is not there, NotFound.

    Depths 2 and 3 need `settings`: the workspace whose models they use. `key` is the public key that has to have signed.
    """
    if depth not in range(DEEPEST + 1):
        raise errors.Invalid(f"depth {depth!r} is not known; this version verifies to depth {DEEPEST}.", depth=depth)
    if depth > 1 and settings is None:
        raise errors.Invalid(f"depth {depth} needs a workspace for the base model.", depth=depth)
    wanted = signing.trusted(key) if key is not None else None
    try:
        members = standalone.parse(_read(path))
    except standalone.Refused as error:
        return _report(0, None, Findings((), NOT_REPEATED, (str(error),)))
    bundle_id = standalone.sha256(members.get(standalone.MANIFEST, b""))
    found, signed_by = _integrity(members, wanted)
    about = {"signed_by": signed_by, "trusted": wanted is not None and signed_by == wanted}
    if found.failures or depth == 0:
        left = (NO_SCORING, *NOT_REPEATED, *found.unchecked)
        return _report(0, bundle_id, found._replace(unchecked=left)).model_copy(update=about)
    deeper, bundle = _recompute(members)
    report = _report(1, bundle_id, _joined(found, deeper)).model_copy(update=about)
    if not report.ok or depth == 1 or bundle is None or settings is None:
        return report
    return _deepest(report, bundle, settings, depth, sample or Sample())


def _deepest(report: Report, bundle: Bundle, settings: Settings, depth: int, sample: Sample) -> Report:
    """Depths 2 and 3 on top of a report that holds to depth 1; each is reached when nothing of it was left undone."""
    report = _added(report, rederive.rederive(bundle, settings), 2)
    if depth == 3 and report.ok:
        report = _added(report, reinfer.reinfer(bundle, settings, sample.drawn()), 3)
    return report


def _added(report: Report, found: Outcome, depth: int) -> Report:
    whole = not found.unchecked
    reached = depth if report.depth_reached == depth - 1 and (whole or found.failures) else report.depth_reached
    done = {2: (*NO_REDERIVING, *NO_BASE), 3: NO_ANSWERS}[depth] if whole else ()
    return report.model_copy(
        update={
            "ok": report.ok and not found.failures,
            "depth_reached": reached,
            "checked": (*report.checked, *found.checked),
            "unchecked": (*(text for text in report.unchecked if text not in done), *found.unchecked, *found.open),
            "failures": (*report.failures, *found.failures),
        }
    )


def _joined(one: Findings, other: Findings) -> Findings:
    return Findings(*(first + second for first, second in zip(one, other, strict=True)))


def deepen(bundle: Bundle) -> Findings:
    """Every check of depth 1. What another version wrote in its own words is left unchecked."""
    checks = recompute.CHECKS
    unchecked = list(NOT_REPEATED)
    if bundle.packed_by == recompute.own_version():
        checks = (*checks, recompute.PROSE)
    else:
        unchecked.append(
            f"README.md, model_card.md, sbom.json and verify.py are from version {bundle.packed_by!r} and not compared"
        )
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
    except contents.UNFIT as error:
        return [f"{check.about}: cannot be computed ({type(error).__name__}: {error})"]


def _integrity(members: Mapping[str, bytes], wanted: str | None) -> tuple[Findings, str | None]:
    failures = standalone.integrity(members)
    checked = (
        f"{len(members)} files: names, sizes, sha256, Merkle root, manifest and seal",
        "the zip container: every byte",
    )
    if failures:
        return Findings((), (), tuple(failures)), None
    return _signature(members, wanted, checked)


def _signature(members: Mapping[str, bytes], wanted: str | None, checked: tuple[str, ...]) -> tuple[Findings, str | None]:
    if standalone.SIGNATURE not in members:
        failures = (f"the bundle is not signed; the key {wanted[:12]} was asked for",) if wanted else ()
        return Findings(checked, (UNSIGNED,), failures), None
    signed = signing.check(members[standalone.SIGNATURE], members[standalone.MANIFEST])
    if signed.problem or signed.key_id is None:
        return Findings(checked, (), (str(signed.problem),)), None
    if wanted is None:
        left = f"signed by the key {signed.key_id}, which was held against no key you trust (--key)"
        return Findings(checked, (left,), ()), signed.key_id
    if signed.key_id != wanted:
        text = f"signed by the key {signed.key_id[:12]}, not by {wanted[:12]} as was asked for"
        return Findings(checked, (), (text,)), signed.key_id
    return Findings((*checked, f"the Ed25519 signature of the key {wanted}"), (), ()), signed.key_id


def _recompute(members: Mapping[str, bytes]) -> tuple[Findings, Bundle | None]:
    try:
        manifest = Manifest.parse(
            contents.decoded(members[standalone.MANIFEST], standalone.MANIFEST), source=standalone.MANIFEST
        )
        facts = contents.read(members)
    except errors.Mistake as error:
        return Findings((), NOT_REPEATED, (error.message,)), None
    except contents.UNFIT as error:
        return Findings((), NOT_REPEATED, (f"the files cannot be read ({type(error).__name__}: {error})",)), None
    bundle = Bundle(members, facts, manifest.left_out, manifest.packed_by)
    found = deepen(bundle)
    return found._replace(failures=(*found.failures, *_misnamed(manifest, contents.names(facts)))), bundle


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
