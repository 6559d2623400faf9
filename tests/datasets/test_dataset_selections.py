"""Datasets made from datasets: what each filter keeps, the reason for everything it drops, and the parents it names."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import datasets, errors, traces, values
from tunix_rt.datasets import Dataset, Manifest, Pool, Selection
from tunix_rt.traces import Step, Trace


def trace(prompt: str, result: str = "5", **meta: Any) -> Trace:
    steps = (Step(i=1, type="compute", content=f"2 + 3 = {result}"),)
    return Trace(prompt=prompt, steps=steps, final_answer=result, meta=meta)


ROWS = [
    trace("What is 2 + 3?", level=1, task="sum", source={"format": "gsm8k"}),
    trace("Please add 2 and 3.", level=2, task="sum"),
    trace("2 + 3 = ?", "6", level=3, task="sum"),
    trace("what IS  2 + 3?", level=3, task="other"),
    trace("What is 2 + 3 plus nothing, if you look at it from the left?", level=3),
    trace("What is 2 + 3 plus nothing, if you look at it from the right?", level=4),
]


def pool(*rows: Trace, name: str = "mine", splits: dict[str, int] | None = None, licence: str = "MIT") -> Pool:
    return Pool(name, values.sha256(name.encode()), licence, splits or {"unsplit": len(rows)}, len(rows), rows)


def selection(parents: list[str] | None = None, seed: int = 0, split: str | None = None, **select: Any) -> Selection:
    data = {"name": "new", "seed": seed, "split": split, "select": {"from": parents or ["mine"], **select}}
    return Selection.parse(data, source="sel.toml")


def derive(folder: Path, chosen: Selection, *pools: Pool) -> tuple[Manifest, list[str], list[dict[str, Any]]]:
    manifest = datasets.derive(chosen, pools or (pool(*ROWS),), folder)
    found = datasets.open_dataset(folder)
    assert found.manifest == manifest
    rejects = [row for _, row in values.read_jsonl(folder / "rejects.jsonl")]
    return manifest, [row.id for row in traces.read(found.path)], rejects


def ids(*at: int) -> list[str]:
    return [ROWS[i].id for i in at]


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"where": {"meta.level": {"min": 2, "max": 3}}}, [1, 2, 3, 4]),
        ({"where": {"meta": {"level": {"min": 4}}}}, [5]),
        ({"where": {"meta.task": ["sum", "x"], "meta.level": {"max": 2}}}, [0, 1]),
        ({"where": {"meta.source.format": "gsm8k"}}, [0]),
        ({"where": {"meta.source": {"format": "gsm8k"}}}, [0]),
        ({"prompt_chars": {"max": 15}}, [0, 2, 3]),
        ({"steps": {"min": 1}}, [0, 1, 2, 3, 4, 5]),
        ({"verdict": "ok"}, [0, 1, 3, 4, 5]),
        ({"coverage": {"min": 1.0}}, [0, 1, 2, 3, 4, 5]),
        ({"dedup": "prompt"}, [0, 1, 2, 4, 5]),
        ({"dedup": "skeleton"}, [0, 1, 2, 4, 5]),
        ({"dedup": "near"}, [0, 1, 2, 4]),
        ({"dedup": "near", "threshold": 0.95}, [0, 1, 2, 4, 5]),
        ({"limit": 2}, [0, 1]),
        ({"verdict": "ok", "limit": 3}, [0, 1, 3]),
    ],
)
def test_a_filter_keeps_what_it_should_and_lists_the_rest(select: dict[str, Any], kept: list[int], tmp_path: Path) -> None:
    manifest, found, rejects = derive(tmp_path / "new", selection(**select))
    assert found == ids(*kept)
    assert sorted(row["id"] for row in rejects) == sorted({row.id for row in ROWS} - set(found))
    assert manifest.dropped is not None
    assert sum(manifest.dropped.values()) == len(rejects)
    assert all(set(row) == {"id", "parent", "code", "field", "value"} for row in rejects)


def test_rejects_say_why(tmp_path: Path) -> None:
    chosen = selection(where={"meta.task": ["sum", "other"]}, verdict="ok", dedup="prompt")
    manifest, _, rejects = derive(tmp_path / "new", chosen)
    told = {row["id"]: (row["code"], row["field"], row["value"]) for row in rejects}
    assert told[ROWS[2].id] == ("wrong_step", "steps", 1)
    assert told[ROWS[3].id] == ("duplicate", "prompt", ROWS[0].id)
    assert told[ROWS[4].id] == ("absent", "meta.task", None)
    assert manifest.dropped == {"absent": 2, "duplicate": 1, "wrong_step": 1}


def test_the_manifest_names_parents_and_selection(tmp_path: Path) -> None:
    other = pool(trace("Another?"), trace("What is 2 + 3?", level=9), name="other", licence="CC0-1.0")
    chosen = selection(["mine", "other"])
    manifest, _, rejects = derive(tmp_path / "new", chosen, pool(*ROWS), other)
    assert [(p.name, p.count, p.taken) for p in manifest.parents or ()] == [("mine", 6, 6), ("other", 2, 1)]
    assert [(row["parent"], row["code"], row["field"], row["value"]) for row in rejects] == [
        ("other", "duplicate", "content", ROWS[0].id)
    ]
    assert (manifest.licence, manifest.selection) == ("CC0-1.0 AND MIT", chosen)
    assert set(manifest.files) == {"dataset.jsonl", "rejects.jsonl"}
    written = json.loads((tmp_path / "new" / "manifest.json").read_text())
    assert written["selection"]["select"]["from"] == ["mine", "other"]


def test_a_sample_does_not_depend_on_order(tmp_path: Path) -> None:
    rows = [trace(f"Question {i}?", level=i) for i in range(40)]
    _, drawn, _ = derive(tmp_path / "a", selection(sample=10), pool(*rows))
    _, turned, _ = derive(tmp_path / "b", selection(sample=10), pool(*reversed(rows)))
    _, other, _ = derive(tmp_path / "c", selection(sample=10, seed=1), pool(*rows))
    assert drawn == turned[::-1]
    assert len(drawn) == 10
    assert drawn != other


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"where": {"meta.levl": 1}}, "no trace has the field 'meta.levl'. Did you mean 'meta.level'?"),
        ({"where": {"meta.source.fromat": "x"}}, "Did you mean 'meta.source.format'?"),
        ({"where": {"meta.level": 9}}, "leaves none of 6 traces (where 6)"),
    ],
)
def test_what_nothing_answers_to_is_refused(select: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid) as caught:
        derive(tmp_path / "new", selection(**select))
    assert message in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"where": {"level": 1}}, "did you mean 'meta.level'"),
        ({"dedup": "nearly"}, "'select.dedup' is 'nearly'"),
        ({"dedupe": "near"}, "unknown key 'select.dedupe'. Did you mean 'dedup'?"),
        ({"steps": {}}, "needs min or max"),
        ({"steps": {"min": 3, "max": 2}}, "min 3 is more than max 2"),
        ({"sample": 2, "limit": 2}, "exclude each other"),
        ({"from": ["a", "a@abcdef"]}, "names a dataset twice: a, a"),
        ({"from": ["../a"]}, "select.from.0"),
        ({"apart": {"side": "eval", "by": "group", "eval_share": 0.1}}, "'group' is not template, problem, near or meta.FIELD"),
    ],
)
def test_what_does_not_fit_is_named(select: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        selection(**select)
    assert message in caught.value.message


def test_flags_make_the_same_value_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "sel.toml"
    path.write_text(
        'name = "new"\n[select]\nfrom = ["mine"]\nsteps = { min = 2, max = 4 }\ncoverage = { min = 0.5 }\n'
        'where = { "meta.level" = { min = 2, max = 3 }, meta.task = ["speed", "percent"], meta.flag = true, meta.id = "7" }\n'
    )
    flags = ["meta.level>=2", "meta.level<=3", "meta.task=speed, percent", "steps>=2", "steps<=4", "coverage>=0.5"]
    assert selection(**datasets.conditions([*flags, "meta.flag=true", 'meta.id="7"'])) == datasets.load_selection(path)
    assert datasets.is_selection(str(path))
    assert not datasets.is_selection("dev-reasoning-v2")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["level>=2"], "no field 'level'. Did you mean 'meta.level'?"),
        (["step>=2"], "Did you mean 'steps'?"),
        (["meta.level>2"], "is no condition"),
        (["meta.level=2", "meta.level>=1"], "already has a condition"),
    ],
)
def test_a_flag_that_says_nothing_is_refused(flags: list[str], message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        datasets.conditions(flags)
    assert message in caught.value.message


def test_a_parent_can_be_pinned_by_its_digest(tmp_path: Path, sums: Dataset) -> None:
    digest = sums.manifest.digest
    assert datasets.pool(sums, f"tiny-sums@{digest[:12]}").digest == digest
    with pytest.raises(errors.Conflict, match="the selection wants abcdef12"):
        datasets.pool(sums, "tiny-sums@abcdef12")
    chosen = selection([f"tiny-sums@{digest[:12]}"], sample=5)
    manifest = datasets.derive(chosen, [datasets.pool(sums, chosen.select.parents[0])], tmp_path / "new")
    assert (manifest.count, manifest.splits) == (5, {"train": 5})


def test_check_compares_bytes_and_refuses_another_parent(tmp_path: Path) -> None:
    folder, chosen = tmp_path / "new", selection(verdict="ok")
    derive(folder, chosen)
    again = [pool(*ROWS)]
    assert datasets.derive_again(chosen, again, folder) == []
    with pytest.raises(errors.Conflict, match="which is not here any more"):
        datasets.derive_again(chosen, [again[0]._replace(digest="0" * 64)], folder)
    (folder / "rejects.jsonl").write_bytes(b"")
    assert [row.file for row in datasets.derive_again(chosen, again, folder)] == ["rejects.jsonl"]


def test_a_name_keeps_its_content(tmp_path: Path) -> None:
    derive(tmp_path / "new", selection())
    before = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    derive(tmp_path / "new", selection())
    with pytest.raises(errors.Conflict, match="other content"):
        derive(tmp_path / "new", selection(limit=1))
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == before
    with pytest.raises(errors.Conflict, match="the name of a built-in recipe"):
        derive(tmp_path / "x", selection().model_copy(update={"name": "tiny-sums"}))


def test_an_evaluation_set_never_becomes_training_data(tmp_path: Path) -> None:
    held_out = pool(*ROWS, splits={"eval": 6})
    with pytest.raises(errors.Invalid, match="would make training data of the evaluation set 'mine'"):
        derive(tmp_path / "new", selection(split="train"), held_out)
    assert derive(tmp_path / "new", selection(), held_out)[0].splits == {"eval": 6}
    assert derive(tmp_path / "a", selection(split="train"), pool(*ROWS, splits={"train": 6}))[0].splits == {"train": 6}


def test_another_process_makes_the_same_bytes(tmp_path: Path, sums: Dataset) -> None:
    program = f"""
import pathlib, sys
from tunix_rt import datasets
from tunix_rt.datasets import Selection
dataset = datasets.open_dataset(pathlib.Path({str(sums.path.parent)!r}))
chosen = Selection.parse(dict(name="new", select={{"from": ["tiny-sums"], "dedup": "near", "sample": 20}}), source="x")
datasets.derive(chosen, [datasets.pool(dataset, "tiny-sums")], pathlib.Path(sys.argv[1]))
"""
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, tmp_path / seed], env=environ, check=True)
    for name in ("dataset.jsonl", "rejects.jsonl", "manifest.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


LEVELS = st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=1, max_size=12)


@given(levels=LEVELS, low=st.integers(0, 4), repeat=st.booleans())
def test_every_trace_is_kept_or_listed(tmp_path_factory: pytest.TempPathFactory, levels: Any, low: int, repeat: bool) -> None:
    rows = [
        trace(f"q{i % 3 if repeat else i}", **({} if level is None else {"level": level})) for i, level in enumerate(levels)
    ]
    wanted = [row for row in rows if row.meta.get("level", -1) >= low]
    folder = tmp_path_factory.mktemp("x") / "new"
    chosen = selection(where={"meta.level": {"min": low}})
    if not wanted:
        with pytest.raises(errors.Invalid):
            derive(folder, chosen, pool(*rows))
        return
    _, found, rejects = derive(folder, chosen, pool(*rows))
    assert sorted([*found, *(row["id"] for row in rejects)]) == sorted(row.id for row in rows)
    assert {datasets.canonical_prompt(row.prompt) for row in wanted} == {
        row.prompt for row in traces.read(folder / "dataset.jsonl")
    }


def test_a_selection_can_be_tried_without_keeping_it(tmp_path: Path) -> None:
    folder, chosen = tmp_path / "new", selection(verdict="ok")
    tried = datasets.foresee(chosen, [pool(*ROWS)], folder.parent)
    assert list(tmp_path.iterdir()) == []
    derive(folder, chosen)
    assert tried == datasets.stats(folder)
