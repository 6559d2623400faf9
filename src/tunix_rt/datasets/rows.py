"""A trace as its dataset writes it, without the cost of a `Trace`: encoded, named and measured.

Whoever keeps rows waiting keeps a few bytes of each and none of the values they were made of, so that their memory, still in
the processor's cache, serves for the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tunix_rt.datasets.figures import Measured, measure
from tunix_rt.traces import id_of
from tunix_rt.values import jsonl_line_exact


class Row(NamedTuple):
    """`written` is the trace's line in the file, `id` its sha256."""

    written: bytes
    id: bytes
    measured: Measured


def row(line: Mapping[str, Any], keys: Sequence[str]) -> Row:
    """The row of a JSONL object; `keys` are the `meta_keys` of its dataset."""
    return Row(jsonl_line_exact(line), bytes.fromhex(id_of(line)), measure(keys, line))
