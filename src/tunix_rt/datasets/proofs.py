"""Proof that one trace is in a dataset: the hashes from its id up to the Merkle root that the manifest states (RFC 6962).

Whoever knows the root, from a manifest or an evidence bundle, can check a proof of some twenty hashes without the dataset.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tunix_rt import errors, traces
from tunix_rt.datasets.folders import Dataset
from tunix_rt.traces import Trace
from tunix_rt.values import Value, merkle_climb, merkle_path

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Proof(Value):
    """`leaf` is the id of the trace at place `index` of `count`, counted from 0 in file order; `siblings` are lowest first.

    `dataset` names where the proof was made and proves nothing; `root` does, once it is known to be that dataset's.
    """

    proof_version: Literal["1.0"] = "1.0"
    dataset: str
    leaf: Sha256
    index: int = Field(ge=0)
    count: int = Field(ge=1)
    siblings: tuple[Sha256, ...]
    root: Sha256

    def holds(self) -> bool:
        """Whether the leaf, its place and the siblings give the root."""
        return merkle_climb(self.leaf, self.index, self.count, self.siblings) == self.root

    def verify(self, root: str) -> None:
        """Raises Tampered unless the proof holds and leads to `root`."""
        if not self.holds():
            raise errors.Tampered(f"the proof of trace {self.leaf[:12]} does not hold: its hashes do not give its root.")
        if self.root != root:
            raise errors.Tampered(
                f"the proof of trace {self.leaf[:12]} leads to root {self.root[:12]}, not to {root[:12]}: another dataset's.",
                expected=root,
                found=self.root,
            )

    def about(self, trace: Trace | None) -> None:
        """Raises Tampered unless the leaf is the id of this trace."""
        if trace is None or trace.id != self.leaf:
            told = "no trace" if trace is None else f"trace {trace.id[:12]}"
            raise errors.Tampered(f"the proof is about trace {self.leaf[:12]}, but {told} was given.", expected=self.leaf)


def prove(dataset: Dataset, trace_id: str) -> Proof:
    """The proof for the trace whose id is `trace_id`, or the only one whose id starts with it."""
    manifest = dataset.manifest
    ids = [trace.id for trace in traces.read(dataset.path)]
    found = [index for index, leaf in enumerate(ids) if leaf.startswith(trace_id)]
    if not found:
        raise errors.NotFound(
            f"dataset {manifest.name!r} holds no trace with id {trace_id!r}.", dataset=manifest.name, id=trace_id
        )
    if len({ids[index] for index in found}) > 1:
        raise errors.Invalid(
            f"{len(found)} traces of {manifest.name!r} have an id that starts with {trace_id!r}; give more of it."
        )
    index = found[0]
    path = merkle_path(ids, index)
    return Proof(
        dataset=manifest.name, leaf=ids[index], index=index, count=len(ids), siblings=tuple(path), root=manifest.merkle_root
    )
