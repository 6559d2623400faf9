"""Every export format read back: the same prompt, steps and answer, by the format that detection finds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunix_rt import datasets, errors, formats, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.formats import Bad, Reader, exports
from tunix_rt.formats.exports import About
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


@pytest.mark.parametrize("name", exports.EXPORTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=made())
def test_an_export_reads_back_the_same(name: str, trace: Trace, tmp_path: Path) -> None:
    export = exports.EXPORTS[name]
    exports.write(export, formats.named(export.reads), ABOUT, [trace], tmp_path)
    assert [told(each) for each in back(tmp_path / exports.DATA)] == [told(trace)]


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
    data = next(out / file for file in made.files if file.endswith((".jsonl", ".parquet")))
    assert [told(each) for each in back(data)] == [told(each) for each in traces.read(sums.path)]


def test_two_exports_are_the_same_bytes(sums: Dataset, tmp_path: Path) -> None:
    assert all(
        datasets.export(sums, name, tmp_path / f"{name}1") == datasets.export(sums, name, tmp_path / f"{name}2")
        for name in exports.NAMES
    )


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


def test_hugging_face_datasets_opens_the_parquet_folder(sums: Dataset, tmp_path: Path) -> None:
    datasets.export(sums, "hf-parquet", tmp_path / "set")
    program = (
        "import sys, datasets\n"
        "found = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])\n"
        "print(found['train'].num_rows, found['train'][0]['prompt'])"
    )
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    arguments = [sys.executable, "-c", program, tmp_path / "set", tmp_path / "cache"]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"64 {next(traces.read(sums.path)).prompt}\n"
