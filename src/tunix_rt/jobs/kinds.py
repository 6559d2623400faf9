"""Every job an engine knows, as a value: identity only, no machine path, so it can be published."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tunix_rt.jobs.configs import INSTRUCTION, Device, Mesh, TrainConfig
from tunix_rt.scoring.format import ReplyFormat
from tunix_rt.values import Value

ExportForm = Literal["merged", "adapter", "gguf"]


class TrainJob(Value):
    """Fine-tune `config.model` on a dataset. `max_steps` cuts the run short without changing its schedule.

    In a curriculum `dataset` is the first stage's, and `stage_digests` are those of all stages, in order. Runs of one
    submission share a `group`.
    """

    kind: Literal["train"] = "train"
    run_id: str
    config: TrainConfig
    model_digest: str
    dataset: str
    dataset_digest: str
    stage_digests: tuple[str, ...] = ()
    validation_digest: str | None = None
    device: Device = "auto"
    mesh: Mesh = Mesh()
    max_steps: int | None = Field(default=None, ge=1)
    group: str | None = None


class EstimateJob(Value):
    """What training so would cost, without training: steps, tokens, padding, memory, seconds."""

    kind: Literal["estimate"] = "estimate"
    config: TrainConfig
    model_digest: str
    dataset: str
    dataset_digest: str
    stage_digests: tuple[str, ...] = ()
    validation_digest: str | None = None
    device: Device = "auto"
    mesh: Mesh = Mesh()
    max_steps: int | None = Field(default=None, ge=1)


class Sampling(Value):
    """Temperature 0 is greedy. `top_k` keeps the k best tokens, `top_p` the fewest that hold that probability
    (Holtzman et al. 2020); both apply to the distribution at the temperature."""

    temperature: float = Field(default=0.0, ge=0, le=10)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)


MANY_ARE_DRAWN: dict[str, Any] = {
    "if": {"required": ["samples"], "properties": {"samples": {"minimum": 2}}},
    "then": {"required": ["temperature"], "properties": {"temperature": {"exclusiveMinimum": 0}}},
}


class Drawn(Sampling):
    """So many answers to each item, each drawn with a seed of its own."""

    model_config = ConfigDict(json_schema_extra={"allOf": [MANY_ARE_DRAWN]})

    samples: int = Field(default=1, ge=1, le=1024)

    @model_validator(mode="after")
    def _greedy_answers_are_equal(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("several 'samples' need a 'temperature' above 0: at 0 they would all be the same answer")
        return self


class GenerateJob(Drawn):
    """Answers of one model to an evaluation set: a base model, or what run `run_id` made of it.

    `limit` takes that many items, spread evenly over the set. `stop` strings end an answer and are not part of it.
    """

    kind: Literal["generate"] = "generate"
    run_id: str | None = None
    model: str
    model_digest: str
    adapter_digest: str | None = None
    evalset: str
    evalset_digest: str
    format: ReplyFormat = "numbered"
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=160, ge=1, le=8192)
    batch_size: int = Field(default=60, ge=1, le=4096)
    stop: tuple[str, ...] = ()
    device: Device = "auto"


class MaskJob(Value):
    """Tokenise a dataset as training would, prove that the trained part is the declared one, and keep a preview."""

    kind: Literal["masks"] = "masks"
    model: str
    model_digest: str
    dataset: str
    dataset_digest: str
    stage_digests: tuple[str, ...] = ()
    format: ReplyFormat = "numbered"
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    row_tokens: int = Field(default=256, ge=16, le=8192)
    device: Device = "cpu"


class ExportJob(Value):
    """What run `run_id` made of a base model, as files others load: the merged weights, for `transformers` or as GGUF with
    matrices in `dtype`, or the adapter alone."""

    kind: Literal["export"] = "export"
    run_id: str
    model: str
    model_digest: str
    adapter_digest: str
    form: ExportForm = "merged"
    dtype: Literal["float32", "float16"] = "float32"
    device: Device = "cpu"


class AskJob(Value):
    """Answer the prompts of `asked.jsonl`, whose sha256 is `asked_digest`, greedily, `batch_size` at a time: alone, an answer
    has the same bits whatever else is asked."""

    kind: Literal["ask"] = "ask"
    model: str
    model_digest: str
    adapter_digest: str | None = None
    asked_digest: str
    format: ReplyFormat = "numbered"
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    max_new_tokens: int = Field(default=160, ge=1, le=8192)
    batch_size: int = Field(default=1, ge=1, le=4096)
    device: Device = "auto"


ProbeEnd = Literal["done", "hang", "stubborn", "family", "exception", "nan_loss", "out_of_memory", "disk_full", "silent"]


class ProbeJob(Value):
    """A process that trains nothing: after `seconds` it ends as told. For trying out workers; it loads no JAX."""

    kind: Literal["probe"] = "probe"
    run_id: str
    how: ProbeEnd = "done"
    seconds: float = Field(default=0.0, ge=0)


Job = TrainJob | GenerateJob | MaskJob | ExportJob | EstimateJob | AskJob | ProbeJob
