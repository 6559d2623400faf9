"""Let a language model judge stored answers: every reply is kept before anything is counted, and no failure becomes a score.

A judge is asked through a `Generate` function, of an endpoint (`endpoints`) or of a model on this machine (`local_judges`).
Replies are kept in `<home>/cache/judge/<judge>.jsonl` by the hash of the whole question, each as it comes: a killed judging
goes on where it was, and the same answer is not judged twice. A reply without a verdict, and a question that the judge would
not take, leave their item unjudged: it has no mark, is counted, and bounds say what all such items could change. A judge that
cannot be asked ends the judging with an error.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import errors, statistics, values
from tunix_rt.evals import rescoring, scorecards
from tunix_rt.evals.rescoring import Rescored
from tunix_rt.scoring.scorers import JUDGE, Case, Judge, Scored
from tunix_rt.scoring.scorers.judge import Reply, verdict
from tunix_rt.settings import Settings


class Refused(NamedTuple):
    """The judge would not take this one question, and why."""

    reason: str


Note = Callable[[str, Reply | Refused], None]
Generate = Callable[[Mapping[str, str], Note], None]
Update = Callable[[int, int], None]
Asked = tuple[Case, str, Reply | Refused]  # the case, the hash of its question, what came back


class Replies:
    """The replies of one judge, by the sha256 of the question. A line torn by a kill is left out, and cut off at the next."""

    def __init__(self, settings: Settings, judge: Judge) -> None:
        self._path = settings.home / "cache" / "judge" / f"{rescoring.digest(judge)}.jsonl"

    def known(self) -> dict[str, Reply]:
        if not self._path.is_file():
            return {}
        with self._path.open("rb") as file:
            lines = file.read().split(b"\n")[:-1]
        rows = [values.json_value(line.decode()) for line in lines]
        return {str(row["question"]): Reply.parse(row["reply"], source=str(self._path)) for row in rows}

    def keep(self, question: str, reply: Reply) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            if end and file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
                file.seek(0, os.SEEK_END)
            file.write(values.jsonl_line({"question": question, "reply": reply.model_dump(mode="json")}))


def judge(
    settings: Settings, folder: Path, by: Judge, generate: Generate, update: Update = lambda _done, _of: None
) -> tuple[Rescored, Path]:
    """Judge every item of an evaluation and keep the result beside those of the rules.

    One that is there already is read, unless the judge refused questions then. Raises what `generate` does, and
    `errors.Failed` when no item got a verdict.
    """
    out = rescoring.place(folder, by)
    if (out / "summary.json").is_file():
        there = Rescored.parse(values.read_json(out / "summary.json"), source=str(out / "summary.json"))
        if not there.refused:
            return there, out
    asked = _ask(settings, rescoring.cases(settings, folder), by, generate, update)
    rows = [mark for case, _, got in asked if isinstance(got, Reply) and (mark := by.mark(case, got)) is not None]
    if not rows:
        raise errors.Failed(
            f"the judge gave no verdict on any of the {len(asked)} items, {_first_said(asked)}.", judge=by.model
        )
    made = _summary(folder, by, asked, rows)
    values.write_json(out / "scorer.json", by.model_dump(mode="json"))
    values.write_jsonl(out / "replies.jsonl", map(_kept, asked))
    values.write_jsonl(out / "scores.jsonl", (row.model_dump(mode="json") for row in rows))
    values.write_json(out / "summary.json", made.model_dump(mode="json"))
    return made, out


def _ask(settings: Settings, cases: Sequence[Case], by: Judge, generate: Generate, update: Update) -> list[Asked]:
    questions = [by.question(case) for case in cases]
    keys = [values.sha256(question.encode()) for question in questions]
    replies = Replies(settings, by)
    got: dict[str, Reply | Refused] = {**replies.known()}
    wanted = dict.fromkeys(keys)
    waiting = {key: question for key, question in zip(keys, questions, strict=True) if key not in got}

    def note(key: str, reply: Reply | Refused) -> None:
        if isinstance(reply, Reply):
            replies.keep(key, reply)
        got[key] = reply
        update(len(wanted.keys() & got.keys()), len(wanted))

    if waiting:
        generate(waiting, note)
    if lacking := [key for key in keys if key not in got]:
        raise errors.Failed(f"the judge left {len(lacking)} of {len(keys)} questions without a reply; run the command again.")
    return [(case, key, got[key]) for case, key in zip(cases, keys, strict=True)]


def _first_said(asked: Sequence[Asked]) -> str:
    got = asked[0][2]
    return f"so nothing is scored; of the first it said {got.text[-200:] if isinstance(got, Reply) else got.reason!r}"


def _kept(asked: Asked) -> dict[str, Any]:
    case, question, got = asked
    row: dict[str, Any] = {"item": case.item, "question": question}
    if isinstance(got, Refused):
        return {**row, "verdict": None, "refused": got.reason}
    return {**row, "verdict": verdict(got), **got.model_dump(mode="json")}


def _summary(folder: Path, by: Judge, asked: Sequence[Asked], rows: Sequence[Scored]) -> Rescored:
    unjudged = len(asked) - len(rows)
    made = rescoring.summarise(folder, by, rows, skipped=0)
    replies = [got for _, _, got in asked if isinstance(got, Reply)]
    measures = {
        "accuracy_if_unjudged_wrong": made.correct / len(asked),
        "accuracy_if_unjudged_right": (made.correct + unjudged) / len(asked),
        "cut_off": sum(reply.finish == "length" for reply in replies),
        "answered_by": dict(sorted(Counter(reply.model or by.model for reply in replies).items())),
        "agreement": {rule: agreement(folder, rule, rows) for rule in _rules(folder)},
    }
    refused = sum(isinstance(got, Refused) for _, _, got in asked)
    return made.model_copy(update={"unjudged": unjudged, "refused": refused, "measures": measures})


def _rules(folder: Path) -> list[str]:
    """The two readings, and the scorers it was rescored by."""
    found = {path.parent.name.rpartition("-")[0] for path in folder.glob(f"{rescoring.FOLDER}/*/summary.json")}
    return ["strict", "lenient", *sorted(found - {JUDGE})]


def agreement(folder: Path, rule: str, rows: Iterable[Scored]) -> dict[str, Any] | None:
    """How far the verdicts in `rows` and a rule's agree, over the items that both have; None when there are none."""
    by_rule = {mark.item: mark.correct for mark in scorecards.marks(folder, rule)}
    both = [(row.outcome == "correct", by_rule[row.item], row.group) for row in rows if row.item in by_rule]
    if not both:
        return None
    judged, ruled, groups = zip(*both, strict=True)
    return statistics.agreement(judged, ruled, groups)._asdict()
