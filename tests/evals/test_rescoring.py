import json
from pathlib import Path

import pytest

from made_up import Folders
from tunix_rt import datasets, errors, evals, scoring, traces, values
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings

Own = tuple[Settings, Folders]


def test_rescoring_generates_nothing_and_leaves_the_evaluation_alone(own: Own) -> None:
    settings, folders = own
    before = {path: path.read_bytes() for path in folders.tuned.rglob("*") if path.is_file()}
    made, out = evals.rescore(settings, folders.tuned, scorers.named("exact"))
    assert {path: path.read_bytes() for path in before} == before
    summary = values.read_json(folders.tuned / "summary.json")
    assert (made.evaluation_id, made.n, made.skipped, made.refused) == (summary["evaluation_id"], summary["n"], 0, 0)
    assert made.correct == summary["correct"]
    assert [row["outcome"] for _, row in values.read_jsonl(out / "scores.jsonl")].count("correct") == made.correct
    written = (out / "scores.jsonl").stat().st_mtime_ns
    assert evals.rescore(settings, folders.tuned, scorers.named("exact")) == (made, out)
    assert (out / "scores.jsonl").stat().st_mtime_ns == written


def test_options_make_another_question(own: Own) -> None:
    settings, folders = own
    _, strict = evals.rescore(settings, folders.tuned, scorers.named("numeric"))
    loose, there = evals.rescore(settings, folders.tuned, scorers.named("numeric", {"absolute": 1e9}))
    assert strict != there
    assert loose.accuracy == 1
    assert evals.latest(folders.tuned, "numeric")[0] == scorers.named("numeric", {"absolute": 1e9})


def test_the_steps_of_right_outputs_are_right(own: Own) -> None:
    settings, folders = own
    made, _ = evals.rescore(settings, folders.tuned, scorers.named("steps"))
    measures = made.measures
    assert measures["right_answer_wrong_reasoning"] == 0
    assert measures["step_accuracy"] > 0.9
    assert measures["coverage"] > 0.5
    assert measures["answers_right"] == made.correct


def test_a_right_answer_with_a_wrong_step_is_counted(own: Own) -> None:
    settings, folders = own
    items = {trace.id: trace for trace in traces.read(folders.evalset / "dataset.jsonl")}
    rows = [row for _, row in values.read_jsonl(folders.tuned / "predictions.jsonl")]
    for row in rows[:3]:
        row["output"] = scoring.render(["5 + 5 = 11"], items[row["item"]].final_answer)
    values.write_jsonl(folders.tuned / "predictions.jsonl", rows)
    made, _ = evals.rescore(settings, folders.tuned, scorers.named("steps"))
    assert made.measures["right_answer_wrong_reasoning"] == 3
    assert made.measures["first_wrong"]["1"] == 3


def test_another_evaluation_set_of_that_name_is_refused(own: Own) -> None:
    settings, folders = own
    config = folders.tuned / "config.json"
    values.write_json(config, {**values.read_json(config), "evalset_digest": "0" * 64})
    with pytest.raises(errors.Conflict, match="build that one again"):
        evals.rescore(settings, folders.tuned, scorers.named("exact"))


def test_a_scorer_that_applies_to_nothing_is_said(made_up_home: Settings, made_up_folders: Folders) -> None:
    with pytest.raises(errors.Invalid, match="applies to none"):
        evals.rescore(made_up_home, made_up_folders.base, scorers.named("choice"))


# ── cuts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_scorecards_cuts_add_up(made_up_home: Settings, made_up_folders: Folders) -> None:
    lines = evals.scorecard(made_up_home, made_up_folders.tuned)
    summary = values.read_json(made_up_folders.tuned / "summary.json")
    for facet in ("section", "level", "group"):
        of_facet = [line for line in lines if line.facet == facet]
        assert sum(line.n for line in of_facet) == summary["n"]
        assert sum(line.correct for line in of_facet) == summary["correct"]
    assert all(line.ci95[0] <= line.accuracy <= line.ci95[1] for line in lines)
    with pytest.raises(errors.Invalid, match="mood"):
        evals.scorecard(made_up_home, made_up_folders.tuned, facets=["mood"])
    with pytest.raises(errors.NotFound, match="rescore"):
        evals.scorecard(made_up_home, made_up_folders.tuned, "length")


def test_contamination_takes_the_overlapping_items_out(made_up_home: Settings, made_up_folders: Folders) -> None:
    held = list(traces.read(made_up_folders.evalset / "dataset.jsonl"))
    clean = evals.contamination(made_up_home, made_up_folders.tuned, traces.read(made_up_folders.trainset / "dataset.jsonl"))
    assert (clean.exact, clean.without_exact) == (0, clean.all)
    leaked = [trace.model_copy(update={"prompt": f"  {trace.prompt.upper()} "}) for trace in held[:5]]
    found = evals.contamination(made_up_home, made_up_folders.tuned, leaked)
    assert (found.trained, found.exact, found.without_exact.n) == (5, 5, len(held) - 5)
    assert found.overlapping.n >= 5
    assert found.difference is not None
    every = evals.contamination(made_up_home, made_up_folders.tuned, held)
    assert (every.without_overlap.n, every.without_overlap.accuracy, every.difference) == (0, None, None)


def test_attempts_are_counted_by_item(own: Own) -> None:
    settings, folders = own
    rows = []
    for number, trace in enumerate(traces.read(folders.evalset / "dataset.jsonl")):
        right = scoring.render(["x"], trace.final_answer)
        rows += [
            {"item": trace.id, "sample": k, "output": right if k <= number % 4 else "?", "finish": "stop"} for k in range(4)
        ]
    values.write_jsonl(folders.tuned / "generations.jsonl", rows)
    made = evals.attempts(settings, folders.tuned)
    assert made["attempts"] == 4
    assert made["measures"]["pass@4"]["value"] == 1
    assert made["measures"]["pass@1"]["value"] == pytest.approx(made["measures"]["mean@4"]["value"])
    with pytest.raises(errors.Invalid, match="pass@5"):
        evals.attempts(settings, folders.tuned, [5])
    values.write_jsonl(folders.tuned / "generations.jsonl", rows[:-1])
    with pytest.raises(errors.Invalid, match="same number"):
        evals.attempts(settings, folders.tuned)


# ── sets ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_built_evaluation_set_is_fit(made_up_folders: Folders) -> None:
    made = evals.check_file(made_up_folders.evalset / "dataset.jsonl")
    assert (made.ok, made.errors) == (True, 0)
    assert {problem.code for problem in made.problems} <= {"few_items", "few_groups", "no_label"}


def _spoilt(lines: list[str]) -> dict[str, str]:
    row = json.loads(lines[0])
    arithmetic = next(json.loads(line) for line in lines if json.loads(line)["meta"]["task"] == "arithmetic")
    wrong = {**arithmetic, "final_answer": "123456"}
    return {
        "repeated": lines[0],
        "contradiction": json.dumps({**row, "final_answer": "999"}),
        "no_trace": "{",
        "wrong_answer": json.dumps({**wrong, "prompt": "What else?"}),
    }


def test_what_spoils_an_evaluation_set_is_named_with_its_line(made_up_folders: Folders, tmp_path: Path) -> None:
    lines = (made_up_folders.evalset / "dataset.jsonl").read_text().splitlines()
    for code, line in _spoilt(lines).items():
        file = tmp_path / f"{code}.jsonl"
        file.write_text("\n".join([*lines, line]) + "\n")
        made = evals.check_file(file)
        assert not made.ok
        assert next((one.code, one.line) for one in made.problems if one.severity == "error") == (code, len(lines) + 1)
    (tmp_path / "none.jsonl").write_text("\n")
    assert [one.code for one in evals.check_file(tmp_path / "none.jsonl").problems] == ["empty"]
    assert not evals.check_file(tmp_path / "none.jsonl").ok


@pytest.mark.parametrize("name", ["eval-v1", "eval-v2"])
def test_the_sets_that_ship_are_fit(name: str, tmp_path: Path) -> None:
    datasets.build(datasets.recipe(name), tmp_path / name)
    made = evals.check_file(tmp_path / name / "dataset.jsonl")
    assert made.errors == 0, made.problems
