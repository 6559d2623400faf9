"""Replies that a scorer accepts, as traces to train on: a model answers, perhaps several times, a rule decides, and every trace
says which model, item, attempt and rule it is from.

A rule that looks at the answer alone says nothing of the steps: they are what the model wrote, and may be wrong.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import datasets, errors, values
from tunix_rt.evals import rescoring
from tunix_rt.formats import BadRow, replies
from tunix_rt.scoring import limited, parse_strict
from tunix_rt.scoring.scorers import Case, Scored, Scorer
from tunix_rt.settings import Settings
from tunix_rt.traces import Step, Trace

REASONING = "reasoning"  # the type of steps that nobody has looked at


class Accepted(NamedTuple):
    """The traces, the number of `attempts` that were graded, and why the others are not here, by code: what the scorer said of
    them, or no_reasoning, no_answer and repeated."""

    traces: tuple[Trace, ...]
    attempts: int
    left_out: dict[str, int]


def accepted(
    settings: Settings, folder: Path, scorer: Scorer, update: Callable[[int, int], None] = lambda _done, _of: None
) -> Accepted:
    """Grade every attempt at every item. Refused for prompts that lie on the evaluation side of the split."""
    wanted = [(sample, case) for sample, case in rescoring.attempted(settings, folder) if scorer.applies(case)]
    _to_train_on([case for _, case in wanted], scorer.name)
    lineage = _lineage(folder, scorer)
    kept: dict[bytes, Trace] = {}
    left_out: Counter[str] = Counter()
    with closing(limited.grade(scorer, [case for _, case in wanted])) as marks:
        for done, ((sample, case), mark) in enumerate(zip(wanted, marks, strict=True), start=1):
            update(done, len(wanted))
            made = _trace(case, mark, {**lineage, "item": case.item, "sample": sample})
            if isinstance(made, str):
                left_out[made] += 1
            elif kept.setdefault(made.content, made) is not made:
                left_out["repeated"] += 1
    return Accepted(tuple(kept.values()), len(wanted), dict(sorted(left_out.items())))


def _to_train_on(cases: list[Case], scorer: str) -> None:
    if not cases:
        raise errors.Invalid(f"scorer {scorer!r} applies to none of the attempts.", scorer=scorer)
    held = {case.item for case in cases if datasets.side(datasets.problem(case.reference)) == "eval"}
    if held:
        raise errors.Refused(
            f"{len(held)} of the items lie on the evaluation side of the split, and what is learnt from them can be evaluated "
            "on nothing; ask the model the prompts of a recipe with split = 'train'.",
            items=len(held),
        )


def _lineage(folder: Path, scorer: Scorer) -> dict[str, Any]:
    summary = values.read_json(folder / "summary.json")
    told = {key: summary.get(key) for key in ("evaluation_id", "label", "model_digest", "adapter_digest")}
    return {**told, "scorer": scorer.name, "scorer_digest": rescoring.digest(scorer), "plugin": rescoring.brought(scorer)}


def _trace(case: Case, mark: Scored, lineage: dict[str, Any]) -> Trace | str:
    """The reply as a trace, or why it is none."""
    if mark.outcome != "correct":
        return mark.outcome
    try:
        reply = parse_strict(case.output, case.form) or replies.parse(case.output)
    except BadRow as bad:
        return bad.code
    if not reply.steps:
        return "no_reasoning"
    asked = {key: value for key, value in case.reference.meta.items() if key not in ("key", "source")}
    before = {"of": case.reference.meta["source"]} if "source" in case.reference.meta else {}
    return Trace(
        prompt=case.reference.prompt,
        steps=tuple(Step(i=i, type=REASONING, content=text) for i, text in enumerate(reply.steps, start=1)),
        final_answer=mark.answer or case.expected,
        meta={**asked, "source": {"format": "accepted", **{key: v for key, v in lineage.items() if v is not None}, **before}},
    )
