"""Logs of lm-evaluation-harness (lm_eval): `samples_<task>_<time>.jsonl` as `--log_samples` writes it, a line for every item
and filter. Model and versions stand in `results_<time>.json` beside it. Neither records how an answer ended or its tokens."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunix_rt import errors, values
from tunix_rt.evals.outside import Attempt, Log, LogFormat, Sample

_NEEDED = ("doc_id", "doc", "target", "arguments", "resps")
Row = Mapping[str, Any]


def knows(head: bytes) -> bool:
    return head.startswith(b"{") and b'"doc_id"' in head.partition(b"\n")[0]


def read(path: Path) -> Log:
    by_doc: dict[str, list[Row]] = {}
    for number, row in values.read_jsonl(path):
        if lacking := [key for key in _NEEDED if key not in row]:
            raise errors.Invalid(f"{path}, line {number}: no {lacking[0]!r}, so it is no sample of lm-eval.", path=str(path))
        by_doc.setdefault(str(row["doc_id"]), []).append(row)
    task, _, time = path.stem.removeprefix("samples_").rpartition("_")
    beside = path.with_name(f"results_{time}.json")
    about = values.read_json(beside) if beside.is_file() else {}
    try:
        samples = tuple(_sample(name, rows) for name, rows in by_doc.items())
        taken = about.get("total_evaluation_time_seconds")
        return Log(
            format="lm-eval",
            written_by=f"lm_eval {about['lm_eval_version']}" if "lm_eval_version" in about else None,
            task=task or path.stem,
            model=about.get("model_name") or None,
            seconds=None if taken is None else float(taken),
            ended=None,
            samples=samples,
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise errors.Invalid(f"{path} is no log of lm-eval ({type(error).__name__}: {error}).", path=str(path)) from error


def _sample(name: str, rows: list[Row]) -> Sample:
    row = rows[0]
    asked = list(_asked(row["arguments"]))
    doc = row["doc"] if isinstance(row["doc"], Mapping) else {}
    target = row["target"]
    targets = target if isinstance(target, list) else [target]
    return Sample(
        name=name,
        prompts=(*(value for value in doc.values() if isinstance(value, str)), *asked),
        told="\n\n".join(asked),
        targets=tuple(map(str, targets)),
        attempts=tuple(Attempt(text=text, scores=_scores(rows)) for text in _texts(name, row["resps"])),
    )


def _asked(arguments: Any) -> Iterator[str]:
    """The text a model continued, or the messages of the chat it was given: `arg_0` of the first request."""
    first = next(iter(arguments.values())) if isinstance(arguments, Mapping) else arguments[0]
    given = first["arg_0"] if isinstance(first, Mapping) else first[0]
    given = given[0] if isinstance(given, list) else given
    try:
        messages = values.json_value(given)
        yield from (str(message["content"]) for message in messages)
    except (ValueError, TypeError, KeyError):
        yield str(given)


def _texts(name: str, resps: Any) -> list[str]:
    if len(resps) != 1 or not all(isinstance(text, str) for text in resps[0]):
        raise errors.Invalid(f"item {name} of the log holds likelihoods of given answers, not an answer of the model's own.")
    return list(resps[0])


def _scores(rows: list[Row]) -> dict[str, Any]:
    """By metric and filter, as lm_eval's own tables call them; a number of the item, so the same for its repeats."""
    return {
        f"{metric},{row['filter']}" if "filter" in row else metric: row[metric]
        for row in rows
        for metric in row.get("metrics") or [key for key in ("exact_match", "acc") if key in row]
        if metric in row
    }


FORMAT = LogFormat("lm-eval", knows, read)
