"""From a selection and its parents to a dataset folder: `dataset.jsonl`, `rejects.jsonl` and a manifest that names the parents.

Every trace of every parent ends in one of the two files. The parents are read once, in the order they are named in; what their
filters leave is written down beside, so that memory holds keys of traces but never the traces.
"""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

from sqlalchemy import Connection

from tunix_rt import checking, errors, traces
from tunix_rt.datasets import nearness, selections
from tunix_rt.datasets.duplicates import content_key, text_key
from tunix_rt.datasets.figures import Tally, skeleton
from tunix_rt.datasets.folders import Dataset, Difference, about, stats
from tunix_rt.datasets.generation import canonical_prompt
from tunix_rt.datasets.manifests import DATA, MANIFEST, Manifest, Parent
from tunix_rt.datasets.partitions import sides
from tunix_rt.datasets.selections import META, Dropped, Select, Selection, known_field, look_up
from tunix_rt.datasets.staging import STORED, own_name, staging, store
from tunix_rt.traces import TRACE_VERSION, Trace, stored
from tunix_rt.values import atomic_writer, jsonl_line, merkle_root, sha256, sha256_file

REJECTS = "rejects.jsonl"
_LEFT = "left.jsonl"
_NAMES = 2_000  # field names remembered for the sake of a suggestion
Update = Callable[[int, int], None]


class Pool(NamedTuple):
    """A parent: what names it, what it allows, how many traces it has, and the traces, which are read once."""

    name: str
    digest: str
    licence: str
    splits: dict[str, int]
    size: int
    traces: Iterable[Trace]


def pool(dataset: Dataset, wanted: str) -> Pool:
    """A dataset as the parent that a selection names; Conflict when it gives a digest that is not the dataset's."""
    manifest = dataset.manifest
    _as_wanted(manifest.digest, wanted)
    return Pool(manifest.name, manifest.digest, manifest.licence, manifest.splits, manifest.count, traces.read(dataset.path))


def stored_pool(connection: Connection, wanted: str) -> Pool:
    """The database's traces as a parent, named by the hash of their ids in order; read while the connection is open."""
    count, digest = stored.count(connection), stored.digest(connection)
    _as_wanted(digest, wanted)
    return Pool(STORED, digest, "unknown", {"unsplit": count}, count, stored.stream(connection))


def _as_wanted(have: str, wanted: str) -> None:
    name, _, digest = wanted.partition("@")
    if not have.startswith(digest):
        raise errors.Conflict(
            f"{name!r} has the digest {have[:12]}, but the selection wants {digest}; it has been made anew since. "
            "Name the digest you mean, or leave it out.",
            name=name,
            have=have,
            want=digest,
        )


def derive(selection: Selection, pools: Sequence[Pool], folder: Path, update: Update | None = None) -> Manifest:
    """Make the selection's dataset in `folder`, or find it already there.

    Raises Conflict when the folder holds a dataset with other content, Invalid for a field that no trace has, for a training
    set drawn from an evaluation set, and when nothing is left.
    """
    own_name(selection.name)
    with staging(folder.parent) as stage:
        manifest = _make(selection, pools, stage, update)
        store(stage, manifest, folder)
    return manifest


def foresee(selection: Selection, pools: Sequence[Pool], datasets: Path, update: Update | None = None) -> Manifest:
    """What the selection would make now; it is made beside the `datasets` and removed again, so nothing is kept."""
    with staging(datasets) as stage:
        return _make(selection, pools, stage, update)


def derive_again(selection: Selection, pools: Sequence[Pool], folder: Path, update: Update | None = None) -> list[Difference]:
    """Compare the bytes of all files with what the selection makes now; an empty list means identical.

    Raises Conflict when a parent is not the one that the folder's dataset was made from.
    """
    there = stats(folder) if (folder / MANIFEST).is_file() else None
    for parent in (there.parents or ()) if there else ():
        now = next((pool.digest for pool in pools if pool.name == parent.name), None)
        if now is not None and now != parent.dataset_digest:
            raise errors.Conflict(
                f"{folder} was made from {parent.name!r} with the digest {parent.dataset_digest[:12]}, "
                f"which is not here any more: it has {now[:12]} now.",
                name=parent.name,
                have=now,
                want=parent.dataset_digest,
            )
    manifest = foresee(selection, pools, folder.parent, update)
    expected = manifest.files | {name: sha256(content) for name, content in about(manifest).items()}
    found = {name: sha256_file(folder / name) if (folder / name).is_file() else None for name in expected}
    return [Difference(name, digest, found[name]) for name, digest in expected.items() if found[name] != digest]


class _Left:
    """What the filters on single traces have left: keys of each trace, in the order of the file they are written to."""

    def __init__(self, select: Select) -> None:
        self._select = select
        self.ids = bytearray()
        self.parents = array("I")
        self.content: list[int] = []
        self.prompts: list[int] = []
        self.groups: list[int | None] = []
        self._seen: dict[str, dict[int, int]] = {}

    def __len__(self) -> int:
        return len(self.parents)

    def id(self, at: int) -> str:
        return self.ids[32 * at : 32 * at + 32].hex()

    def add(self, trace: Trace, parent: int) -> Dropped | None:
        """Keeps the trace, or says which earlier one it repeats."""
        prompt = canonical_prompt(trace.prompt)
        keys = {"content": content_key(trace.line()), "prompt": text_key(prompt)}
        by = "prompt" if self._select.dedup == "near" else self._select.dedup
        if by == "skeleton":
            keys["skeleton"] = text_key(skeleton(prompt))
        for key in dict.fromkeys(("content", by)):
            there = self._seen.setdefault(key, {}).setdefault(keys[key], len(self))
            if there < len(self):
                return Dropped("duplicate", key, self.id(there))
        self.ids += bytes.fromhex(trace.id)
        self.parents.append(parent)
        self.content.append(keys["content"])
        self.prompts.append(keys["prompt"])
        self.groups.append(_group(self._select, trace, keys["prompt"]))
        return None


def _group(select: Select, trace: Trace, prompt: int) -> int | None:
    """The key of the trace's group in a split; near-duplicate clusters get theirs when all prompts are known."""
    if not select.apart or select.apart.by in ("problem", "near"):
        return prompt
    found = look_up(trace.meta, _group_field(select.apart.by))
    return None if found is None else text_key(json.dumps(found, sort_keys=True, ensure_ascii=False))


def _group_field(by: str) -> str:
    return META + "group" if by == "template" else by


class _Rejects:
    """Writes down what is dropped, and counts it by code."""

    def __init__(self, file: IO[bytes], pools: Sequence[Pool]) -> None:
        self._file, self._pools = file, pools
        self.by_code: Counter[str] = Counter()

    def write(self, trace_id: str, parent: int, dropped: Dropped) -> None:
        self.by_code[dropped.code] += 1
        self._file.write(jsonl_line({"id": trace_id, "parent": self._pools[parent].name, **dropped._asdict()}))


def _make(selection: Selection, pools: Sequence[Pool], stage: Path, update: Update | None) -> Manifest:
    split = _split(selection, pools)
    left, counted, taken = _Left(selection.select), Tally(), Counter[int]()
    ids = bytearray()
    with ExitStack() as stack:
        rejects = _Rejects(stack.enter_context(atomic_writer(stage / REJECTS)), pools)
        with atomic_writer(stage / _LEFT) as file:
            considered = _filter(selection.select, pools, left, file, rejects, update)
        dropped = _among(selection, left, stage / _LEFT)
        data = stack.enter_context(atomic_writer(stage / DATA))
        for at, line in enumerate(_lines(stage / _LEFT)):
            if at in dropped:
                rejects.write(left.id(at), left.parents[at], dropped[at])
                continue
            data.write(line)
            counted.add(json.loads(line))
            ids += left.ids[32 * at : 32 * at + 32]
            taken[left.parents[at]] += 1
    if not counted.count:
        told = ", ".join(f"{code} {count}" for code, count in sorted(rejects.by_code.items()))
        text = f"selection {selection.name!r} leaves none of {considered} traces ({told})."
        raise errors.Invalid(text, dropped=dict(rejects.by_code))
    return Manifest(
        name=selection.name,
        version=selection.version,
        description=selection.description or f"Selected from {', '.join(pool.name for pool in pools)}.",
        licence=" AND ".join(sorted({pool.licence for pool in pools})),
        seed=selection.seed,
        count=counted.count,
        splits={split: counted.count},
        schema_version=TRACE_VERSION,
        selection=selection,
        parents=tuple(
            Parent(name=p.name, dataset_digest=p.digest, count=p.size, taken=taken[at]) for at, p in enumerate(pools)
        ),
        dropped=dict(sorted(rejects.by_code.items())),
        generators={},
        composition=counted.composition,
        statistics=counted.figures,
        files={name: sha256_file(stage / name) for name in (DATA, REJECTS)},
        merkle_root=merkle_root(ids[at : at + 32].hex() for at in range(0, len(ids), 32)),
    )


def _split(selection: Selection, pools: Sequence[Pool]) -> str:
    """What the new dataset is for. Nothing makes training data out of an evaluation set."""
    theirs = {split for pool in pools for split, count in pool.splits.items() if count}
    wanted = selection.select.apart.side if selection.select.apart else selection.split
    if wanted == "train" and "eval" in theirs:
        names = ", ".join(repr(pool.name) for pool in pools if pool.splits.get("eval"))
        raise errors.Invalid(
            f"selection {selection.name!r} would make training data of the evaluation set {names}; train on something else.",
            name=selection.name,
        )
    return wanted or (theirs.pop() if len(theirs) == 1 else "unsplit")


def _filter(
    select: Select, pools: Sequence[Pool], left: _Left, file: IO[bytes], rejects: _Rejects, update: Update | None
) -> int:
    """Ask the filters that look at one trace. What is left goes to the file; returns how many were looked at."""
    names: set[str] = set()
    asked = set(select.where)
    total, done = sum(pool.size for pool in pools), 0
    for parent, source in enumerate(pools):
        for trace in source.traces:
            done += 1
            asked -= {field for field in asked if look_up(trace.meta, field) is not None}
            if asked and len(names) < _NAMES:
                names.update(selections.fields(trace.meta))
            dropped = selections.refusal(select, trace)
            if dropped is None and select.judges:
                dropped = selections.judgement(select, checking.check(trace, done, "free"))
            dropped = dropped or left.add(trace, parent)
            if dropped:
                rejects.write(trace.id, parent, dropped)
            else:
                file.write(jsonl_line(trace.line()))
            if update and done % 500 == 0:
                update(done, total)
    for field in sorted(asked):
        known_field(field, names)
    return done


def _among(selection: Selection, left: _Left, path: Path) -> dict[int, Dropped]:
    """Which of the traces that are left the others push out: near-duplicates, the other side of a split, the number."""
    select = selection.select
    dropped: dict[int, Dropped] = {}
    clusters: list[int] | None = None
    if select.dedup == "near":
        clusters = _clusters(select, path)
        dropped = {at: Dropped("duplicate", "near", left.id(label)) for at, label in enumerate(clusters) if label != at}
    if select.apart:
        dropped |= _other_side(selection, left, [at for at in range(len(left)) if at not in dropped], path)
    kept = [at for at in range(len(left)) if at not in dropped]
    if select.sample and select.sample < len(kept):
        drawn = sorted(kept, key=lambda at: (_rank(selection.seed, left.content[at]), at))[select.sample :]
        dropped |= {at: Dropped("not_sampled", "sample", select.sample) for at in drawn}
    if select.limit:
        dropped |= {at: Dropped("over_limit", "limit", select.limit) for at in kept[select.limit :]}
    return dropped


def _other_side(selection: Selection, left: _Left, kept: list[int], path: Path) -> dict[int, Dropped]:
    apart = selection.select.apart
    assert apart is not None
    groups = [left.groups[at] for at in kept]
    if apart.by == "near":
        labels = _clusters(selection.select, path)
        smallest: dict[int, int] = {}
        for at in kept:
            smallest[labels[at]] = min(left.prompts[at], smallest.get(labels[at], left.prompts[at]))
        groups = [smallest[labels[at]] for at in kept]
    known = [group for group in groups if group is not None]
    if len(known) < len(groups):
        raise errors.Invalid(
            f"{len(groups) - len(known)} of {len(groups)} traces have no {_group_field(apart.by)!r} to split by; "
            "split by problem or near instead, or select the traces that have it first.",
            field=_group_field(apart.by),
        )
    chosen = sides(known, [left.prompts[at] for at in kept], selection.seed, apart.eval_share)
    if len(set(chosen)) < 2:
        where = f"on the {chosen[0]} side" if chosen else "nowhere"
        text = f"all {len(set(known))} groups by {apart.by} fall {where}; try another seed or share, or smaller groups."
        raise errors.Invalid(text, by=apart.by)
    return {at: Dropped("other_side", apart.by, side) for at, side in zip(kept, chosen, strict=True) if side != apart.side}


def _clusters(select: Select, path: Path) -> list[int]:
    prompts = (canonical_prompt(json.loads(line)["prompt"]) for line in _lines(path))
    labels: list[int] = nearness.clusters(prompts, select.threshold).labels.tolist()
    return labels


def _rank(seed: int, content: int) -> bytes:
    return blake2b(f"sample/{seed}/{content}".encode(), digest_size=16).digest()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
