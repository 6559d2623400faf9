"""The tables of a study, from answers that were made up: what is counted, what is told, what is not."""

import shutil
from collections.abc import Callable

import pytest

from made_up import MODEL_DIGEST, answered
from tunix_rt import datasets, evals, scoring, studies, traces, values
from tunix_rt.reports import telling
from tunix_rt.scoring import scorers
from tunix_rt.settings import Settings
from tunix_rt.studies import BASE, Cell, Findings, Study
from tunix_rt.traces import Trace

Answer = Callable[[int, Trace], str]


def right(trace: Trace) -> str:
    return scoring.render([step.content for step in trace.steps], trace.final_answer)


WRONG = "1. who knows\nAnswer: -1"


def nothing(_number: int, _trace: Trace) -> str:
    return "well"


def mostly(_number: int, trace: Trace) -> str:
    return right(trace)


def half(number: int, trace: Trace) -> str:
    return right(trace) if number % 2 else WRONG


def always_two(_number: int, _trace: Trace) -> str:
    return "1. I look\nAnswer: 2"


def _asked(settings: Settings, study: Study, arm: str, seed: int | None, answers: dict[str, Answer]) -> None:
    """Evaluations of one run, as if it had answered so."""
    found = {}
    for name, question in study.questions.items():
        evalset = datasets.find(settings, question.evalset)
        items = list(traces.read(evalset.path))
        said = [(answers[name](number, trace), "stop") for number, trace in enumerate(items)]
        folder = settings.evals / f"{arm}-{seed}-{name}"
        run_id = None if seed is None else f"{arm}-{seed}"
        answered(folder, evalset, said, run_id=run_id, adapter_digest=run_id and MODEL_DIGEST, model_digest=MODEL_DIGEST)
        for metric in question.metrics:
            if metric in scorers.KINDS:
                evals.rescore(settings, folder, scorers.named(metric))
        found[name] = folder.name
    studies.keep(settings, study, Cell(arm=arm, seed=seed, run_id=None, evaluations=found, finished_at=1.0))


@pytest.fixture(scope="module")
def findings(stocked: Settings, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    settings = Settings(home=shutil.copytree(stocked.home, tmp_path_factory.mktemp("answered") / "home"))
    _asked(settings, study, BASE, None, {"problems": nothing, "detection": nothing})
    for seed in study.seeds:
        _asked(settings, study, "sums", seed, {"problems": half, "detection": always_two})
        _asked(settings, study, "ordered", seed, {"problems": mostly, "detection": mostly})
    ordered = settings.evals / f"ordered-{study.seeds[0]}-problems"
    _, other = evals.rescore(settings, ordered, scorers.named("steps", {"mode": "free"}))  # made last, and no part of the study
    rows = [row | {"details": {**row["details"], "ok": 0}} for _, row in values.read_jsonl(other / "scores.jsonl")]
    values.write_jsonl(other / "scores.jsonl", rows)
    assert studies.missing(settings, study) == []
    return studies.analyse(settings, study)


def test_every_number_is_the_count_of_the_answers(findings: Findings, study: Study) -> None:
    def value(metric: str, arm: str, part: str = "all") -> float:
        return findings.measure("detection", metric, arm, part).value

    assert [value("detection", arm) for arm in (BASE, "sums", "ordered")] == [0.0, 0.5, 1.0]
    assert (value("sensitivity", "sums"), value("false alarms", "sums")) == (1.0, 1.0)
    assert value("first wrong step exact", "sums") == pytest.approx(findings.most_frequent_step)
    assert (value("sensitivity", "ordered"), value("false alarms", "ordered")) == (1.0, 0.0)
    assert (value("unanswered", BASE), value("unanswered", "ordered")) == (1.0, 0.0)
    assert value("detection", "ordered", "new") == 1.0
    assert findings.measure("problems", "strict", "sums").value == 0.5
    assert findings.step_accuracy["ordered"] == (1.0, 1.0)
    assert len(findings.measure("problems", "lenient", "ordered").by_seed) == len(study.seeds)


def test_seeds_widen_the_interval_and_all_right_is_no_certainty(findings: Findings) -> None:
    ordered = findings.measure("problems", "lenient", "ordered")
    assert ordered.value == 1.0
    assert ordered.ci95[0] < 0.9
    assert ordered.ci95[1] == 1.0


def test_planned_comparisons_are_one_family_for_each_question(findings: Findings) -> None:
    made = [(one.arm, one.reference) for one in findings.contrasts if one.question == "detection"]
    assert made == [("sums", BASE), ("ordered", BASE), ("ordered", "sums")]
    for one in findings.contrasts:
        assert one.p_adjusted >= one.p_value
        assert one.ci95[0] <= one.difference <= one.ci95[1]
        assert one.verdict not in ("better", "worse") or one.p_adjusted < 0.05
    better = next(one for one in findings.contrasts if (one.question, one.arm, one.reference) == ("detection", "ordered", BASE))
    assert (better.difference, better.verdict) == (1.0, "better")


def test_the_words_follow_from_the_numbers(findings: Findings, study: Study) -> None:
    told = "\n".join(telling.answers(findings, study))
    assert "detection: **ordered** is better than base, +100.0 points" in told
    assert "detection: sums is not shown to do better than always saying the same" in told
    assert "ordered tells right attempts from wrong ones better than always saying the same" in told
    unsure = [one for one in findings.contrasts if one.verdict == "cannot tell"]
    limits = telling.limits(findings, study)
    assert len(limits) == len(unsure) + 3
    assert "counts as wrong (base 100 %, sums 0 %, ordered 0 %)" in "\n".join(limits)
    assert all(f"{one.question}: whether {one.arm} differs from {one.reference}" in "\n".join(limits) for one in unsure)
