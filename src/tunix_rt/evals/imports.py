"""An outside evaluation's log as an evaluation of ours: the same items, the log's answers, our scorers.

Every sample has to be an item of the evaluation set, by the item's id or by its prompt, and to expect the item's answer; else
the log is of another set and is refused. What the log says of its answers is kept beside, in `theirs.jsonl`. The folder has no
job: nothing here was asked of an engine of ours. `source.json` says where it came from and what the log does not record.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import datasets, errors, scoring, statistics, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.evals import inspect_logs, lm_eval_logs
from tunix_rt.evals.looks import Look, note, now
from tunix_rt.evals.outside import Attempt, Log, LogFormat, Sample
from tunix_rt.scoring import Prediction, ScoreRow
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace

FORMATS: dict[str, LogFormat] = {form.name: form for form in (inspect_logs.FORMAT, lm_eval_logs.FORMAT)}
SOURCE = "source.json"
_RIGHT, _WRONG = ("C", "CORRECT", "True", "1", "1.0"), ("I", "INCORRECT", "N", "False", "0", "0.0")


class Wanted(NamedTuple):
    """What a person says beside the file. `attempt` counts from 1; with `partial`, items without an answer are left out."""

    format: str = "auto"
    model: str | None = None
    attempt: int = 1
    partial: bool = False


class Matched(NamedTuple):
    item: Trace
    sample: Sample
    attempt: Attempt
    by: str


def import_log(settings: Settings, path: Path, evalset: Dataset, wanted: Wanted) -> tuple[dict[str, Any], Path]:
    """The summary and the folder of the imported evaluation; the look at the set is noted.

    `errors.Invalid` names the first sample that is no item, expects another answer or is there twice, and the items without
    an answer. Doing it again gives the same bytes.
    """
    log = _read(path, wanted.format)
    model = wanted.model or log.model
    if model is None:
        raise errors.Invalid(f"{path} does not say which model answered; name it with --model.", field="model")
    found, left = _matched(log, list(traces.read(evalset.path)), wanted)
    told = _told(found)
    identity = {
        "file": values.sha256_file(path),
        "evalset": evalset.manifest.digest,
        "model": model,
        "attempt": wanted.attempt,
        "items": len(found),
    }
    evaluation_id = values.sha256(values.canonical(identity))[:16]
    folder = settings.evals / evaluation_id
    predictions, scores = [_prediction(one) for one in found], [_score(one) for one in found]
    summary = {
        "evaluation_id": evaluation_id,
        "label": f"{model} (imported from {log.format})",
        "run_id": None,
        "model": model,
        "model_digest": None,
        "adapter_digest": None,
        "evalset": evalset.manifest.name,
        "evalset_digest": evalset.manifest.digest,
        "instruction_digest": values.sha256("\x00".join(told).encode()),
        **scoring.summarise(scores).model_dump(mode="json"),
        "tokens": _total(predictions),
        "seconds": log.seconds,
        "theirs": _theirs(found, scores),
    }
    source = {
        **_about(log, found),
        "file": path.name,
        "sha256": identity["file"],
        "model": model,
        "attempt": wanted.attempt,
        "without_answer": left,
        "instructions": told,
    }
    _write(folder, found, {"predictions.jsonl": predictions, "scores.jsonl": scores}, source, summary)
    _note(settings, summary)
    return summary, folder


def _about(log: Log, found: Sequence[Matched]) -> dict[str, Any]:
    return {
        "format": log.format,
        "written_by": log.written_by,
        "task": log.task,
        "ended": log.ended,
        "attempts": max(len(one.sample.attempts) for one in found),
        "matched_by": {by: sum(one.by == by for one in found) for by in ("id", "prompt")},
        "not_recorded": [name for name in ("finish", "tokens") if any(getattr(one.attempt, name) is None for one in found)],
    }


def _read(path: Path, named: str) -> Log:
    if named != "auto" and named not in FORMATS:
        raise errors.NotFound(f"no log format {named!r}.{errors.nearest(named, FORMATS)}", format=named)
    if not path.is_file():
        raise errors.NotFound(f"no file {str(path)!r}.", path=str(path))
    with path.open("rb") as file:
        head = file.read(1 << 16)
    fitting = [form for form in FORMATS.values() if form.knows(head)] if named == "auto" else [FORMATS[named]]
    if not fitting:
        raise errors.Invalid(f"{path} is no log that is known here: {', '.join(FORMATS)}.", path=str(path))
    log = fitting[0].read(path)
    if not log.samples:
        raise errors.Invalid(
            f"{path} holds no sample.{f' Its run ended with {log.ended}.' if log.ended else ''}", path=str(path)
        )
    return log


def _matched(log: Log, items: Sequence[Trace], wanted: Wanted) -> tuple[list[Matched], list[str]]:
    """The matches in the order of the set, and the ids of the items that got none."""
    by_id, by_prompt = {item.id: item for item in items}, _by_prompt(items)
    found: dict[str, Matched] = {}
    failed: dict[str, str] = {}
    for sample in log.samples:
        item, by = _item(sample, by_id, by_prompt)
        _same_answer(sample, item)
        if item.id in found or item.id in failed:
            raise errors.Invalid(
                f"samples of the log ask item {item.id[:12]} twice, the second is {sample.name!r}.", item=item.id
            )
        if wanted.attempt > len(sample.attempts):
            raise errors.Invalid(
                f"sample {sample.name!r} has {len(sample.attempts)} attempts, none is number {wanted.attempt}."
            )
        attempt = sample.attempts[wanted.attempt - 1]
        if attempt.error is None:
            found[item.id] = Matched(item, sample, attempt, by)
        else:
            failed[item.id] = attempt.error
    left = [item.id for item in items if item.id not in found]
    _refuse_gaps(log, left, failed, len(items), wanted)
    return [found[item.id] for item in items if item.id in found], left


def _refuse_gaps(log: Log, left: list[str], failed: Mapping[str, str], of: int, wanted: Wanted) -> None:
    if not left or (wanted.partial and len(left) < of):
        return
    why = f", {len(failed)} of them because of an error ({next(iter(failed.values()))})" if failed else ""
    ended = f" Its run ended with {log.ended}." if log.ended else ""
    raise errors.Invalid(
        f"the log has no answer to {len(left)} of the set's {of} items, first {left[0][:12]!r}{why}.{ended} With --partial "
        "they are left out; such an evaluation compares only with one of the same items.",
        missing=len(left),
    )


def _by_prompt(items: Sequence[Trace]) -> dict[str, Trace | None]:
    """By what counts as the same question; None where two items ask it."""
    found: dict[str, Trace | None] = {}
    for item in items:
        key = datasets.canonical_prompt(item.prompt)
        found[key] = None if key in found else item
    return found


def _item(sample: Sample, by_id: Mapping[str, Trace], by_prompt: Mapping[str, Trace | None]) -> tuple[Trace, str]:
    if sample.name in by_id:
        return by_id[sample.name], "id"
    for prompt in sample.prompts:
        item = by_prompt.get(datasets.canonical_prompt(prompt))
        if item is not None:
            return item, "prompt"
    shown = sample.prompts[0][:80] if sample.prompts else ""
    raise errors.Invalid(
        f"sample {sample.name!r} of the log ({shown!r}) is no item of the evaluation set, neither by id nor by prompt: the log "
        "is of another set.",
        sample=sample.name,
    )


def _same_answer(sample: Sample, item: Trace) -> None:
    """A target may be the bare answer, or a worked solution that ends with it."""
    if not any(scoring.judge(item.final_answer, target, "stop").lenient == "correct" for target in sample.targets):
        raise errors.Invalid(
            f"sample {sample.name!r} expects {sample.targets[:3]!r}, item {item.id[:12]} expects {item.final_answer!r}: the "
            "log is of another version of the set.",
            sample=sample.name,
        )


def _told(found: Sequence[Matched]) -> list[str]:
    """What the models were told beside the prompts: one text when it was always the same, as an instruction is."""
    return sorted({one.sample.told.replace(one.item.prompt, "", 1).strip() for one in found})


def _prediction(one: Matched) -> Prediction:
    finish = one.attempt.finish or "stop"
    judged = scoring.judge(one.item.final_answer, one.attempt.text, finish)
    return Prediction(
        item=one.item.id,
        prompt=one.item.prompt,
        output=one.attempt.text,
        answer=judged.answer,
        steps=judged.steps,
        tokens=one.attempt.tokens,
        prompt_tokens=one.attempt.prompt_tokens,
        finish=finish,
    )


def _score(one: Matched) -> ScoreRow:
    group = str(one.item.meta.get("group", ""))
    return scoring.score(one.item.id, group, one.item.final_answer, one.attempt.text, one.attempt.finish or "stop")


def _total(predictions: Sequence[Prediction]) -> int | None:
    known = [row.tokens for row in predictions if row.tokens is not None]
    return sum(known) if len(known) == len(predictions) else None


def _theirs(found: Sequence[Matched], scores: Sequence[ScoreRow]) -> dict[str, Any]:
    """Each score of the log that says right or wrong of every item: its rate, and how far our readings agree with it."""
    names = sorted({name for one in found for name in one.attempt.scores})
    made = {}
    for name in names:
        said = [_right(one.attempt.scores.get(name)) for one in found]
        sure = [verdict for verdict in said if verdict is not None]
        if len(sure) == len(said):
            groups = [row.group for row in scores]
            made[name] = {"accuracy": sum(sure) / len(sure)} | {
                reading: statistics.agreement(sure, [getattr(row, reading) == "correct" for row in scores], groups)._asdict()
                for reading in ("strict", "lenient")
            }
    return made


def _right(value: Any) -> bool | None:
    text = str(value)
    return True if text in _RIGHT else False if text in _WRONG else None


def _write(
    folder: Path,
    found: Sequence[Matched],
    rows: Mapping[str, Sequence[Any]],
    source: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> None:
    values.write_json(folder / SOURCE, source)
    values.write_jsonl(folder / "items.jsonl", (one.item.model_dump(mode="json", exclude_defaults=True) for one in found))
    values.write_jsonl(folder / "theirs.jsonl", ({"item": one.item.id, "scores": dict(one.attempt.scores)} for one in found))
    for name, lines in rows.items():
        values.write_jsonl(folder / name, (line.model_dump(mode="json") for line in lines))
    values.write_jsonl(folder / "generations.jsonl", _generations(found))
    values.write_json(folder / "summary.json", summary)


def _generations(found: Sequence[Matched]) -> list[dict[str, Any]]:
    """Every attempt that has an answer, for pass@k."""
    return [
        {"item": one.item.id, "sample": number, "output": attempt.text, "finish": attempt.finish or "stop"}
        for one in found
        for number, attempt in enumerate(one.sample.attempts)
        if attempt.error is None
    ]


def _note(settings: Settings, summary: Mapping[str, Any]) -> None:
    about = {key: summary[key] for key in ("evaluation_id", "evalset", "evalset_digest", "model", "run_id")}
    note(settings, Look(**about, at=now()))
