"""A dataset as the folder a trainer reads; `export.json`, written last, names the dataset and every file's hash.

Exports that set a right reply against a wrong one take the wrong one from the seeded error injector, so the mistake is known. A
trace that the checker finds wrong is never stated as right, and one without a place for a mistake has no wrong version: both
are listed in `rejects.jsonl` and counted.
"""

import importlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tunix_rt import checking, errors, formats, traces
from tunix_rt.checking import injecting
from tunix_rt.datasets import cards
from tunix_rt.datasets.folders import Dataset
from tunix_rt.formats import exports, replies
from tunix_rt.formats.exports import About, Export, Item
from tunix_rt.formats.feedback import Mistaken
from tunix_rt.traces import Trace
from tunix_rt.values import Value, sha256_file, write_bytes, write_json, write_jsonl

MANIFEST = "export.json"
REJECTS = "rejects.jsonl"


class Exported(Value):
    """What an export folder holds, and of which dataset.

    `count` is the number of traces in it, `rows` that of its rows; `rejected` traces are in `rejects.jsonl`, `by_code`. `seed`
    chose the mistakes of paired rows, `mistakes` counts them by kind, and `unchecked` is how many steps stated as right the
    checker could not check.
    """

    export_version: Literal["1.0"] = "1.0"
    format: str
    dataset: str
    dataset_digest: str
    count: int
    rows: int
    rejected: int = 0
    by_code: dict[str, int] = Field(default_factory=dict)
    seed: int | None = None
    mistakes: dict[str, int] = Field(default_factory=dict)
    unchecked: int | None = None
    files: dict[str, str] = Field(default_factory=dict)


class _Pairing:
    """Traces with their wrong versions, and what became of the others."""

    def __init__(self, seed: int) -> None:
        self.seed, self.taken, self.unchecked = seed, 0, 0
        self.mistakes: Counter[str] = Counter()
        self.rejects: list[dict[str, Any]] = []

    def items(self, dataset: Dataset, export: Export) -> Iterator[Item]:
        for line, trace in enumerate(traces.read(dataset.path), start=1):
            found = checking.check(trace, line)
            if found.wrong:
                where = f"step {found.first_wrong}" if found.first_wrong else "the answer"
                self._reject(line, trace, "wrong_step", f"the checker finds {where} wrong, so it is not exported as right.")
                continue
            made = mistaken(trace, self.seed)
            item = Item(line, trace, made)
            if made is None:
                self._reject(
                    line,
                    trace,
                    "no_mistake",
                    "the error injector has no place for a mistake in it, so it has no wrong version.",
                )
            if made is not None or export.rows(item):
                self.taken += 1
                self.unchecked += sum(step.verdict == "unchecked" for step in found.steps)
                self.mistakes.update([made.kind] if made else [])
                yield item

    def _reject(self, line: int, trace: Trace, code: str, message: str) -> None:
        self.rejects.append({"line": line, "id": trace.id, "code": code, "message": message})


def mistaken(trace: Trace, seed: int) -> Mistaken | None:
    """The trace with one mistake in it, of the first kind that fits in a seeded order; None when none does."""
    for kind in injecting.Draws(f"{seed}/kind/{trace.id}").shuffled(list(injecting.KINDS)):
        made = injecting.inject(trace, seed, kind)
        if made is not None and _writable(made.trace):
            return Mistaken(made.trace, kind, made.label.step)
    return None


def _writable(trace: Trace) -> bool:
    try:
        replies.write(trace)
    except formats.BadRow:
        return False
    return True


def export(dataset: Dataset, to: str, out: Path, *, seed: int = 0, owner: str | None = None) -> Exported:
    """Write the dataset as format `to` into the folder `out`, which must be new or empty; nothing is left after a failure.

    `seed` chooses the mistakes of paired formats; `owner` is the Kaggle account of the `kaggle` format. Raises NotFound for an
    unknown format, Conflict for a folder in use, Invalid naming a trace the format cannot hold.
    """
    if to not in exports.NAMES:
        raise errors.NotFound(f"no export format {to!r}.{errors.nearest(to, exports.NAMES)}", format=to)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.Conflict(f"{str(out)!r} is not empty; name a new folder.", path=str(out))
    fresh = not out.exists()
    try:
        written = _write(dataset, to, out, seed, owner)
        files = {str(path.relative_to(out)): sha256_file(path) for path in sorted(out.rglob("*")) if path.is_file()}
        made = written.model_copy(update={"files": files})
        write_json(out / MANIFEST, made.model_dump(mode="json"))
    except BaseException:
        for path in out.iterdir() if out.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if fresh and out.exists():
            out.rmdir()
        raise
    return made


def _write(dataset: Dataset, to: str, out: Path, seed: int, owner: str | None) -> Exported:
    """Everything but the manifest, which still lacks the files' hashes."""
    manifest = dataset.manifest
    about = About(manifest.name, manifest.digest, manifest.description, manifest.licence, manifest.count, owner)
    if to == exports.PARQUET:
        split = cards.hub_split(next(iter(manifest.splits)))
        path = out / "data" / f"{split}-00000-of-00001.parquet"
        importlib.import_module("tunix_rt.formats.parquet").write(traces.read(dataset.path), path)
        write_bytes(out / "README.md", cards.readme(manifest, f"data/{split}-*.parquet").encode())
        return _exported(dataset, to, manifest.count, manifest.count)
    chosen = exports.EXPORTS[to]
    if chosen.paired:
        return _write_paired(dataset, chosen, about, out, seed)
    items = (Item(line, trace) for line, trace in enumerate(traces.read(dataset.path), start=1))
    return _exported(dataset, to, manifest.count, exports.write(chosen, formats.named(chosen.reads), about, items, out))


def _write_paired(dataset: Dataset, chosen: Export, about: About, out: Path, seed: int) -> Exported:
    pairing = _Pairing(seed)
    rows = exports.write(chosen, formats.named(chosen.reads), about, pairing.items(dataset, chosen), out)
    by_code = dict(sorted(Counter(found["code"] for found in pairing.rejects).items()))
    if not rows:
        text = f"no trace of {about.name!r} can be exported as {chosen.name}: {by_code}; see `tunix-rt check {about.name}`."
        raise errors.Invalid(text, by_code=by_code)
    if pairing.rejects:
        write_jsonl(out / REJECTS, pairing.rejects)
    return _exported(
        dataset,
        chosen.name,
        pairing.taken,
        rows,
        rejected=len(pairing.rejects),
        by_code=by_code,
        seed=seed,
        mistakes=dict(sorted(pairing.mistakes.items())),
        unchecked=pairing.unchecked,
    )


def _exported(dataset: Dataset, to: str, count: int, rows: int, **more: Any) -> Exported:
    manifest = dataset.manifest
    return Exported(format=to, dataset=manifest.name, dataset_digest=manifest.digest, count=count, rows=rows, **more)
