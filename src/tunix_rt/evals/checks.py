"""Is a file fit to be an evaluation set? Every line is read, and everything that would make a score mean less is named."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tunix_rt import checking, datasets, errors, scoring, statistics, values
from tunix_rt.scoring import reading
from tunix_rt.traces import Trace
from tunix_rt.values import Value

FEW_ITEMS, FEW_GROUPS = 30, 10
LABELS = ("section", "category", "difficulty")
Severity = Literal["error", "warning"]


class Problem(Value):
    """`line` counts from 1; None is a remark on the whole set."""

    severity: Severity
    code: str
    line: int | None
    message: str


class Checked(Value):
    """`ok` is no error; warnings may remain. `detectable` is the smallest difference of two systems that so many items can
    show when a fifth of the answers change, as a share."""

    file: str
    ok: bool
    items: int
    groups: int
    labels: dict[str, dict[str, int]]
    detectable: float | None
    errors: int
    warnings: int
    problems: tuple[Problem, ...]


def check_file(path: Path) -> Checked:
    """Check a JSONL file of traces; a file that cannot be opened is a mistake, a line that is no trace a problem."""
    found: list[Problem] = []
    kept: list[tuple[int, Trace]] = []
    for number, line in _lines(path):
        try:
            kept.append((number, Trace.parse(line, source=f"line {number}")))
        except errors.Invalid as mistake:
            found.append(_error("no_trace", number, mistake.message))
    found += [problem for number, trace in kept for problem in _item(number, trace)]
    found += _repeats(kept)
    found += _whole(kept)
    found.sort(key=lambda problem: (problem.line is None, problem.line or 0, problem.code))
    groups = Counter(str(trace.meta.get("group", "")) for _, trace in kept)
    named = {key: Counter(str(trace.meta[key]) for _, trace in kept if key in trace.meta) for key in LABELS}
    severe = sum(problem.severity == "error" for problem in found)
    return Checked(
        file=path.name,
        ok=not severe and bool(kept),
        items=len(kept),
        groups=len(groups),
        labels={key: dict(sorted(counts.items())) for key, counts in named.items() if counts},
        detectable=statistics.minimum_detectable_effect(len(kept), 0.2, max(1, len(groups) - 1)) if kept else None,
        errors=severe,
        warnings=len(found) - severe,
        problems=tuple(found),
    )


def _lines(path: Path) -> Iterator[tuple[int, object]]:
    """Each line's JSON, or its text where it is none: that is reported as a line that is no trace."""
    for number, text in enumerate(values.read_text(path).splitlines(), start=1):
        if text.strip():
            try:
                yield number, values.json_value(text)
            except ValueError:
                yield number, text[:200]


def _error(code: str, line: int | None, message: str) -> Problem:
    return Problem(severity="error", code=code, line=line, message=message)


def _warning(code: str, line: int | None, message: str) -> Problem:
    return Problem(severity="warning", code=code, line=line, message=message)


def _item(number: int, trace: Trace) -> Iterator[Problem]:
    target = scoring.render([step.content for step in trace.steps], trace.final_answer)
    if scoring.judge(trace.final_answer, target, "stop").strict != "correct":
        yield _error("unscorable", number, f"the right answer {trace.final_answer[:80]!r}, given in full, is not scored right.")
    if len(trace.final_answer) > 200:
        yield _warning(
            "long_answer", number, f"the answer has {len(trace.final_answer)} characters; few models repeat it whole."
        )
    checked = checking.check(trace, mode="free")
    if checked.first_wrong is not None:
        step = checked.steps[checked.first_wrong - 1]
        yield _error("wrong_step", number, f"step {checked.first_wrong} is wrong: {step.got!r}, expected {step.expected!r}.")
    elif checked.answer.verdict == "wrong":
        yield _error("wrong_answer", number, f"the answer {trace.final_answer[:80]!r} is not what the steps reach.")
    if not trace.meta.get("group"):
        yield _warning("no_group", number, "meta.group is missing: items of one template cannot be clustered.")
    if datasets.side(datasets.problem(trace)) != "eval":
        yield _warning("train_side", number, "the prompt lies on the training side of the split: a recipe could make it.")
    if reading.find(trace.final_answer, trace.prompt, "stop") and _given_away(trace):
        yield _warning("given_away", number, "the answer stands in the prompt after a cue.")


def _given_away(trace: Trace) -> bool:
    passage = reading.after_last_cue(trace.prompt)
    return passage is not None and scoring.same(trace.final_answer, passage)


def _repeats(kept: Sequence[tuple[int, Trace]]) -> Iterator[Problem]:
    first: dict[str, tuple[int, str]] = {}
    for number, trace in kept:
        line, answer = first.setdefault(datasets.canonical_prompt(trace.prompt), (number, trace.final_answer))
        if line != number:
            same = scoring.same(answer, trace.final_answer)
            code, what = (
                ("repeated", "asks the same as") if same else ("contradiction", "asks the same, with another answer, as")
            )
            yield _error(code, number, f"{what} line {line}.")


def _whole(kept: Sequence[tuple[int, Trace]]) -> Iterator[Problem]:
    if not kept:
        yield _error("empty", None, "there is no item.")
        return
    groups = {str(trace.meta.get("group", "")) for _, trace in kept}
    if len(kept) < FEW_ITEMS:
        yield _warning("few_items", None, f"{len(kept)} items: the gate decides nothing on fewer than {FEW_ITEMS}.")
    if len(groups) < FEW_GROUPS:
        yield _warning("few_groups", None, f"{len(groups)} template groups: intervals will be wide.")
    for key in LABELS:
        lacking = sum(key not in trace.meta for _, trace in kept)
        if lacking:
            yield _warning("no_label", None, f"{lacking} items have no meta.{key}; a scorecard leaves them out of that cut.")
    answers = Counter(trace.final_answer for _, trace in kept)
    answer, count = answers.most_common(1)[0]
    if len(kept) >= FEW_ITEMS and count > len(kept) / 4:
        yield _warning(
            "one_answer", None, f"{count} of {len(kept)} items have the answer {answer[:80]!r}: guessing it scores that."
        )
