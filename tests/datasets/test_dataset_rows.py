"""A row is what its trace would be, and remembering a step never lets another one pass."""

from itertools import product
from typing import Any

import pytest

from tunix_rt import tasks
from tunix_rt.claims import Statement
from tunix_rt.datasets import Tally, rows
from tunix_rt.tasks import CATALOGUE, LEVELS, TRANSFORMS, Draft
from tunix_rt.tasks.core import Line
from tunix_rt.traces import Trace
from tunix_rt.values import jsonl_line

META: dict[str, Any] = {"task": "sums", "level": 1}
SUM: Statement = ("add", (1, 2), 3)


def draft(content: str = "1 + 2 = 3", claim: Statement = SUM, answer: str = "3") -> Draft:
    return Draft("plain", "What is 1 + 2?", "1 + 2?", (Line("compute", content, (claim,)),), answer)


def test_rows_are_the_bytes_and_ids_of_their_traces() -> None:
    encode, counted, direct = rows.encoder(("tier",)), Tally(("tier",)), Tally(("tier",))
    for (name, level), transform in product(product(CATALOGUE, LEVELS), (None, *TRANSFORMS)):
        task = CATALOGUE[name]
        made = tasks.draft(task, level, 7, 3, transform)
        row = encode(made, {**tasks.meta(made, task, level, "7/3", transform), "tier": "iid"})
        trace = Trace.model_validate_json(row.written)
        assert row.written == jsonl_line(trace.line())
        assert row.id.hex() == trace.id
        assert trace.model_copy(update={"meta": {}}) == tasks.item(task, level, 7, 3, transform).model_copy(update={"meta": {}})
        counted.take(row.measured)
        direct.add(trace.line())
    assert (counted.figures, counted.composition) == (direct.figures, direct.composition)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (draft(claim=("add", (1, 2), 4)), "it is 3"),
        (draft(content="1 plus two is 3"), "does not show 2"),
        (draft(answer="4"), "does not state the answer '4'"),
    ],
)
def test_a_step_like_one_that_was_proven_is_proven_itself(wrong: Draft, problem: str) -> None:
    encode = rows.encoder(())
    encode(draft(), META)
    encode(draft(), META)
    for _ in range(2):
        with pytest.raises(rows.Unproven, match=problem):
            encode(wrong, META)
