"""Several answers to each item: pass@k, mean@k and maj@k of an evaluation that was sampled.

A line of `generations.jsonl` that carries `sample` (from 0) is one of several attempts at its item; without it there is one.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunix_rt import errors, scoring, statistics, values
from tunix_rt.evals import rescoring
from tunix_rt.scoring import Judgement
from tunix_rt.settings import Settings


def attempts(settings: Settings, folder: Path, ks: Sequence[int] | None = None) -> dict[str, Any]:
    """For each k a mean over items with its clustered interval; by the strict reading.

    `errors.Invalid` when items have different numbers of attempts, or fewer than the largest k.
    """
    known = rescoring.items(settings, folder)
    form = rescoring.format_of(folder)
    judged: dict[str, list[Judgement]] = defaultdict(list)
    for _, row in values.read_jsonl(folder / "generations.jsonl"):
        trace = known[str(row["item"])]
        judged[trace.id].append(scoring.judge(trace.final_answer, str(row["output"]), str(row["finish"]), form))
    sizes = {len(found) for found in judged.values()}
    if len(sizes) != 1:
        raise errors.Invalid(f"{folder}: items have {sorted(sizes)} attempts; every item needs the same number.")
    n = sizes.pop()
    wanted = list(ks) if ks else [k for k in (1, 2, 4, 8, 16, 32, 64) if k <= n]
    if max(wanted) > n:
        raise errors.Invalid(f"{folder} has {n} attempts an item; pass@{max(wanted)} needs more.", k=max(wanted))
    groups = [str(known[item].meta.get("group", "")) for item in judged]
    right = [[one.strict == "correct" for one in found] for found in judged.values()]
    answers = [[one.answer and scoring.normalise(one.answer) for one in found] for found in judged.values()]
    rates = {f"pass@{k}": [statistics.pass_at_k(n, sum(row), k) for row in right] for k in wanted}
    rates[f"mean@{n}"] = [statistics.mean_at_k(row) for row in right]
    rates[f"maj@{n}"] = [statistics.maj_at_k(said, row) for said, row in zip(answers, right, strict=True)]
    measured = {}
    for name, rate in rates.items():
        found = statistics.mean(rate, groups)
        measured[name] = {"value": found.value, "ci95_clustered": list(found.ci95)}
    return {"items": len(judged), "attempts": n, "groups": len(set(groups)), "measures": measured}
