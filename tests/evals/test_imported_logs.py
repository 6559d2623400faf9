"""Logs of Inspect and lm-eval as evaluations of ours. The shapes are those of inspect_ai 0.3.285 and lm_eval 0.4.13."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from made_up import Folders, answered
from tunix_rt import comparisons, datasets, errors, evals, jobs, scoring, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.evals import Wanted
from tunix_rt.formats import archives
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace

Own = tuple[Settings, Folders]
Row = dict[str, Any]


def items_of(own: Own) -> list[Trace]:
    return list(traces.read(own[1].evalset / "dataset.jsonl"))


def right(item: Trace) -> str:
    return scoring.render([step.content for step in item.steps], item.final_answer)


def said(item: Trace, number: int) -> str:
    return right(item) if number % 3 else "I do not know."


# ── the logs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect_sample(item: Trace, number: int, epoch: int = 1, **changes: Any) -> Row:
    text = said(item, number + epoch - 1)
    message = {"id": "m", "content": text, "source": "generate", "role": "assistant", "model": "mock/one"}
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    return {
        "id": f"q{number}",
        "epoch": epoch,
        "input": item.prompt,
        "target": item.final_answer,
        "messages": [
            {"id": "s", "content": jobs.INSTRUCTION, "role": "system"},
            {"id": "u", "content": item.prompt, "source": "input", "role": "user"},
            message,
        ],
        "output": {
            "model": "mock/one",
            "choices": [{"message": message, "stop_reason": "stop" if number % 3 else "max_tokens"}],
            "completion": text,
            "usage": usage,
        },
        "scores": {"match": {"value": "C" if text == right(item) else "I", "answer": text}, "length": {"value": 0.3}},
        "metadata": {},
        "attachments": {},
        **changes,
    }


def inspect_header(**changes: Any) -> Row:
    about = {"task": "sums", "model": "mock/one", "packages": {"inspect_ai": "0.3.285"}, "dataset": {"name": "sums"}}
    times = {"started_at": "2026-11-27T09:52:41+00:00", "completed_at": "2026-11-27T09:52:43+00:00"}
    return {"version": 2, "status": "success", "eval": about, "plan": {}, "results": {}, "stats": times, **changes}


def inspect_json(path: Path, rows: list[Row], **changes: Any) -> Path:
    path.write_text(json.dumps({**inspect_header(**changes), "samples": rows}, indent=2))
    return path


def inspect_eval(path: Path, rows: list[Row], pack: Callable[[Path, dict[str, bytes]], None], **changes: Any) -> Path:
    members = {"_journal/start.json": b"{}"}
    members |= {f"samples/{row['id']}_epoch_{row['epoch']}.json": json.dumps(row).encode() for row in rows}
    pack(path, {**members, "header.json": json.dumps(inspect_header(**changes)).encode()})
    return path


def deflated(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


def zstandard(path: Path, members: dict[str, bytes], announced: int | None = None) -> None:
    """As Inspect packs since 0.3.2xx: method 93, which `zipfile` cannot write in Python 3.11."""
    body, directory = b"", b""
    for name, data in members.items():
        packed, size = pyarrow.compress(data, codec="zstd", asbytes=True), len(data) if announced is None else announced
        about = struct.pack("<HHHHHIIIHH", 63, 0, 93, 0, 33, zlib.crc32(data), len(packed), size, len(name), 0)
        directory += (
            b"PK\x01\x02" + struct.pack("<H", 63) + about + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        )
        body += b"PK\x03\x04" + about + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)


def lm_eval(path: Path, items: list[Trace], chat: bool = True) -> Path:
    rows = []
    for name, pattern in (("strict-match", "Answer"), ("flexible-extract", "")):
        for number, item in enumerate(items):
            text = said(item, number)
            asked = json.dumps([{"role": "user", "content": item.prompt}])
            given = [asked] if chat else [f"Question: {item.prompt}\nReply:"]
            rows.append(
                {
                    "doc_id": number,
                    "doc": {"prompt": item.prompt, "final_answer": item.final_answer},
                    "target": item.final_answer,
                    "arguments": {"gen_args_0": {"arg_0": given, "arg_1": {"until": ["\n\n"], "max_gen_toks": 64}}},
                    "resps": [[text]],
                    "filtered_resps": [text[:9]],
                    "filter": name,
                    "metrics": ["exact_match"],
                    "doc_hash": "0",
                    "exact_match": float(text == right(item)) if pattern else 1.0,
                }
            )
    values.write_jsonl(path, rows)
    return path


def evalset(own: Own) -> Dataset:
    return datasets.open_dataset(own[1].evalset)


def take(own: Own, path: Path, **wanted: Any) -> tuple[Row, Path]:
    return evals.import_log(own[0], path, evalset(own), Wanted(**wanted))


# ── taken in ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["json", "deflated", "zstandard"])
def test_a_log_of_inspect_is_an_evaluation_that_compares_with_ours(own: Own, tmp_path: Path, form: str) -> None:
    settings, folders = own
    rows = [inspect_sample(item, number) for number, item in enumerate(items_of(own))]
    packing = {"deflated": deflated, "zstandard": zstandard}
    path = tmp_path / f"log.{'json' if form == 'json' else 'eval'}"
    path = inspect_json(path, rows) if form == "json" else inspect_eval(path, rows, packing[form])
    summary, folder = take(own, path)
    assert (summary["n"], summary["correct"], summary["truncated"], summary["tokens"]) == (24, 16, 8, 120)
    assert (summary["model"], summary["model_digest"], summary["seconds"]) == ("mock/one", None, 2.0)
    assert summary["theirs"].keys() == {"match"}  # a length says neither right nor wrong
    assert (summary["theirs"]["match"]["accuracy"], summary["theirs"]["match"]["strict"]["kappa"]) == (16 / 24, 1.0)
    source = values.read_json(folder / "source.json")
    assert (source["format"], source["written_by"]) == ("inspect", "inspect_ai 0.3.285")
    assert (source["sha256"], source["matched_by"]) == (values.sha256_file(path), {"id": 0, "prompt": 24})
    assert (source["not_recorded"], source["instructions"]) == ([], [jobs.INSTRUCTION])
    ours, theirs = comparisons.load(folders.tuned), comparisons.load(folder)
    assert comparisons.compare(ours, theirs).n == 24
    rescored, _ = evals.rescore(settings, folder, scorers.named("steps"))
    assert rescored.n == 24
    assert [look.model for look in evals.looks(settings)] == ["mock/one"]
    again = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and "rescores" not in file.parts}
    assert take(own, path) == (summary, folder)
    assert {file: file.read_bytes() for file in again} == again
    boards = comparisons.leaderboard(settings, comparisons.Filters(config="imported"))
    assert [entry.label for board in boards for entry in board.entries] == ["mock/one (imported from inspect)"]


def test_a_log_of_lm_eval_is_one_too_and_what_it_was_told_is_part_of_it(own: Own, tmp_path: Path) -> None:
    _, folders = own
    path = lm_eval(tmp_path / "samples_sums_2026-11-27T09-52-15.198237.jsonl", items_of(own))
    with pytest.raises(errors.Invalid, match="which model answered"):
        take(own, path)
    values.write_json(tmp_path / "results_2026-11-27T09-52-15.198237.json", {"model_name": "m", "lm_eval_version": "0.4.13"})
    summary, folder = take(own, path)
    assert (summary["model"], summary["n"], summary["correct"], summary["tokens"]) == ("m", 24, 16, None)
    assert summary["theirs"].keys() == {"exact_match,strict-match", "exact_match,flexible-extract"}
    assert summary["theirs"]["exact_match,flexible-extract"]["accuracy"] == 1.0
    source = values.read_json(folder / "source.json")
    assert (source["task"], source["not_recorded"], source["instructions"]) == ("sums", ["finish", "tokens"], [""])
    ours, theirs = comparisons.load(folders.tuned), comparisons.load(folder)
    with pytest.raises(errors.Invalid, match="--any-instruction"):
        comparisons.compare(ours, theirs)
    assert comparisons.compare(ours, theirs, any_instruction=True).n == 24
    with pytest.raises(errors.Invalid, match="how many tokens"):
        comparisons.scores(folder, "tokens")
    with pytest.raises(errors.Invalid, match="applies to none"):
        evals.rescore(own[0], folder, scorers.named("length"))
    plain, there = take(own, lm_eval(tmp_path / "samples_sums_x.jsonl", items_of(own), chat=False), model="n")
    assert values.read_json(there / "source.json")["instructions"] == ["Question: \nReply:"]
    assert plain["instruction_digest"] != summary["instruction_digest"]


def test_several_epochs_are_attempts(own: Own, tmp_path: Path) -> None:
    rows = [inspect_sample(item, number, epoch) for epoch in (2, 1, 3) for number, item in enumerate(items_of(own))]
    path = inspect_json(tmp_path / "log.json", rows)
    first, folder = take(own, path)
    third, _ = take(own, path, attempt=3)
    assert (first["correct"], third["correct"], first["evaluation_id"] != third["evaluation_id"]) == (16, 16, True)
    measures = evals.attempts(own[0], folder)["measures"]
    assert (measures["pass@2"]["value"], measures["mean@3"]["value"]) == (1.0, pytest.approx(2 / 3))
    with pytest.raises(errors.Invalid, match="3 attempts, none is number 4"):
        take(own, path, attempt=4)


def test_ids_messages_reasoning_and_attachments_are_read(own: Own, tmp_path: Path) -> None:
    items = items_of(own)
    rows = [inspect_sample(item, 1, id=item.id) for item in items]
    rows[0] |= {"input": [{"role": "user", "content": "attachment://a"}], "attachments": {"a": items[0].prompt}, "id": "other"}
    parts = [
        {"type": "reasoning", "reasoning": "1 + 1"},
        {"type": "image", "image": "x"},
        {"type": "text", "text": "Answer: 0"},
    ]
    rows[1]["output"]["choices"][0]["message"]["content"] = parts
    rows[2]["target"] = ["never", items[2].final_answer]
    rows[3]["target"] = f"So we add.\n#### {items[3].final_answer}"
    _, folder = take(own, inspect_json(tmp_path / "log.json", rows))
    assert values.read_json(folder / "source.json")["matched_by"] == {"id": 23, "prompt": 1}
    outputs = [row["output"] for _, row in values.read_jsonl(folder / "predictions.jsonl")]
    assert outputs[1] == "<think>1 + 1</think>\nAnswer: 0"


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _changed(own: Own, number: int, **changes: Any) -> list[Row]:
    rows = [inspect_sample(item, k) for k, item in enumerate(items_of(own))]
    rows[number] |= changes
    return rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": "Another question?"}, "'q5' of the log .*is no item of the evaluation set"),
        ({"target": "another answer"}, "'q5' expects .*another version of the set"),
        ({"error": {"message": "rate limit"}}, r"no answer to 1 of the set's 24 items.*error \(rate limit\).*--partial"),
        ({"output": {"choices": []}}, "no answer to 1 of the set's 24 items"),
        ({"output": {"choices": [{"message": {"content": 3}}]}}, "is no log of Inspect"),
        ({"messages": [{}]}, "is no log of Inspect"),
    ],
)
def test_what_does_not_match_is_refused_and_nothing_is_kept(own: Own, tmp_path: Path, changes: Row, message: str) -> None:
    before = sorted(own[0].evals.iterdir())
    with pytest.raises(errors.Invalid, match=f"(?s){message}"):
        take(own, inspect_json(tmp_path / "log.json", _changed(own, 5, **changes)))
    assert sorted(own[0].evals.iterdir()) == before
    assert evals.looks(own[0]) == []


def test_the_same_item_twice_is_refused(own: Own, tmp_path: Path) -> None:
    rows = _changed(own, 0)
    with pytest.raises(errors.Invalid, match="twice, the second is 'copy'"):
        take(own, inspect_json(tmp_path / "log.json", [*rows, {**rows[4], "id": "copy"}]))


def test_a_part_is_taken_in_only_when_that_is_said_and_compares_with_no_whole(own: Own, tmp_path: Path) -> None:
    path = inspect_json(tmp_path / "log.json", _changed(own, 0)[:20], status="cancelled")
    with pytest.raises(errors.Invalid, match=r"no answer to 4 .*ended with cancelled"):
        take(own, path)
    summary, folder = take(own, path, partial=True)
    source = values.read_json(folder / "source.json")
    assert (summary["n"], len(source["without_answer"]), source["ended"]) == (20, 4, "cancelled")
    with pytest.raises(errors.Invalid, match="do not cover the same items"):
        comparisons.compare(comparisons.load(own[1].tuned), comparisons.load(folder))
    failed = inspect_json(tmp_path / "failed.json", [{**row, "error": {"message": "x"}} for row in _changed(own, 0)])
    with pytest.raises(errors.Invalid, match="no answer to 24"):
        take(own, failed, partial=True)


def test_likelihoods_are_no_answers(own: Own, tmp_path: Path) -> None:
    path = lm_eval(tmp_path / "samples_a_b.jsonl", items_of(own))
    rows = [{**row, "resps": [["-1.5", "False"]] * 4} for _, row in values.read_jsonl(path)]
    values.write_jsonl(path, rows)
    with pytest.raises(errors.Invalid, match="likelihoods"):
        take(own, path, model="m")


def _none(path: Path) -> None:
    path.write_text('{"prompt": "a"}\n')


def _no_header(path: Path) -> None:
    deflated(path, {"samples/a_epoch_1.json": b"{}"})


def _not_json(path: Path) -> None:
    deflated(path, {"header.json": b"\xff{"})


def _another_version(path: Path) -> None:
    deflated(path, {"header.json": json.dumps(inspect_header(version=9)).encode()})


def _empty(path: Path) -> None:
    deflated(path, {"header.json": json.dumps(inspect_header()).encode()})


def _torn(path: Path) -> None:
    deflated(path, {"header.json": b"{}"})
    path.write_bytes(path.read_bytes()[:-30])


def _damaged(path: Path) -> None:
    zstandard(path, {"header.json": json.dumps(inspect_header()).encode()})
    data = bytearray(path.read_bytes())
    data[30 + len("header.json") + 40] ^= 1
    path.write_bytes(data)


def _larger_than_announced(path: Path) -> None:
    zstandard(path, {"header.json": b" " * 5_000_000}, announced=10)


def _announced_too_large(path: Path) -> None:
    zstandard(path, {"header.json": b" "}, announced=archives.LARGEST_MEMBER + 1)


def _twice(path: Path) -> None:
    zstandard(path, {"header.json": b"{}", "header.jso_": b"{}"})
    path.write_bytes(path.read_bytes().replace(b"header.jso_", b"header.json"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_none, "no log that is known here: inspect, lm-eval"),
        (_no_header, "no header.json"),
        (_not_json, "not JSON"),
        (_another_version, "version 9 is not known"),
        (_empty, "holds no sample"),
        (_torn, "no zip archive"),
        (_damaged, "cannot be read|checksum"),
        (_larger_than_announced, "cannot be read"),
        (_announced_too_large, "too much"),
        (_twice, "two files of one name"),
    ],
)
def test_a_file_that_is_no_whole_log_is_refused(own: Own, tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "log.eval")
    with pytest.raises(errors.Invalid, match=message):
        take(own, tmp_path / "log.eval")


def test_a_format_by_name_and_a_file_that_is_not_there(own: Own, tmp_path: Path) -> None:
    path = inspect_json(tmp_path / "log.json", _changed(own, 0))
    assert take(own, path, format="inspect") == take(own, path)
    with pytest.raises(errors.Invalid, match=r"no 'doc_id'|not JSON"):
        take(own, path, format="lm-eval", model="m")
    with pytest.raises(errors.NotFound, match="Did you mean 'lm-eval'"):
        take(own, path, format="lm_eval")
    with pytest.raises(errors.NotFound, match="no file"):
        take(own, tmp_path / "none.json")


def test_an_imported_answer_is_no_evidence_of_a_run(own: Own, tmp_path: Path) -> None:
    """It has no job, so it is neither side of a bundle."""
    settings, folders = own
    _, folder = take(own, inspect_json(tmp_path / "log.json", _changed(own, 0)))
    with pytest.raises(errors.NotFound, match="missing"):
        folders._replace(tuned=folder).pack(tmp_path / "x.zip", comparisons.compare(
            comparisons.load(folders.base), comparisons.load(folder)))  # fmt: skip
    answered(folders.tuned, evalset(own), [("?", "stop")] * 24)
    gate = comparisons.judge(settings, str(folder), str(folders.base), 0.1)
    assert (gate.exploratory, gate.decision, gate.dataset) == (True, "inconclusive", None)
