from pathlib import Path
from typing import Any

import pytest

from tunix_rt import comparisons, errors, scoring, statistics
from tunix_rt.comparisons import Evaluation, EvaluationSummary
from tunix_rt.traces import Step, Trace
from tunix_rt.values import write_json, write_jsonl

N = 60
TRACES = [
    Trace(
        prompt=f"What is {i} + 1?",
        steps=(Step(i=1, type="compute", content=f"{i} + 1 = {i + 1}"),),
        final_answer=str(i + 1),
        meta={"group": f"sum/{i % 12}"},
    )
    for i in range(N)
]


def _output(trace: Trace, form: str) -> str:
    answer = trace.final_answer
    return {
        "right": f"1. add\nAnswer: {answer}",
        "loose": f"It is {answer}",
        "wrong": "1. add\nAnswer: 0",
        "none": "?",
    }[form]


def _evaluation(name: str, forms: list[str], **changes: Any) -> Evaluation:
    predictions, scores = [], []
    for trace, form in zip(TRACES, forms, strict=True):
        output = _output(trace, form)
        row = scoring.score(trace.id, trace.meta["group"], trace.final_answer, output, "stop")
        parsed = scoring.parse_strict(output)
        scores.append(row)
        predictions.append(
            scoring.Prediction(
                item=trace.id,
                prompt=trace.prompt,
                output=output,
                answer=row.answer,
                steps=parsed.steps if parsed else (),
                tokens=5,
                prompt_tokens=9,
                finish="stop",
            )
        )
    names: dict[str, Any] = {
        "evaluation_id": name,
        "run_id": None,
        "label": name,
        "model": "tiny",
        "model_digest": "m",
        "adapter_digest": None,
        "evalset": "sums",
        "evalset_digest": "e",
        "instruction_digest": "i",
        "seconds": 1.5,
        "tokens": 300,
    }
    numbers = scoring.summarise(scores).model_dump()
    return Evaluation(EvaluationSummary(**{**names, **numbers, **changes}), tuple(scores), tuple(predictions))


BASE = _evaluation("base", ["loose"] * 20 + ["wrong"] * 30 + ["none"] * 5 + ["right"] * 5)
TUNED = _evaluation("tuned", ["right"] * 45 + ["wrong"] * 10 + ["right"] * 3 + ["wrong"] * 2)


def _save(evaluation: Evaluation, folder: Path) -> Path:
    write_jsonl(folder / "predictions.jsonl", (row.model_dump(mode="json") for row in evaluation.predictions))
    write_jsonl(folder / "scores.jsonl", (row.model_dump(mode="json") for row in evaluation.scores))
    write_json(folder / "summary.json", evaluation.summary.model_dump(mode="json"))
    return folder


def test_the_strict_comparison_is_the_paired_one() -> None:
    made = comparisons.compare(BASE, TUNED)
    before, after = [[float(row.strict == "correct") for row in one.scores] for one in (BASE, TUNED)]
    wanted = statistics.paired(before, after, [trace.meta["group"] for trace in TRACES])
    assert {key: getattr(made, key) for key in wanted._fields} == wanted._asdict()
    assert (made.baseline, made.candidate, made.verdict, made.fixed, made.broken) == ("base", "tuned", "better", 45, 2)


def test_a_gain_in_format_shows_as_such() -> None:
    made = comparisons.compare(BASE, TUNED)
    assert made.lenient.difference == pytest.approx(23 / 60)
    assert made.format_gain == pytest.approx(20 / 60)
    assert made.format_share == pytest.approx(20 / 43)


def test_a_gain_that_is_only_format_is_all_format() -> None:
    made = comparisons.compare(_evaluation("loose", ["loose"] * N), _evaluation("right", ["right"] * N))
    assert (made.verdict, made.format_share, made.lenient.difference) == ("better", 1, 0)


def test_a_loss_has_no_format_share() -> None:
    made = comparisons.compare(TUNED, BASE)
    assert (made.verdict, made.format_share) == ("worse", None)


def test_items_are_paired_by_name_not_by_place() -> None:
    backwards = TUNED._replace(scores=TUNED.scores[::-1], predictions=TUNED.predictions[::-1])
    assert comparisons.compare(BASE, backwards) == comparisons.compare(BASE, TUNED)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (_evaluation("other", ["right"] * N, evalset_digest="x"), "different evaluation sets"),
        (_evaluation("other", ["right"] * N, instruction_digest="x"), "different instructions"),
        (TUNED._replace(scores=TUNED.scores[1:]), "same items: 1 differ"),
        (
            TUNED._replace(scores=(TUNED.scores[0].model_copy(update={"expected": "9"}), *TUNED.scores[1:])),
            "expect different answers",
        ),
        (
            TUNED._replace(scores=(TUNED.scores[0].model_copy(update={"group": "g"}), *TUNED.scores[1:])),
            "group it differently",
        ),
    ],
)
def test_refuses_what_cannot_be_compared(changed: Evaluation, problem: str) -> None:
    with pytest.raises(errors.Invalid, match=problem):
        comparisons.compare(BASE, changed)


def test_load_reads_what_was_saved_and_keeps_further_keys(tmp_path: Path) -> None:
    saved = _evaluation("base", ["loose"] * N, note="kept")
    assert comparisons.load(_save(saved, tmp_path)) == saved


@pytest.mark.parametrize("missing", ["summary.json", "scores.jsonl", "predictions.jsonl"])
def test_load_names_the_missing_file(tmp_path: Path, missing: str) -> None:
    (_save(BASE, tmp_path) / missing).unlink()
    with pytest.raises(errors.NotFound, match=missing):
        comparisons.load(tmp_path)


def test_load_names_the_broken_row(tmp_path: Path) -> None:
    rows = [row.model_dump(mode="json") for row in BASE.scores]
    rows[2]["strict"] = "maybe"
    _save(BASE, tmp_path)
    write_jsonl(tmp_path / "scores.jsonl", rows)
    with pytest.raises(errors.Invalid, match=r"scores.jsonl, line 3: 'strict' is 'maybe'"):
        comparisons.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (BASE._replace(predictions=BASE.predictions[::-1]), "same order"),
        (BASE._replace(predictions=BASE.predictions[:1] * 2, scores=BASE.scores[:1] * 2), "occurs twice"),
        (BASE._replace(predictions=BASE.predictions[:3], scores=BASE.scores[:3]), "counts 60 items, but there are 3"),
    ],
)
def test_load_refuses_rows_that_do_not_belong_together(tmp_path: Path, changed: Evaluation, problem: str) -> None:
    with pytest.raises(errors.Invalid, match=problem):
        comparisons.load(_save(changed, tmp_path))


def test_examples_show_fixed_items_of_different_groups_first() -> None:
    shown = comparisons.examples(BASE, TUNED, TRACES, 14)
    assert {example.change for example in shown[:12]} == {"fixed"}
    assert len({example.group for example in shown[:12]}) == 12
    first = shown[0]
    trace = next(trace for trace in TRACES if trace.id == first.item)
    assert (first.prompt, first.expected, first.after) == (trace.prompt, trace.final_answer, _output(trace, "right"))


def test_examples_are_the_same_whatever_the_order_and_never_more_than_there_are() -> None:
    backwards = BASE._replace(scores=BASE.scores[::-1], predictions=BASE.predictions[::-1])
    assert comparisons.examples(backwards, TUNED, TRACES, 5) == comparisons.examples(BASE, TUNED, TRACES, 5)
    everything = comparisons.examples(BASE, TUNED, TRACES, 1000)
    assert [example.change for example in everything] == sorted(
        (example.change for example in everything), key=comparisons.CHANGES.index
    )
    assert len(everything) == N
