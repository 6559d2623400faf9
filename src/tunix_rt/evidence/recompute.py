"""Depth 1: compute everything again that follows from the files of a bundle, and name what does not."""

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import comparisons, datasets, jobs, scoring, values
from tunix_rt.evals.looks import tuned as at_runs
from tunix_rt.evidence import contents, prose, sbom, standalone
from tunix_rt.evidence.contents import LOOKS, REJECTS, TENSORS, TENSORS_CONFIG, Facts, FileEntry, Side
from tunix_rt.scoring import Prediction, ReplyFormat, ScoreRow
from tunix_rt.traces import Trace

DATA = "dataset.jsonl"
TOLERANCE = 1e-12


class Bundle(NamedTuple):
    """The files, what they say, what was left out of them and which version of tunix-rt packed them."""

    members: Mapping[str, bytes]
    facts: Facts
    left_out: tuple[FileEntry, ...]
    packed_by: str


class Check(NamedTuple):
    """`about` says in words what holds when `failures` yields nothing."""

    about: str
    failures: Callable[[Bundle], Iterator[str]]


def own_version() -> str:
    """The version, and a digest of what writes the texts of a bundle: two states of one version may write other words."""
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (standalone, prose, sbom))
    return f"{metadata.version('tunix-rt')}+{values.sha256(sources)[:8]}"


def own_script() -> bytes:
    return Path(standalone.__file__).read_bytes()


def _identities(bundle: Bundle) -> Iterator[str]:
    run, job, _, _, trainset, evalset, base, tuned, comparison, *_ = bundle.facts
    yield from _different("run.json", run, job, ("run_id", "model_digest", "dataset", "dataset_digest"))
    yield from _unequal("run.json: config_digest", run.config_digest, job.config.digest)
    yield from _unequal("run.json: model", run.model, job.config.model)
    yield from _unequal("dataset_digest", run.dataset_digest, trainset.manifest.digest)
    stages = tuple(items.manifest.digest for items in bundle.facts.trained_on.values()) if job.config.stages else ()
    yield from _unequal("config.json: stage_digests", job.stage_digests, stages)
    yield from _unequal("run.json: stages", tuple(one.dataset_digest for one in run.stages), stages)
    yield from _unequal("base: adapter_digest", base.job.adapter_digest, None)
    yield from _unequal("base: run_id", base.job.run_id, None)
    alike = tuned.job.model_copy(update={"run_id": None, "adapter_digest": None})
    for field, one, other in values.differences(base.job.model_dump(mode="json"), alike.model_dump(mode="json")):
        yield f"base and tuned were not asked alike: {field} is {one!r} for base and {other!r} for tuned"
    yield from _unequal("tuned: adapter_digest", tuned.job.adapter_digest, run.adapter_digest)
    yield from _unequal("tuned: run_id", tuned.job.run_id, run.run_id)
    for name, side in (("base", base), ("tuned", tuned)):
        yield from _unequal(f"{name}: model_digest", side.job.model_digest, run.model_digest)
        yield from _unequal(f"{name}: evalset_digest", side.job.evalset_digest, evalset.manifest.digest)
        yield from _summary_names(name, side)
    yield from _unequal("comparison.json: baseline", comparison.baseline, base.evaluation.summary.evaluation_id)
    yield from _unequal("comparison.json: candidate", comparison.candidate, tuned.evaluation.summary.evaluation_id)


def _summary_names(name: str, side: Side) -> Iterator[str]:
    summary, job = side.evaluation.summary, side.job
    keys = ("run_id", "model", "model_digest", "adapter_digest", "evalset", "evalset_digest")
    yield from _different(f"{name}/summary.json", summary, job, keys)
    instruction = values.sha256(job.instruction.encode())
    yield from _unequal(f"{name}/summary.json: instruction_digest", summary.instruction_digest, instruction)
    yield from _unequal(f"{name}/summary.json: format", summary.format, job.format)
    yield from _unequal(f"{name}/summary.json: evaluation_id", summary.evaluation_id, job.digest[:16])


def _datasets(bundle: Bundle) -> Iterator[str]:
    for folder, items in {**bundle.facts.trained_on, "evalset": bundle.facts.evalset}.items():
        names = [name for name in (DATA, REJECTS) if f"{folder}/{name}" in bundle.members]
        found = {name: values.sha256(bundle.members[f"{folder}/{name}"]) for name in names}
        yield from _unequal(f"{folder}/manifest.json: files", items.manifest.files, found)
        yield from _unequal(f"{folder}/manifest.json: count", items.manifest.count, len(items.traces))
        root = values.merkle_root(trace.id for trace in items.traces)
        yield from _unequal(f"{folder}/manifest.json: merkle_root", items.manifest.merkle_root, root)


def _leaks(bundle: Bundle) -> Iterator[str]:
    shown = [trace for items in bundle.facts.trained_on.values() for trace in items.traces]
    trained = {datasets.canonical_prompt(trace.prompt) for trace in shown}
    for number, trace in enumerate(bundle.facts.evalset.traces, start=1):
        if datasets.canonical_prompt(trace.prompt) in trained:
            yield f"evalset/dataset.jsonl, line {number}: the prompt is also in the training set"


def _generations(bundle: Bundle) -> Iterator[str]:
    for name, side in _sides(bundle):
        rows, traces = side.evaluation.predictions, jobs.spread(list(bundle.facts.evalset.traces), side.job.limit)
        if {row.item for row in rows} != {trace.id for trace in traces} or len(rows) != len(traces):
            yield f"{name}/predictions.jsonl does not hold every item its config.json asks for exactly once"
            continue
        prompts = {trace.id: trace.prompt for trace in traces}
        for number, row in enumerate(rows, start=1):
            tokens = -1 if row.tokens is None else row.tokens
            finish = "stop" if tokens < side.job.max_new_tokens else "length"
            fits = row.finish == finish and 0 <= tokens <= side.job.max_new_tokens
            if row.prompt != prompts[row.item] or not fits:
                yield f"{name}/predictions.jsonl, line {number}: its prompt, finish or tokens are not what was asked for"
        total = sum(row.tokens or 0 for row in rows)
        yield from _unequal(f"{name}/summary.json: tokens", side.evaluation.summary.tokens, total)


def _scores(bundle: Bundle) -> Iterator[str]:
    items = {trace.id: trace for trace in bundle.facts.evalset.traces}
    for name, side in _sides(bundle):
        rows = zip(side.evaluation.scores, side.evaluation.predictions, strict=True)
        for number, (stored, said) in enumerate(rows, start=1):
            parsed = scoring.parse_strict(said.output, side.job.format)
            if stored != _scored(items.get(said.item), said, side.job.format):
                yield f"{name}/scores.jsonl, line {number}: scoring the stored output again gives another row"
            if (said.answer, said.steps) != ((parsed.answer, parsed.steps) if parsed else (None, ())):
                yield f"{name}/predictions.jsonl, line {number}: its output has another answer or other steps"


def _scored(item: Trace | None, said: Prediction, form: ReplyFormat) -> ScoreRow | None:
    if item is None:
        return None
    return scoring.score(item.id, str(item.meta.get("group", "")), item.final_answer, said.output, said.finish, form)


def _summaries(bundle: Bundle) -> Iterator[str]:
    for name, side in _sides(bundle):
        stored = side.evaluation.summary.model_dump(mode="json")
        made = scoring.summarise(side.evaluation.scores).model_dump(mode="json")
        yield from standalone.differences(stored, made, f"{name}/summary.json", TOLERANCE)


def _comparison(bundle: Bundle) -> Iterator[str]:
    stored = bundle.facts.comparison
    made = comparisons.compare(bundle.facts.base.evaluation, bundle.facts.tuned.evaluation, stored.margin)
    yield from standalone.differences(
        stored.model_dump(mode="json"), made.model_dump(mode="json"), "comparison.json", TOLERANCE
    )


def _looks(bundle: Bundle) -> Iterator[str]:
    seen = bundle.facts.looks
    if seen is None:
        return
    yield from _unequal(f"{LOOKS}: looks", seen.looks, len(seen.data))
    yield from _unequal(f"{LOOKS}: looks_at_runs", seen.looks_at_runs, at_runs(seen.data))
    for look in seen.data:
        yield from _unequal(f"{LOOKS}: evalset_digest", look.evalset_digest, bundle.facts.evalset.manifest.digest)


def _training(bundle: Bundle) -> Iterator[str]:
    run, rows = bundle.facts.run, bundle.facts.metrics
    if not rows or [row.get("step") for row in rows] != list(range(1, len(rows) + 1)):
        yield "metrics.jsonl does not hold one line for every step from 1"
        return
    padding, useful, shared = (_total(rows, key) for key in ("padding_tokens", "tokens", "shared_tokens"))
    made = {
        "steps": len(rows),
        "first_loss": rows[0].get("loss"),
        "loss": rows[-1].get("loss"),
        "tokens": useful,
        "shared_tokens": shared,
        "trained_tokens": _total(rows, "trained_tokens"),
        "examples": _total(rows, "examples"),
        "padding_share": round(padding / max(1, padding + useful - shared), 4),
    }
    yield from standalone.differences(run.model_dump(mode="json"), made, "run.json", TOLERANCE)


def _total(rows: tuple[dict[str, Any], ...], key: str) -> int:
    return sum(value for row in rows if isinstance(value := row.get(key), int))


def _adapter(bundle: Bundle) -> Iterator[str]:
    found = {entry.name: entry.sha256 for entry in bundle.left_out}
    found |= {name: values.sha256(data) for name, data in bundle.members.items() if name in (TENSORS, TENSORS_CONFIG)}
    if found.keys() != {TENSORS, TENSORS_CONFIG}:
        yield "the adapter's two files are neither here nor named as left out"
    if (TENSORS in bundle.members) != (TENSORS_CONFIG in bundle.members):
        yield "of the adapter's two files, one is here and one is not"
    run = bundle.facts.run
    yield from _unequal(f"{TENSORS}: sha256", found.get(TENSORS), run.adapter_digest)
    if TENSORS_CONFIG in bundle.members:
        config = contents.decoded(bundle.members[TENSORS_CONFIG], TENSORS_CONFIG)
        yield from _unequal(f"{TENSORS_CONFIG}: sha256", config.get("sha256"), run.adapter_digest)
        yield from _unequal(f"{TENSORS_CONFIG}: base_model_digest", config.get("base_model_digest"), run.model_digest)


def _prose(bundle: Bundle) -> Iterator[str]:
    for name, made in written(bundle.facts, bundle.left_out).items():
        if bundle.members.get(name) != made:
            yield f"{name} is not what tunix-rt {bundle.packed_by} writes from these facts"


def written(facts: Facts, left_out: tuple[FileEntry, ...]) -> dict[str, bytes]:
    """The files a bundle gets from this version of tunix-rt and the facts alone."""
    return {
        "README.md": prose.readme(facts, left_out).encode(),
        "model_card.md": prose.model_card(facts).encode(),
        "verify.py": own_script(),
        "sbom.json": sbom.cyclonedx(facts.environment),
    }


def _sides(bundle: Bundle) -> tuple[tuple[str, Side], tuple[str, Side]]:
    return ("base", bundle.facts.base), ("tuned", bundle.facts.tuned)


def _different(where: str, stored: object, made: object, keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        yield from _unequal(f"{where}: {key}", getattr(stored, key), getattr(made, key))


def _unequal(what: str, stored: object, made: object) -> Iterator[str]:
    if stored != made:
        yield f"{what} is {repr(stored)[:80]}, not {repr(made)[:80]}"


CHECKS: tuple[Check, ...] = (
    Check("run, evaluations, comparison and datasets name each other by the right ids and digests", _identities),
    Check("all datasets are the ones their manifests describe; every trace id and Merkle root", _datasets),
    Check("no prompt of the evaluation set is in the training set", _leaks),
    Check("both systems answered every item they were asked once, and the token counts add up", _generations),
    Check("every answer, scored again from the stored output", _scores),
    Check("every number of both summaries", _summaries),
    Check("every number and the verdict of the comparison", _comparison),
    Check("the number of looks at the evaluation set is that of the looks listed", _looks),
    Check("steps, losses, token counts and padding of the run follow from its metrics", _training),
    Check("the adapter is the one the run made", _adapter),
)
PROSE = Check("README.md, model_card.md, sbom.json and verify.py are what this version writes from these facts", _prose)
