"""Score stored predictions again, by another scorer: nothing is generated, and the evaluation itself stays as it is.

What a scorer found lies in `rescores/<scorer>-<digest>/` of the evaluation's folder: `scorer.json`, `scores.jsonl` and, written
last, `summary.json`. The digest is of scorer, options and version, so the same question is answered once.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tunix_rt import datasets, errors, jobs, plugins, statistics, tasks, traces, values
from tunix_rt.jobs import GenerateJob
from tunix_rt.scoring import Prediction, ReplyFormat, limited
from tunix_rt.scoring.scorers import PLUGINS, STORED, Case, Judge, Scored, Scorer
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace
from tunix_rt.values import Value

FOLDER = "rescores"


class Rescored(Value):
    """`skipped` items are none of this scorer's business; `refused` ones could not be graded within the limits. `unjudged`
    items got no verdict of a judge: they have no mark, and n does not count them.

    `plugin` is the package whose code gave the marks, with its version, None for ours.

    `accuracy` is correct of n, with the Wilson interval; `ci95_clustered` clusters by template group. `measures` are the
    scorer's own: for steps see `_steps`.
    """

    evaluation_id: str
    scorer: str
    scorer_digest: str
    plugin: str | None = None
    n: int
    skipped: int
    refused: int
    unjudged: int = 0
    correct: int
    wrong: int
    unparseable: int
    truncated: int
    accuracy: float
    ci95: tuple[float, float]
    groups: int
    ci95_clustered: tuple[float, float]
    measures: dict[str, Any]


def items(settings: Settings, folder: Path) -> dict[str, Trace]:
    """The items an evaluation was asked, by id: from the evaluation set its job names, in this workspace or where it lay."""
    path = folder / "items.jsonl"
    if path.is_file():  # an imported evaluation brings its own
        return {trace.id: trace for trace in traces.read(path)}
    source = folder / "config.json"
    job = GenerateJob.parse(values.read_json(source), source=str(source))
    there = settings.datasets / job.evalset
    if not (there / "manifest.json").is_file() and (folder / "inputs.json").is_file():
        there = jobs.read(folder)[1].dataset
    found = datasets.open_dataset(there)
    if found.manifest.digest != job.evalset_digest:
        raise errors.Conflict(
            f"{there} is not the evaluation set {job.evalset_digest[:12]} this evaluation was made on; build that one again.",
            have=found.manifest.digest,
            want=job.evalset_digest,
        )
    return {trace.id: trace for trace in traces.read(found.path)}


def format_of(folder: Path) -> ReplyFormat:
    """The format an evaluation was asked for; an imported one has no job and is read in the first of them."""
    path = folder / "config.json"
    return GenerateJob.parse(values.read_json(path), source=str(path)).format if path.is_file() else "numbered"


def cases(settings: Settings, folder: Path) -> list[Case]:
    """What was asked and said, in the order of `predictions.jsonl`."""
    return [case for _, case in _cases(settings, folder, "predictions.jsonl")]


def attempted(settings: Settings, folder: Path) -> list[tuple[int, Case]]:
    """Every attempt at every item with its number from 0, where an evaluation took several samples."""
    several = (folder / "generations.jsonl").is_file()
    return _cases(settings, folder, "generations.jsonl" if several else "predictions.jsonl")


def _cases(settings: Settings, folder: Path, file: str) -> list[tuple[int, Case]]:
    known, form = items(settings, folder), format_of(folder)
    found = []
    for number, row in values.read_jsonl(folder / file):
        source = f"{folder / file}, line {number}"
        sample = int(row.pop("sample", 0))
        said = Prediction.parse({"answer": None, "steps": (), **row}, source=source)
        if said.item not in known:
            raise errors.Tampered(f"{source}: item {said.item[:12]!r} is not in the evaluation set.", item=said.item)
        trace = known[said.item]
        case = Case(
            item=said.item,
            group=str(trace.meta.get("group", "")),
            reference=trace,
            output=said.output,
            finish=said.finish,
            tokens=said.tokens,
            form=form,
        )
        found.append((sample, case))
    return found


def place(folder: Path, scorer: Scorer | Judge) -> Path:
    return folder / FOLDER / f"{scorer.name}-{digest(scorer)[:12]}"


def digest(scorer: Scorer | Judge) -> str:
    """Over every option, the defaults included: a scorer's name and version are defaults too."""
    return values.sha256(values.canonical(scorer.model_dump(mode="json")))


def rescore(
    settings: Settings, folder: Path, scorer: Scorer, update: Callable[[int, int], None] = lambda _done, _of: None
) -> tuple[Rescored, Path]:
    """Grade every item in a limited process and keep the result; one that is there already is read, not made again.

    `update` hears of every item; when it raises, nothing is kept.
    """
    out = place(folder, scorer)
    if (out / "summary.json").is_file():
        return _read(out), out
    every = cases(settings, folder)
    wanted = [case for case in every if scorer.applies(case)]
    if not wanted:
        raise errors.Invalid(f"scorer {scorer.name!r} applies to none of the {len(every)} items.", scorer=scorer.name)
    rows = []
    with closing(limited.grade(scorer, wanted)) as marks:
        for row in marks:
            rows.append(row)
            update(len(rows), len(wanted))
    made = summarise(folder, scorer, rows, skipped=len(every) - len(wanted))
    values.write_json(out / "scorer.json", scorer.model_dump(mode="json"))
    values.write_jsonl(out / "scores.jsonl", (row.model_dump(mode="json") for row in rows))
    values.write_json(out / "summary.json", made.model_dump(mode="json"))
    return made, out


def brought(scorer: Scorer | Judge) -> str | None:
    """The package whose code gives the marks, with its version; None for ours."""
    package = tasks.package(tasks.gym.PREFIX) if scorer.name == "gym" else plugins.package(PLUGINS, scorer.name)
    return " ".join(package) if package else None


def listed(folder: Path) -> Iterator[tuple[Rescored, Path]]:
    """What an evaluation was rescored by, with the folder of each; by scorer."""
    for path in sorted(folder.glob(f"{FOLDER}/*/summary.json")):
        yield _read(path.parent), path.parent


def _read(out: Path) -> Rescored:
    path = out / "summary.json"
    return Rescored.parse(values.read_json(path), source=str(path))


def scored_by(folder: Path, name: str) -> dict[str, Path]:
    """Where the marks of the scorer called `name` lie, by its digest, which is of its options too; those made last come first.

    `errors.NotFound` when there are none.
    """
    found = {made.scorer_digest: out for made, out in listed(folder) if made.scorer == name}
    if not found:
        raise errors.NotFound(
            f"evaluation {folder.name} is not scored by {name!r} yet: run tunix-rt rescore {folder.name} --scorer {name}",
            scorer=name,
        )
    return dict(sorted(found.items(), key=lambda pair: -(pair[1] / "summary.json").stat().st_mtime_ns))


def latest(folder: Path, name: str, digest: str | None = None) -> tuple[Scorer | Judge, list[Scored]]:
    """The marks of the scorer called `name`: of several options those with this digest, without one those made last."""
    found = scored_by(folder, name)
    out = found.get(digest or next(iter(found)))
    if out is None:
        raise errors.NotFound(
            f"evaluation {folder.name} is not scored by the {name!r} of digest {digest}: run tunix-rt rescore {folder.name} "
            f"--scorer {name} with the options that are asked for.",
            scorer=name,
        )
    rows = [Scored.parse(row, source=f"{out}, line {number}") for number, row in values.read_jsonl(out / "scores.jsonl")]
    return _scorer(out), rows


def shared(baseline: Path, candidate: Path, name: str, locked: Collection[str] = ()) -> str:
    """The digest of the scorer called `name` that gave marks to both: of several, the one that scored the baseline last. When
    some are `locked`, only those count.

    `errors.Invalid` names the options that differ, and the commands that score both alike.
    """
    ours, theirs = (scored_by(folder, name) for folder in (baseline, candidate))
    fit = [digest for digest in ours if not locked or digest in locked]
    if not fit:
        raise errors.Invalid(
            f"evaluation {baseline.name} has no marks of the {name!r} that was locked; run tunix-rt "
            f"rescore {baseline.name} --scorer {name} with the options of then, or lock again before the candidate is asked.",
            locked=sorted(locked),
        )
    for digest in fit:
        if digest in theirs:
            return digest
    was, now = ours[fit[0]], next(iter(theirs.values()))
    differ = values.differences(*(values.read_json(out / "scorer.json") for out in (was, now)))
    told = ", ".join(f"{option} {one!r} and {other!r}" for option, one, other in differ)
    alike = "; ".join(command(folder, _scorer(was)) for folder in (baseline, candidate))
    raise errors.Invalid(
        f"{baseline.name} and {candidate.name} were scored by {name!r} with {told}"
        f"{', and the first is locked' if locked else ''}; score both alike: {alike}",
        baseline=fit[0],
        candidate=next(iter(theirs)),
    )


def command(folder: Path, scorer: Scorer | Judge) -> str:
    """What scores an evaluation so, for a shell."""
    flags = {"model": "--judge-model", "endpoint": "--judge-url"} if isinstance(scorer, Judge) else {}
    derived = {"name", "version"} | ({"model_digest", "adapter_digest", "template_digest"} if flags else set())
    words = ["tunix-rt", "rescore", folder.name, "--scorer", scorer.name]
    for option, value in scorer.model_dump(mode="json", exclude_defaults=True, exclude=derived).items():
        words += [flags[option], str(value)] if option in flags else ["--option", f"{option}={value}"]
    return shlex.join(words)


def _scorer(out: Path) -> Scorer | Judge:
    return STORED.validate_python(values.read_json(out / "scorer.json"))


def summarise(folder: Path, scorer: Scorer | Judge, rows: Sequence[Scored], *, skipped: int) -> Rescored:
    """The numbers of at least one mark. The measures of a judge are `judging`'s to add."""
    counts = Counter(row.outcome for row in rows)
    clustered = statistics.mean([row.value for row in rows], [row.group for row in rows])
    return Rescored(
        evaluation_id=str(values.read_json(folder / "summary.json")["evaluation_id"]),
        scorer=scorer.name,
        scorer_digest=digest(scorer),
        plugin=brought(scorer),
        n=len(rows),
        skipped=skipped,
        refused=sum("grading" in row.details for row in rows),
        correct=counts["correct"],
        wrong=counts["wrong"],
        unparseable=counts["unparseable"],
        truncated=counts["truncated"],
        accuracy=counts["correct"] / len(rows),
        ci95=statistics.wilson(counts["correct"], len(rows)),
        groups=clustered.groups,
        ci95_clustered=clustered.ci95,
        measures=_MEASURES.get(scorer.name, _none)(rows),
    )


def _none(_rows: Sequence[Scored]) -> dict[str, Any]:
    return {}


def _lengths(rows: Sequence[Scored]) -> dict[str, Any]:
    sizes = sorted(int(row.details["tokens"]) for row in rows if "tokens" in row.details)
    if not sizes:
        return {}
    return {"tokens_mean": sum(sizes) / len(sizes), "tokens_median": sizes[len(sizes) // 2], "tokens_max": sizes[-1]}


def _steps(rows: Sequence[Scored]) -> dict[str, Any]:
    """Step accuracy is ok of all checked steps, coverage checked of all steps, both over all items together.

    `right_answer_wrong_reasoning` and its reverse are counts, with their share of all right and of all wrong answers.
    """
    judged = [row.details for row in rows if "reasoning" in row.details]
    total = {key: sum(int(row[key]) for row in judged) for key in ("steps", "ok", "wrong", "ungrounded", "unchecked")}
    checked = total["steps"] - total["unchecked"]
    right = [row for row in judged if row["answer_right"]]
    wrong = [row for row in judged if not row["answer_right"]]
    lucky = sum(row["reasoning"] == "wrong" for row in right)
    slipped = sum(row["reasoning"] == "right" for row in wrong)
    first = Counter(str(row["first_wrong"]) for row in judged if row["first_wrong"] is not None)
    return {
        **total,
        "step_accuracy": total["ok"] / checked if checked else None,
        "coverage": checked / total["steps"] if total["steps"] else 0.0,
        "first_wrong": dict(sorted(first.items(), key=lambda pair: int(pair[0]))),
        "answers_right": len(right),
        "right_answer_wrong_reasoning": lucky,
        "right_answer_wrong_reasoning_share": lucky / len(right) if right else None,
        "answers_wrong": len(wrong),
        "wrong_answer_right_reasoning": slipped,
        "wrong_answer_right_reasoning_share": slipped / len(wrong) if wrong else None,
    }


def _detection(rows: Sequence[Scored]) -> dict[str, Any]:
    """Of the faulty attempts: how many were said to have a wrong step, and the right one; of the right ones how many were. An
    answer that cannot be read is neither. `balanced_accuracy` is one half for who always says the same.

    `most_frequent_step_exact` is the share of the faulty attempts whose first wrong step is the most frequent one: what
    naming that step every time would reach.
    """
    faulty = [row for row in rows if row.details["first_wrong"]]
    sound = [row for row in rows if not row.details["first_wrong"]]
    if not faulty or not sound:
        return {"faulty": len(faulty), "sound": len(sound)}
    sensitivity = sum(row.outcome == "correct" for row in faulty) / len(faulty)
    specificity = sum(row.outcome == "correct" for row in sound) / len(sound)
    usual = Counter(row.details["first_wrong"] for row in faulty).most_common(1)[0][1]
    return {
        "faulty": len(faulty),
        "sound": len(sound),
        "sensitivity": sensitivity,
        "false_alarms": sum(row.outcome == "wrong" for row in sound) / len(sound),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "first_wrong_exact": sum(row.details["said"] == row.details["first_wrong"] for row in faulty) / len(faulty),
        "most_frequent_step_exact": usual / len(faulty),
        "unanswered": sum(row.details["said"] is None for row in rows),
    }


def _gym(rows: Sequence[Scored]) -> dict[str, Any]:
    """Many verifiers give part of a mark to an answer that is partly right; only the whole mark counts as correct."""
    marks = [float(row.details["mark"]) for row in rows if "mark" in row.details]
    return {"mean_mark": sum(marks) / len(marks) if marks else None, "partly_right": sum(0 < mark < 1 for mark in marks)}


_MEASURES: dict[str, Callable[[Sequence[Scored]], dict[str, Any]]] = {
    "steps": _steps,
    "length": _lengths,
    "detection": _detection,
    "gym": _gym,
}
