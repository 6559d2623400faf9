"""What reading a dataset tells beyond its manifest: what the checker says of it, what repeats, how its lengths are spread."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tunix_rt import checking
from tunix_rt.checking import Summary
from tunix_rt.datasets import figures, nearness
from tunix_rt.datasets.duplicates import Duplicates, Repetition
from tunix_rt.traces import Trace
from tunix_rt.values import Value

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


class Examination(Value):
    """`check` is None when the checker was not asked. `percentiles` are those of PERCENTILES, each a length that occurs;
    `steps` says how many traces have that many steps."""

    check: Summary | None
    duplicates: Duplicates
    percentiles: dict[str, tuple[int, ...]]
    steps: dict[int, int]


def examine(
    traces: Iterable[Trace],
    *,
    judge: bool = True,
    threshold: float = nearness.THRESHOLD,
    update: Callable[[int], None] | None = None,
) -> Examination:
    """One pass; the checker looks at each trace alone. Keeps lengths and keys of the traces."""
    totals, repetition, steps = checking.Totals(), Repetition(), Counter[int]()
    lengths = array("q")

    def passing() -> Iterator[Trace]:
        for number, trace in enumerate(traces, start=1):
            if judge:
                totals.add(checking.check(trace, number, "free"))
            lengths.extend(figures.lengths([trace.prompt, trace.final_answer, *(step.content for step in trace.steps)]))
            steps[len(trace.steps)] += 1
            if update and number % 200 == 0:
                update(number)
            yield trace

    found = repetition.report(nearness.clusters(repetition.prompts(passing()), threshold), threshold)
    return Examination(
        check=totals.summary if judge else None,
        duplicates=found,
        percentiles={name: _percentiles(lengths[i :: len(figures.LENGTHS)]) for i, name in enumerate(figures.LENGTHS)},
        steps=dict(sorted(steps.items())),
    )


def _percentiles(lengths: "array[int]") -> tuple[int, ...]:
    return tuple(np.percentile(lengths, PERCENTILES, method="lower").tolist()) if lengths else ()
