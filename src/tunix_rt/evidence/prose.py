"""The two texts of a bundle, written from its facts alone: the same facts give the same words."""

from collections.abc import Sequence

from tunix_rt import statistics
from tunix_rt.comparisons import Block
from tunix_rt.evals.looks import Counted
from tunix_rt.evidence.contents import Facts, FileEntry, Looks
from tunix_rt.jobs import GenerateJob
from tunix_rt.scoring import Outcome, ReplyFormat, Tally

CONTENTS = """\
- `run.json`, `config.json`, `metrics.jsonl`, `environment.json`: the training run, what it was asked, every optimizer step,
  and the versions and device it ran on
- `dataset/`, `evalset/`: what it was trained and evaluated on, with their recipes; `stages/`: what it was trained on after that
- `base/`, `tuned/`: for each model the job, every whole output, every score and the summary
- `comparison.json`: the paired comparison; `model_card.md`: the model in one page
- `adapter/`: the trained weights, to be added to the base model
- `manifest.json`: size and sha256 of every file; `BUNDLE`: the sha256 of the manifest, which names this bundle
"""

CHECKING = """\
With nothing but Python, every byte, and every number from the stored scores:

    python3 -I verify.py BUNDLE.zip

A bundle brings its own `verify.py`; use a copy you trust. With tunix-rt, every answer is scored again as well:

    tunix-rt evidence verify BUNDLE.zip --depth 1
"""


def readme(facts: Facts, left_out: Sequence[FileEntry]) -> str:
    """`README.md`: the result, what is inside, how to check it, and what is not here."""
    run, comparison = facts.run, facts.comparison
    parts = [
        f"# Evidence: {run.model} tuned on {_trained_on(facts)}",
        f"Run `{run.run_id}`, {run.steps} steps, compared with its base model on the {comparison.n} items of "
        f"`{comparison.evalset}`, none of which it was trained on.",
        _results(facts),
        "Intervals are clustered by template group. The strict reading takes only the format that was taught; the lenient "
        "one looks for the answer anywhere.",
        f"Strict reading: {_difference(comparison, comparison.margin)}",
        f"Lenient reading: {_difference(comparison.lenient, comparison.margin)}",
        _format_share(comparison.format_share),
        _looks(facts.looks),
        "## What is inside",
        CONTENTS.rstrip(),
        "## How to check it",
        CHECKING.rstrip(),
    ]
    if left_out:
        names = [f"- `{entry.name}`: {entry.bytes} bytes, sha256 {entry.sha256}" for entry in left_out]
        parts += ["## What was left out", "Too large for the bundle, named by their digests:", "\n".join(names)]
    return "\n\n".join(parts) + "\n"


_WRITTEN: dict[ReplyFormat, str] = {
    "numbered": "numbered steps and a last line `Answer: ...`",
    "think": "numbered steps inside `<think>` and then the answer",
    "tags": "numbered steps inside `<reasoning>` and the answer inside `<answer>`",
}


def model_card(facts: Facts) -> str:
    """`model_card.md`, with the YAML header the Hub reads."""
    run, config = facts.run, facts.job.config
    strict = facts.tuned.evaluation.summary
    parts = [
        f"---\nbase_model: {run.model}\ndatasets:\n{_listed(facts)}\ntags:\n- tunix-rt\n- {config.tuning.method}\n---",
        f"# {run.model} tuned on {_trained_on(facts)}",
        f"Asked with `{facts.tuned.job.instruction}`, it wrote {_WRITTEN[facts.tuned.job.format]} for "
        f"{strict.correct + strict.wrong} of {strict.n} questions.",
        "## Training",
        f"- base model: {run.model}, digest `{run.model_digest}`\n"
        f"{_data(facts)}\n"
        f"- method: {config.tuning.method}, {run.trained_parameters} trained parameters, "
        f"learning rate {config.optimizer.learning_rate:g}, {run.epochs} epochs, {run.steps} steps, seed {run.seed}\n"
        f"- {run.trained_tokens} trained of {run.tokens} tokens; loss {run.first_loss:.4f} at the first step, "
        f"{run.loss:.4f} at the last\n"
        f"- device: {run.device}",
        evaluation(facts),
    ]
    return "\n\n".join(parts) + "\n"


def evaluation(facts: Facts) -> str:
    """What was measured, and what is not known."""
    strict, comparison = facts.tuned.evaluation.summary, facts.comparison
    parts = [
        "## Evaluation",
        _results(facts),
        f"Strict reading: {_difference(comparison, comparison.margin)}",
        "## Limits",
        f"Measured on {strict.n} items from {strict.groups} templates of `{strict.evalset}`, {_decoded(facts.tuned.job)}. Of "
        f"these it got {strict.wrong} wrong, {strict.unparseable} could not be read and {strict.truncated} were cut off at "
        f"{facts.tuned.job.max_new_tokens} tokens. Nothing is known about other kinds of questions.",
    ]
    return "\n\n".join(parts)


def _trained_on(facts: Facts) -> str:
    return ", then ".join(items.manifest.name for items in facts.trained_on.values())


def _listed(facts: Facts) -> str:
    return "\n".join(f"- {name}" for name in dict.fromkeys(items.manifest.name for items in facts.trained_on.values()))


def _data(facts: Facts) -> str:
    lines = []
    for train in (items.manifest for items in facts.trained_on.values()):
        sections = ", ".join(f"{count} {name}" for name, count in sorted(train.composition.section.items()))
        lines.append(
            f"- data: {train.name}, digest `{train.digest}`, {train.count} traces ({sections}), licence {train.licence}"
        )
    return "\n".join(lines)


def _results(facts: Facts) -> str:
    rows = ["| model | reading | correct | accuracy | 95 % interval | wrong | unreadable | cut off |", "|---" * 8 + "|"]
    for name, side in (("base", facts.base), ("tuned", facts.tuned)):
        summary, scores = side.evaluation.summary, side.evaluation.scores
        rows.append(_row(name, "strict", summary, [(row.strict, row.group) for row in scores]))
        rows.append(_row(name, "lenient", summary.lenient, [(row.lenient, row.group) for row in scores]))
    return "\n".join(rows)


def _row(name: str, reading: str, counts: Tally, scores: Sequence[tuple[Outcome, str]]) -> str:
    """The interval is the one clustered by template group: the narrower one over items would promise too much."""
    found = statistics.mean([float(outcome == "correct") for outcome, _ in scores], [group for _, group in scores])
    cells = (
        name,
        reading,
        f"{counts.correct} of {counts.n}",
        f"{100 * counts.accuracy:.1f} %",
        f"{100 * found.ci95.low:.1f} to {100 * found.ci95.high:.1f}",
        *map(str, (counts.wrong, counts.unparseable, counts.truncated)),
    )
    return f"| {' | '.join(cells)} |"


def _decoded(job: GenerateJob) -> str:
    if job.temperature == 0:
        return "with greedy decoding"
    first = f", the first of {job.samples} for each item" if job.samples > 1 else ""
    return f"with answers drawn at temperature {job.temperature:g}{first}"


def _difference(block: Block, margin: float) -> str:
    low, high = block.ci95
    verdict = f"equivalent within {100 * margin:g} points" if block.verdict == "equivalent" else block.verdict
    return (
        f"**{verdict}**, {100 * block.difference:+.1f} points (95 % interval {100 * low:+.1f} to {100 * high:+.1f}, "
        f"{block.groups} template groups); {block.fixed} items fixed, {block.broken} broken, McNemar mid-p "
        f"{block.p_value:.3g}; the smallest difference such a comparison detects is "
        f"{100 * block.minimum_detectable_effect:.1f} points."
    )


def _looks(seen: Looks | None) -> str:
    if seen is None:
        return "How often this evaluation set was looked at was not counted."
    return (
        f"The packer's workspace counted {Counted(seen.looks, seen.looks_at_runs)}: whoever looks often enough finds a lucky "
        "score. Looks made elsewhere are not among them."
    )


def _format_share(share: float | None) -> str:
    if share is None:
        return "The strict reading shows no gain, so there is none to divide between format and ability."
    return f"{100 * share:.0f} % of the strict gain is format: the lenient reading does not see it."
