"""What a bundle holds: its manifest, and its files read into the values they are."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from tunix_rt import comparisons, datasets, errors
from tunix_rt.comparisons import Comparison, Evaluation, EvaluationSummary
from tunix_rt.evals import Look
from tunix_rt.evidence import standalone
from tunix_rt.evidence.standalone import KIND, SCHEMA_VERSION
from tunix_rt.jobs import GenerateJob, TrainJob
from tunix_rt.runs import Trained
from tunix_rt.scoring import Prediction, ScoreRow
from tunix_rt.traces import Trace
from tunix_rt.values import Value

LOOKS = "looks.json"
TENSORS, TENSORS_CONFIG = "adapter/adapter.safetensors", "adapter/adapter_config.json"
EVALUATION_FILES = ("config.json", "predictions.jsonl", "scores.jsonl", "summary.json")
DATASET_FILES = ("dataset.jsonl", "manifest.json")
REJECTS = "rejects.jsonl"  # of a dataset that was selected from others
UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What values that no file of ours would hold end in; verification answers with a report all the same."""
Parsed = TypeVar("Parsed", bound=Value)


class FileEntry(Value):
    name: str
    bytes: int
    sha256: str


class Manifest(Value):
    """Written last. `files` are all others but the seal; `left_out` names what was too large to include."""

    kind: Literal["tunix-rt evidence"] = KIND
    schema_version: Literal["1.0"] = SCHEMA_VERSION
    packed_by: str
    tunix_rt: str
    lock_digest: str | None
    run_id: str
    model: str
    model_digest: str
    adapter_digest: str | None
    dataset: str
    dataset_digest: str
    evalset: str
    evalset_digest: str
    base_evaluation_id: str
    tuned_evaluation_id: str
    left_out: tuple[FileEntry, ...]
    files: tuple[FileEntry, ...]
    merkle_root: str


class Items(NamedTuple):
    """A dataset: its manifest and its traces in file order."""

    manifest: datasets.Manifest
    traces: tuple[Trace, ...]


class Side(NamedTuple):
    """One evaluation and the job that asked for it."""

    job: GenerateJob
    evaluation: Evaluation


class Looks(Value):
    """`looks.json`: every look at the evaluation set that the packer's workspace had counted."""

    looks: int
    looks_at_runs: int
    data: tuple[Look, ...]


class Facts(NamedTuple):
    """Everything the files say, as values. `metrics` are the rows of `metrics.jsonl`; `looks` is None when none are there;
    `later` are the datasets of a curriculum's stages after the first."""

    run: Trained
    job: TrainJob
    metrics: tuple[dict[str, Any], ...]
    environment: dict[str, Any]
    trainset: Items
    evalset: Items
    base: Side
    tuned: Side
    comparison: Comparison
    looks: Looks | None
    later: tuple[Items, ...]

    @property
    def trained_on(self) -> dict[str, Items]:
        """The datasets of all stages, by their folder."""
        return {"dataset": self.trainset} | {stage(number): items for number, items in enumerate(self.later, start=2)}


def stage(number: int) -> str:
    """The folder of the dataset of a curriculum's stage; that of the first, 1, is `dataset`."""
    return "dataset" if number == 1 else f"stages/{number}"


def read(members: Mapping[str, bytes]) -> Facts:
    """The files as values; `errors.Invalid` names the first file, line and field that cannot be."""
    job = _parsed(members, "config.json", TrainJob)
    return Facts(
        run=_value(members, "run.json", lambda row, source: Trained.parse({"dir": "", **row}, source=source)),
        job=job,
        metrics=tuple(row for _, row in _lines(members, "metrics.jsonl")),
        environment=_object(members, "environment.json"),
        trainset=_items(members, "dataset"),
        evalset=_items(members, "evalset"),
        base=_side(members, "base"),
        tuned=_side(members, "tuned"),
        comparison=_parsed(members, "comparison.json", Comparison),
        looks=_parsed(members, LOOKS, Looks) if LOOKS in members else None,
        later=tuple(_items(members, stage(number)) for number in range(2, len(job.config.stages) + 1)),
    )


def names(facts: Facts) -> dict[str, str | None]:
    """The part of a manifest that says what the bundle is of."""
    run, environment = facts.run, facts.environment
    lock = environment.get("lock_digest")
    return {
        "tunix_rt": str(environment.get("tunix_rt")),
        "lock_digest": None if lock is None else str(lock),
        "run_id": run.run_id,
        "model": run.model,
        "model_digest": run.model_digest,
        "adapter_digest": run.adapter_digest,
        "dataset": run.dataset,
        "dataset_digest": run.dataset_digest,
        "evalset": facts.comparison.evalset,
        "evalset_digest": facts.comparison.evalset_digest,
        "base_evaluation_id": facts.comparison.baseline,
        "tuned_evaluation_id": facts.comparison.candidate,
    }


def _items(members: Mapping[str, bytes], folder: str) -> Items:
    manifest = _parsed(members, f"{folder}/manifest.json", datasets.Manifest)
    return Items(manifest, tuple(_rows(members, f"{folder}/dataset.jsonl", Trace)))


def _side(members: Mapping[str, bytes], folder: str) -> Side:
    evaluation = Evaluation(
        summary=_parsed(members, f"{folder}/summary.json", EvaluationSummary),
        scores=tuple(_rows(members, f"{folder}/scores.jsonl", ScoreRow)),
        predictions=tuple(_rows(members, f"{folder}/predictions.jsonl", Prediction)),
    )
    return Side(_parsed(members, f"{folder}/config.json", GenerateJob), comparisons.checked(evaluation, source=folder))


def _parsed(members: Mapping[str, bytes], name: str, kind: type[Parsed]) -> Parsed:
    return _value(members, name, lambda row, source: kind.parse(row, source=source))


def _value(members: Mapping[str, bytes], name: str, make: Callable[[dict[str, Any], str], Parsed]) -> Parsed:
    return make(_object(members, name), name)


def _rows(members: Mapping[str, bytes], name: str, kind: type[Parsed]) -> Iterator[Parsed]:
    for number, row in _lines(members, name):
        yield kind.parse(row, source=f"{name}, line {number}")


def _lines(members: Mapping[str, bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_bytes(members, name).split(b"\n"), start=1):
        if line:
            yield number, decoded(line, f"{name}, line {number}")


def _object(members: Mapping[str, bytes], name: str) -> dict[str, Any]:
    return decoded(_bytes(members, name), name)


def _bytes(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise errors.NotFound(f"the bundle holds no {name}.", file=name)
    return members[name]


def decoded(data: bytes, source: str) -> dict[str, Any]:
    """A JSON object. Foreign text can also nest too deeply or hold a number too long for Python to read."""
    try:
        row = standalone.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.Invalid(f"{source}: not JSON ({error}).", source=source) from error
    if not isinstance(row, dict):
        raise errors.Invalid(f"{source}: expected an object, got {type(row).__name__}.", source=source)
    return row
