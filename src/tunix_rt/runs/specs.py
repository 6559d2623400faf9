"""What a run is asked to do, by names and digests: no server path, command or import string has a place in it.

`parse` refuses what is null, empty or unknown, naming the field; `resolve` adds the digests of what this workspace holds
under the names, and `ledger.submit` takes only a spec that has them: a run means the same things whenever it starts.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tunix_rt import datasets, errors, jobs, models, values
from tunix_rt.jobs import INSTRUCTION, Device, Drawn, FolderName, GenerateJob, Mesh, ProbeJob, TrainConfig, TrainJob
from tunix_rt.scoring import ReplyFormat
from tunix_rt.settings import Settings
from tunix_rt.values import Value

Name = Annotated[str, Field(min_length=1, max_length=200)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Tokens = Annotated[int, Field(ge=1, le=8192)]


class Evaluate(Drawn):
    """The evaluation that is queued in the transaction in which the training completes."""

    evalset: FolderName
    evalset_digest: Digest | None = None
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: Tokens = 160


class TrainSpec(Value):
    """Fine-tune `config.model` on a dataset. `max_steps` cuts the run short without changing its schedule.

    In a curriculum `dataset` is the first stage's, and `stage_digests` are those of all stages, in order. Runs of one
    submission share a `group`.
    """

    kind: Literal["train"] = "train"
    config: TrainConfig
    model_digest: Digest | None = None
    dataset: FolderName
    dataset_digest: Digest | None = None
    stage_digests: tuple[Digest, ...] = ()
    validation_digest: Digest | None = None
    device: Device = "auto"
    mesh: Mesh = Mesh()
    max_steps: int | None = Field(default=None, ge=1)
    group: FolderName | None = None
    evaluate: Evaluate | None = None

    @model_validator(mode="after")
    def _dataset_is_the_first_stage(self) -> Self:
        stages = self.config.stages
        if stages and stages[0].dataset != self.dataset:
            raise ValueError(f"'dataset' is {self.dataset!r}, the first of 'config.stages' is {stages[0].dataset!r}")
        if self.stage_digests and len(self.stage_digests) != len(stages):
            raise ValueError(f"there are {len(stages)} stages and {len(self.stage_digests)} 'stage_digests'")
        return self

    def job(self, run_id: str) -> TrainJob:
        given = self.model_dump(exclude={"kind", "evaluate", "config"})
        return TrainJob(run_id=run_id, config=self.config, **given)


class EvalSpec(Drawn):
    """Answer an evaluation set with a base model, or with what run `run_id` made of it (`adapter_digest`, `tuned_by`).

    Without an `instruction` of its own it is asked as training in that `format` asks."""

    kind: Literal["eval"] = "eval"
    model: Name
    model_digest: Digest | None = None
    run_id: FolderName | None = None
    adapter_digest: Digest | None = None
    tuned_by: Name | None = None
    evalset: FolderName
    evalset_digest: Digest | None = None
    format: ReplyFormat = "numbered"
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: Tokens = 160
    device: Device = "auto"

    @model_validator(mode="before")
    @classmethod
    def _instruction_follows_format(cls, data: Any) -> Any:
        return jobs.instructed(data)

    def job(self) -> GenerateJob:
        return GenerateJob(**self.model_dump(exclude={"kind", "tuned_by"}))

    @property
    def evaluation_id(self) -> str:
        """Named by the question: the same one is answered once."""
        return self.job().digest[:16]


class ProbeSpec(Value):
    """A process that trains nothing and ends in a known way: for trying out workers, never a stand-in for a run."""

    kind: Literal["probe"] = "probe"
    how: jobs.ProbeEnd = "done"
    seconds: float = Field(default=0.0, ge=0, le=86_400)

    def job(self, run_id: str) -> ProbeJob:
        return ProbeJob(run_id=run_id, how=self.how, seconds=self.seconds)


Spec = TrainSpec | EvalSpec | ProbeSpec
KINDS: dict[str, type[TrainSpec] | type[EvalSpec] | type[ProbeSpec]] = {
    "train": TrainSpec,
    "eval": EvalSpec,
    "probe": ProbeSpec,
}


def parse(data: Any, source: str = "spec") -> Spec:
    """The spec in JSON-ready data; `errors.Invalid` names the field that is null, empty, unknown or wrong."""
    if not isinstance(data, dict) or not data:
        raise errors.Invalid(f"{source}: expected an object with 'kind', got {data!r}.", field="kind")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        hint = errors.nearest(kind, KINDS) if isinstance(kind, str) else f" Known: {', '.join(KINDS)}."
        raise errors.Invalid(f"{source}: 'kind' is {kind!r}.{hint}", field="kind")
    return KINDS[kind].parse(data, source=source)


def resolve(settings: Settings, spec: Spec) -> Spec:
    """The spec with the digest of everything it names, as this workspace has it.

    Raises `errors.NotFound` for an unknown name, `errors.Missing` for a model that is not here yet, `errors.Conflict` when
    a digest is given and the workspace holds other content under the name.
    """
    match spec:
        case TrainSpec():
            return spec.model_copy(update=_train_digests(settings, spec))
        case EvalSpec():
            return spec.model_copy(
                update={
                    "model_digest": _model(settings, spec.model, spec.model_digest),
                    "evalset_digest": _dataset(settings, spec.evalset, spec.evalset_digest),
                }
            )
        case ProbeSpec():
            return spec


def _train_digests(settings: Settings, spec: TrainSpec) -> dict[str, Any]:
    stages, given = spec.config.stages, spec.stage_digests or (None,) * len(spec.config.stages)
    found: dict[str, Any] = {
        "model_digest": _model(settings, spec.config.model, spec.model_digest),
        "dataset_digest": _dataset(settings, spec.dataset, spec.dataset_digest),
        "stage_digests": tuple(_dataset(settings, s.dataset, named) for s, named in zip(stages, given, strict=True)),
    }
    if spec.config.validation is not None:
        found["validation_digest"] = _dataset(settings, spec.config.validation.dataset, spec.validation_digest)
    if spec.evaluate is not None:
        evalset = _dataset(settings, spec.evaluate.evalset, spec.evaluate.evalset_digest)
        found["evaluate"] = spec.evaluate.model_copy(update={"evalset_digest": evalset})
    return found


def _model(settings: Settings, name: str, given: str | None) -> str:
    models.require(settings, name)
    path = settings.models / name / "manifest.json"
    if not path.is_file():
        raise errors.Missing(f"model {name!r} is not in this workspace yet: run tunix-rt models pull {name}", model=name)
    return _same(name, models.Manifest.parse(values.read_json(path), source=str(path)).digest, given)


def _dataset(settings: Settings, name: str, given: str | None) -> str:
    return _same(name, datasets.manifest(settings, name).digest, given)


def _same(name: str, found: str, given: str | None) -> str:
    if given is not None and given != found:
        raise errors.Conflict(
            f"{name!r} is {found[:12]} in this workspace, the run names {given[:12]}.", name=name, have=found, want=given
        )
    return found


def pinned(spec: Spec) -> None:
    """Raise `errors.Invalid` for a digest that is not there: such a run could mean something else tomorrow."""
    for where, value in (("", spec), ("evaluate.", getattr(spec, "evaluate", None))):
        if value is None:
            continue
        for field in ("model_digest", "dataset_digest", "evalset_digest"):
            if field in type(value).model_fields and getattr(value, field) is None:
                raise errors.Invalid(f"spec: '{where}{field}' is missing; runs.resolve adds it.", field=where + field)
    if isinstance(spec, TrainSpec):
        if len(spec.stage_digests) != len(spec.config.stages):
            raise errors.Invalid("spec: 'stage_digests' is missing; runs.resolve adds it.", field="stage_digests")
        if (spec.validation_digest is None) != (spec.config.validation is None):
            raise errors.Invalid(
                "spec: 'validation_digest' belongs to 'config.validation'; runs.resolve adds it.", field="validation_digest"
            )
    if isinstance(spec, EvalSpec) and (spec.run_id is None) != (spec.adapter_digest is None):
        raise errors.Invalid("spec: 'run_id' and 'adapter_digest' come together.", field="adapter_digest")


def evaluation_of(spec: TrainSpec, run_id: str, adapter_digest: str) -> EvalSpec | None:
    """The evaluation that the training asked for."""
    if spec.evaluate is None:
        return None
    return EvalSpec(
        model=spec.config.model,
        model_digest=spec.model_digest,
        run_id=run_id,
        adapter_digest=adapter_digest,
        tuned_by=spec.config.name,
        format=spec.config.format,
        instruction=spec.config.instruction,
        device=spec.device,
        **spec.evaluate.model_dump(),
    )
