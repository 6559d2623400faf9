"""Pack a run, its two evaluations and their comparison into one zip: the same inputs give the same bytes.

Every file is copied because a run wrote it, or is written from such facts; a missing one is an error. Before anything is
written the bundle is verified to depth 1, so one that does not hold together is never made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import comparisons, datasets, errors, evals, jobs, settings, values
from tunix_rt.comparisons import Comparison
from tunix_rt.evals.looks import Look, tuned
from tunix_rt.evidence import contents, recompute, secrets, signing, standalone
from tunix_rt.evidence.contents import (
    DATASET_FILES,
    EVALUATION_FILES,
    LOOKS,
    REJECTS,
    TENSORS,
    TENSORS_CONFIG,
    Facts,
    FileEntry,
    Looks,
    Manifest,
)
from tunix_rt.evidence.recompute import Bundle
from tunix_rt.evidence.verifying import deepen
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings

ADAPTER_LIMIT = 64 * 1024 * 1024
RUN_FILES = ("config.json", "metrics.jsonl", "environment.json")


class Gathered(NamedTuple):
    """Every member of a bundle but signature and seal, in no order, and what they say."""

    members: dict[str, bytes]
    facts: Facts
    manifest: Manifest


def pack_run(workspace: Settings, run: Trained, out: Path, key: Path | None = None) -> Manifest:
    """Pack an evaluated run of the workspace: its newest evaluation, that of its base, every look at the evaluation set, and
    none of the environment's secrets. See `pack`."""
    return _seal(_gather_compared(workspace, run, *evals.of_run(workspace, run), ADAPTER_LIMIT), out, key)


def gather_run(workspace: Settings, run: Trained) -> Gathered:
    """What `pack_run` would pack, for forms that hold one dataset to train on: `errors.Invalid` for a curriculum."""
    gathered = _gather_compared(workspace, run, *evals.of_run(workspace, run), ADAPTER_LIMIT)
    if gathered.facts.later:
        raise errors.Invalid(
            f"run {run.run_id} was trained on several datasets, one after another; a submission holds one. Pack its evidence.",
            field="stages",
        )
    return gathered


def pack_compared(
    workspace: Settings, run: Trained, base: Path, tuned_eval: Path, out: Path, adapter_limit_bytes: int = ADAPTER_LIMIT
) -> Manifest:
    """Pack a run of the workspace with an evaluation that is named, and that of its base."""
    return _seal(_gather_compared(workspace, run, base, tuned_eval, adapter_limit_bytes), out, None)


def _gather_compared(workspace: Settings, run: Trained, base: Path, tuned_eval: Path, adapter_limit_bytes: int) -> Gathered:
    compared = comparisons.compare(comparisons.load(base), comparisons.load(tuned_eval))
    inputs = jobs.read(Path(run.dir))[1]
    return gather(
        Path(run.dir),
        base,
        tuned_eval,
        compared,
        inputs.dataset,
        datasets.find(workspace, compared.evalset).path.parent,
        adapter_limit_bytes=adapter_limit_bytes,
        later_dataset_dirs=inputs.stages[1:],
        looks=evals.looks(workspace, compared.evalset_digest),
        known_secrets=settings.secrets(),
    )


def pack(
    run_dir: Path,
    base_eval_dir: Path,
    tuned_eval_dir: Path,
    comparison: Comparison,
    train_dataset_dir: Path,
    eval_dataset_dir: Path,
    out: Path,
    *,
    key: Path | None = None,
    **options: Any,
) -> Manifest:
    """Write the bundle to `out` and return its manifest. `key` is a private key to sign with; the `options` are `gather`'s."""
    folders = (run_dir, base_eval_dir, tuned_eval_dir, comparison, train_dataset_dir, eval_dataset_dir)
    return _seal(gather(*folders, **options), out, key)


def gather(
    run_dir: Path,
    base_eval_dir: Path,
    tuned_eval_dir: Path,
    comparison: Comparison,
    train_dataset_dir: Path,
    eval_dataset_dir: Path,
    *,
    adapter_limit_bytes: int = ADAPTER_LIMIT,
    later_dataset_dirs: Sequence[Path] = (),
    looks: Sequence[Look] = (),
    known_secrets: Sequence[str] = (),
) -> Gathered:
    """The members of a bundle, verified to depth 1. `later_dataset_dirs` are those of a curriculum's later stages.

    The adapter is left out, and named by its digest, when its two files exceed `adapter_limit_bytes`. NotFound names a file
    that is missing; Invalid a path of this machine or a secret inside a file, or what does not hold together. `looks` are
    those at the evaluation set, for `looks.json`.
    """
    trained_on = {contents.stage(n): folder for n, folder in enumerate((train_dataset_dir, *later_dataset_dirs), start=1)}
    sources = _sources(run_dir, base_eval_dir, tuned_eval_dir, {**trained_on, "evalset": eval_dataset_dir})
    folders = (run_dir, base_eval_dir, tuned_eval_dir, *trained_on.values(), eval_dataset_dir)
    members = {name: _read(path) for name, path in sources.items()}
    members["run.json"] = _published(run_dir / "run.json")
    members["comparison.json"] = values.pretty(comparison.model_dump(mode="json")).encode()
    adapter = {name: run_dir / name for name in (TENSORS, TENSORS_CONFIG)}
    fits = sum(map(_size, adapter.values())) <= adapter_limit_bytes
    members |= {name: _read(path) for name, path in adapter.items()} if fits else {}
    left_out = () if fits else tuple(_named(name, path) for name, path in adapter.items())
    members |= {LOOKS: _looks(looks)} if looks else {}
    facts = contents.read(members)
    members |= recompute.written(facts, left_out)
    secrets.refuse_paths(members, folders)
    secrets.refuse(members, known_secrets)
    _refuse_contradictions(Bundle(members, facts, left_out, recompute.own_version()))
    manifest = _manifest(facts, left_out, members)
    members[standalone.MANIFEST] = standalone.pretty(manifest.model_dump(mode="json"))
    return Gathered(members, facts, manifest)


def _seal(gathered: Gathered, out: Path, key: Path | None) -> Manifest:
    members = dict(gathered.members)
    if key is not None:
        members[standalone.SIGNATURE] = signing.sign(members[standalone.MANIFEST], key)
    members[standalone.SEAL] = standalone.seal(members)
    _write(out, members)
    return gathered.manifest


def _sources(run: Path, base: Path, tuned: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    named = {name: run / name for name in RUN_FILES}
    for folder, path in (("base", base), ("tuned", tuned)):
        named |= {f"{folder}/{name}": path / name for name in EVALUATION_FILES}
    for folder, path in data.items():
        rejects = (REJECTS,) if (path / REJECTS).is_file() else ()
        named |= {f"{folder}/{name}": path / name for name in (*DATASET_FILES, *rejects)}
    return named


def _size(path: Path) -> int:
    if not path.is_file():
        raise errors.NotFound(f"{path} is missing; a bundle cannot be packed without it.", path=str(path))
    return path.stat().st_size


def _read(path: Path) -> bytes:
    _size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.Invalid(f"cannot read {str(path)!r}: {error.strerror}.", path=str(path)) from error


def _named(name: str, path: Path) -> FileEntry:
    return FileEntry(name=name, bytes=_size(path), sha256=values.sha256_file(path))


def _published(path: Path) -> bytes:
    """`run.json` without the folder it lies in."""
    row = contents.decoded(_read(path), str(path))
    return values.pretty({key: value for key, value in row.items() if key != "dir"}).encode()


def _looks(looks: Sequence[Look]) -> bytes:
    """Every look at the evaluation set, as the packer's workspace counted them."""
    counted = Looks(looks=len(looks), looks_at_runs=tuned(looks), data=tuple(looks))
    return standalone.pretty(counted.model_dump(mode="json"))


def _refuse_contradictions(bundle: Bundle) -> None:
    for failure in deepen(bundle).failures:
        raise errors.Invalid(f"these files do not belong together, so they are not packed: {failure}.")


def _manifest(facts: Facts, left_out: tuple[FileEntry, ...], members: Mapping[str, bytes]) -> Manifest:
    files = _entries(members)
    row = {
        **contents.names(facts),
        "packed_by": recompute.own_version(),
        "left_out": left_out,
        "files": files,
        "merkle_root": standalone.merkle_root([standalone.leaf(entry.model_dump()) for entry in files]),
    }
    return Manifest.parse(row, source=standalone.MANIFEST)


def _entries(members: Mapping[str, bytes]) -> tuple[FileEntry, ...]:
    ordered = ((name, members[name]) for name in standalone.order(members))
    return tuple(FileEntry(name=name, bytes=len(data), sha256=standalone.sha256(data)) for name, data in ordered)


def _write(out: Path, members: Mapping[str, bytes]) -> None:
    size = sum(map(len, members.values()))
    if size > standalone.LARGEST * 0.99:
        raise errors.Invalid(f"the bundle would hold {size} bytes; at most {standalone.LARGEST} can be verified.")
    with values.atomic_writer(out) as file:
        for piece in standalone.serialise(members):
            file.write(piece)
