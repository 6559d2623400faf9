"""A row is what its trace would be."""

from itertools import product

from tunix_rt import tasks
from tunix_rt.datasets import rows, tally
from tunix_rt.datasets.figures import Tally, meta_keys
from tunix_rt.tasks import CATALOGUE, LEVELS, TRANSFORMS
from tunix_rt.traces import Trace
from tunix_rt.values import jsonl_line


def test_rows_are_the_bytes_ids_and_counts_of_their_traces() -> None:
    counted, made = Tally(), []
    for task, level, transform in product(CATALOGUE.values(), LEVELS, (None, *TRANSFORMS)):
        line = tasks.line(tasks.draft(task, level, 7, 3, transform), task, level, "7/3", transform)
        trace, row = Trace.model_validate(line), rows.row(line, meta_keys(()))
        assert (row.written, row.id.hex()) == (jsonl_line(trace.line()), trace.id)
        counted.take(row.measured)
        made.append(trace)
    direct = tally(made)
    assert (counted.figures, counted.composition) == (direct.figures, direct.composition)
