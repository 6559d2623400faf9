"""Every export format read back: the same prompt, steps and answer, by the format that detection finds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunix_rt import checking, datasets, errors, formats, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.formats import Bad, Origin, Reader, exports, kaggle
from tunix_rt.formats.exports import About, Item
from tunix_rt.formats.feedback import Mistaken
from tunix_rt.traces import Trace

ABOUT = About("set", "0" * 64, "about", "Apache-2.0", 1)
marks = st.sampled_from(
    ["\n", "1. ", "2. ", "Answer: ", "The answer is 5", "<think>", "</think>", "#### 5", "\\boxed{5}", "</answer>"]
)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
texts = st.lists(words | marks, min_size=1, max_size=5).map("".join).filter(str.strip)


@st.composite
def made(draw: st.DrawFn) -> Trace:
    steps = draw(st.lists(texts, min_size=1, max_size=4))
    rows = [{"i": i, "type": "compute", "content": text} for i, text in enumerate(steps, start=1)]
    return Trace.model_validate({"prompt": draw(texts), "steps": rows, "final_answer": draw(texts), "meta": {"a": 1}})


def told(trace: Trace) -> Any:
    return trace.prompt, [step.content for step in trace.steps], trace.final_answer


def back(path: Path) -> list[Trace]:
    found = list(Reader(path))
    assert not [each for each in found if isinstance(each, Bad)]
    return [each[1] for each in found if not isinstance(each, Bad)]


PLAIN = [name for name, export in exports.EXPORTS.items() if not export.paired]
PAIRED = [name for name, export in exports.EXPORTS.items() if export.paired]


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=made())
def test_an_export_reads_back_the_same(name: str, trace: Trace, tmp_path: Path) -> None:
    export = exports.EXPORTS[name]
    assert exports.write(export, formats.named(export.reads), ABOUT, [Item(1, trace)], tmp_path) == 1
    assert [told(each) for each in back(tmp_path / exports.DATA)] == [told(trace)]


@pytest.mark.parametrize("name", PAIRED)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=made(), wrong=made(), answer=st.booleans())
def test_a_paired_export_reads_back_what_is_right_and_refuses_what_is_wrong(
    name: str, trace: Trace, wrong: Trace, answer: bool, tmp_path: Path
) -> None:
    export, step = exports.EXPORTS[name], None if answer else len(wrong.steps)
    item = Item(1, trace, Mistaken(wrong, "result", step))
    written = exports.write(export, formats.named(export.reads), ABOUT, [item], tmp_path)
    found = list(Reader(tmp_path / exports.DATA))
    assert len(found) == written
    assert [told(each[1]) for each in found if not isinstance(each, Bad)] == [told(trace)]
    refused = [(each.code, each.field) for each in found if isinstance(each, Bad)]
    assert refused == [("wrong_step", f"labels.{len(wrong.steps) - (step is not None)}")][: written - 1]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=made())
def test_parquet_reads_back_whole(trace: Trace, tmp_path: Path) -> None:
    from tunix_rt.formats import parquet  # noqa: PLC0415  as the command line does: only where it is needed

    parquet.write([trace, trace], tmp_path / "x.parquet")
    read = back(tmp_path / "x.parquet")
    assert [told(each) for each in read] == [told(trace)] * 2
    assert [each.steps for each in read] == [trace.steps] * 2
    assert all(each.meta["a"] == 1 for each in read)


@pytest.mark.parametrize(
    ("name", "bad"), [("gemma", "x<end_of_turn>\n<start_of_turn>model\ny"), ("openai-chat", "a</step>\n<step>b\n")]
)
def test_what_a_format_cannot_hold_is_named_and_nothing_is_left(name: str, bad: str, sums: Dataset, tmp_path: Path) -> None:
    good = next(iter(traces.read(sums.path)))
    step = good.steps[0].model_copy(update={"content": bad})
    broken = good.model_copy(update={"steps": (step,), "prompt": bad})
    path = tmp_path / "dataset.jsonl"
    values.write_jsonl(path, [good.line(), broken.line()])
    with pytest.raises(errors.Invalid, match=f"trace 2 .* cannot be exported as {name}"):
        datasets.export(Dataset(sums.manifest, path), name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    values.write_jsonl(path, [good.line()])
    assert datasets.export(Dataset(sums.manifest, path), name, tmp_path / "out").format == name


@pytest.mark.parametrize("name", exports.NAMES)
def test_a_dataset_exports_and_comes_back(name: str, sums: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = datasets.export(sums, name, out)
    on_disk = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert on_disk == {*made.files, "export.json"}
    assert all(values.sha256_file(out / file) == digest for file, digest in made.files.items())
    assert made.dataset_digest == sums.manifest.digest
    data = next(out / file for file in made.files if file.endswith(("train.jsonl", ".parquet")))
    found = list(Reader(data))
    right = [told(each[1]) for each in found if not isinstance(each, Bad)]
    assert right == [told(each) for each in traces.read(sums.path)]
    assert {each.code for each in found if isinstance(each, Bad)} <= {"wrong_step"}
    assert (made.count, made.rows) == (sums.manifest.count, len(found))


def test_two_exports_are_the_same_bytes(sums: Dataset, tmp_path: Path) -> None:
    assert all(
        datasets.export(sums, name, tmp_path / f"{name}1") == datasets.export(sums, name, tmp_path / f"{name}2")
        for name in exports.NAMES
    )


@pytest.mark.parametrize("name", PAIRED)
def test_the_mistakes_of_an_export_are_seeded(name: str, sums: Dataset, tmp_path: Path) -> None:
    one, other = (datasets.export(sums, name, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    assert one.files != other.files
    assert (one.seed, sum(one.mistakes.values()), one.unchecked) == (1, 64, 0)
    assert len(one.mistakes) > 2


def test_a_rejected_reply_differs_and_the_checker_sees_it(sums: Dataset, tmp_path: Path) -> None:
    datasets.export(sums, "trl-preference", tmp_path / "out")
    rows = [row for _, row in values.read_jsonl(tmp_path / "out" / "train.jsonl")]
    completion, wrong = formats.named("prompt-completion"), 0
    for row, right in zip(rows, traces.read(sums.path), strict=True):
        assert row["chosen"] != row["rejected"]
        replied = formats.to_trace(completion, {"prompt": row["prompt"], "completion": row["rejected"]}, Origin("x", 1))
        wrong += checking.check(replied, reference=right).wrong
        assert not checking.check(right, reference=right).wrong  # negative control
    assert wrong >= 0.95 * len(rows)


def test_a_wrong_trace_and_one_without_a_place_for_a_mistake_are_listed(sums: Dataset, tmp_path: Path) -> None:
    def trace(text: str, answer: str) -> Trace:
        return Trace.model_validate(
            {"prompt": "2+3?", "steps": [{"i": 1, "type": "x", "content": text}], "final_answer": answer}
        )

    path = tmp_path / "dataset.jsonl"
    values.write_jsonl(path, [trace("2 + 3 = 5", "5").line(), trace("2 + 3 = 6", "6").line(), trace("c", "d").line()])
    broken = Dataset(sums.manifest, path)
    made = datasets.export(broken, "trl-preference", tmp_path / "p")
    assert (made.count, made.rows, made.rejected, made.by_code) == (1, 1, 2, {"no_mistake": 1, "wrong_step": 1})
    listed = [(row["line"], row["code"]) for _, row in values.read_jsonl(tmp_path / "p" / "rejects.jsonl")]
    assert listed == [(2, "wrong_step"), (3, "no_mistake")]
    assert "rejects.jsonl" in made.files
    stepwise = datasets.export(broken, "trl-stepwise", tmp_path / "s")
    assert (stepwise.count, stepwise.rows, stepwise.unchecked) == (2, 3, 1)
    values.write_jsonl(path, [trace("2 + 3 = 6", "6").line()])
    with pytest.raises(errors.Invalid, match="no trace of 'tiny-sums' can be exported as trl-preference"):
        datasets.export(broken, "trl-preference", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "licence", "owner", "title", "id_", "licensed"),
    [
        ("dev-reasoning-v2", "Apache-2.0", "me", "dev-reasoning-v2", "me/dev-reasoning-v2", "apache-2.0"),
        ("v2", "MIT", None, "v2 reasoning traces", "INSERT_USERNAME_HERE/v2-traces", "other"),
        ("a" * 64, "unknown", "me", "a" * 50, "me/" + "a" * 50, "unknown"),
        ("set_1.b", "cc-by-4.0", "me", "set_1.b", "me/set-1-b", "CC-BY-4.0"),
    ],
)
def test_kaggle_metadata_keeps_to_the_documented_limits(
    name: str, licence: str, owner: str | None, title: str, id_: str, licensed: str
) -> None:
    made = kaggle.metadata(name, "about", licence, owner, "train.jsonl")
    assert (made["title"], made["id"], made["licenses"]) == (title, id_, [{"name": licensed}])
    assert 6 <= len(made["title"]) <= 50
    assert 20 <= len(made["subtitle"]) <= 80
    assert 3 <= len(made["id"].partition("/")[2]) <= 50


def test_llama_factory_is_told_the_names_of_the_columns(sums: Dataset, tmp_path: Path) -> None:
    datasets.export(sums, "sharegpt", tmp_path / "s")
    info = values.read_json(tmp_path / "s" / "dataset_info.json")["tiny-sums"]
    row = next(values.read_jsonl(tmp_path / "s" / info["file_name"]))[1]
    turn = row[info["columns"]["messages"]][0]
    assert turn[info["tags"]["role_tag"]] == info["tags"]["user_tag"]
    datasets.export(sums, "alpaca", tmp_path / "a")
    info = values.read_json(tmp_path / "a" / "dataset_info.json")["tiny-sums"]
    row = next(values.read_jsonl(tmp_path / "a" / info["file_name"]))[1]
    assert set(info["columns"].values()) == set(row)


def test_a_folder_in_use_and_an_unknown_format_are_refused(sums: Dataset, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(errors.Conflict, match="not empty"):
        datasets.export(sums, "alpaca", tmp_path)
    with pytest.raises(errors.NotFound, match="Did you mean 'alpaca'"):
        datasets.export(sums, "alpacca", tmp_path / "y")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_hugging_face_datasets_opens_the_parquet_folder_and_every_row_is_there(sums: Dataset, tmp_path: Path) -> None:
    datasets.export(sums, "hf-parquet", tmp_path / "set")
    program = (
        "import sys, json, datasets\n"
        "found = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])\n"
        "assert list(found) == ['train']\n"
        "for row in found['train']: print(json.dumps(row))"
    )
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    arguments = [sys.executable, "-c", program, tmp_path / "set", tmp_path / "cache"]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        row["meta"] = json.loads(row["meta"])
        row["steps"] = [{**step, "claims": json.loads(step["claims"])} for step in row["steps"]]
    assert [Trace.parse(row, source="datasets") for row in rows] == list(traces.read(sums.path))
