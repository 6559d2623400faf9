"""3d What one engine process is asked to do, as values, and the folder it does it in.

An attempt folder starts with `config.json` (the job: identity only, no machine path, so it can be published) and
`inputs.json` (where those things lie on this machine). The engine adds `events.jsonl`, `log.txt` and its results.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import ConfigDict, Field, model_validator

from tunix_rt import errors, values
from tunix_rt.scoring.format import ReplyFormat
from tunix_rt.values import Value

ExportForm = Literal["merged", "adapter", "gguf"]
Device = Literal["auto", "cpu", "gpu", "tpu"]
TooLong = Literal["refuse", "truncate", "drop"]
Dtype = Literal["float32", "bfloat16"]
Remat = Literal["none", "block", "layer"]
Quantize = Literal["none", "int8", "nf4"]
Projection = Literal["q", "k", "v", "o", "gate", "up", "down"]
ALL_PROJECTIONS: tuple[Projection, ...] = ("q", "k", "v", "o", "gate", "up", "down")
EXIT_CODES = {"out_of_memory": 71, "disk_full": 74, "timeout": 75}  # of sysexits.h: said even where no event can be written
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]  # never a path
INSTRUCTION = "Solve the problem in short numbered steps. Then write one last line: Answer: and the answer."
INSTRUCTIONS: dict[ReplyFormat, str] = {
    "numbered": INSTRUCTION,
    "think": "Think in short numbered steps inside <think> and </think>. Then write the answer alone.",
    "tags": (
        "Solve the problem in short numbered steps inside <reasoning> and </reasoning>. "
        "Then write the answer inside <answer> and </answer>."
    ),
}


class Lora(Value):
    """Low-rank adapters on the named projections (Hu et al. 2021); the update is scaled by alpha / rank.

    `quantize` keeps the frozen weights of these projections in 8 bits a channel, or 4 (NormalFloat, Dettmers et al. 2023).
    """

    method: Literal["lora"] = "lora"
    rank: int = Field(default=16, ge=1, le=256)
    alpha: float = Field(default=32.0, gt=0)
    targets: tuple[Projection, ...] = Field(default=ALL_PROJECTIONS, min_length=1)
    quantize: Quantize = "none"


class Full(Value):
    """Every weight is trained."""

    method: Literal["full"] = "full"


class Batch(Value):
    """One optimizer step is `accumulation` micro-batches of `rows` rows of `row_tokens` tokens, filled by packing.

    With `share_prefix`, the tokens that all traces begin with (the instruction) stand once in a row, and more traces fit it.
    """

    row_tokens: int = Field(default=256, ge=16, le=8192)
    rows: int = Field(default=4, ge=1, le=1024)
    accumulation: int = Field(default=2, ge=1, le=1024)
    share_prefix: bool = True

    @property
    def step_rows(self) -> int:
        return self.rows * self.accumulation


class Optimizer(Value):
    """AdamW with linear warm-up over `warmup` of all steps, then cosine decay to `final` of the peak `learning_rate`."""

    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    final: float = Field(default=0.1, ge=0, le=1)
    clip_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)


class Checkpoints(Value):
    every_steps: int = Field(default=25, ge=1)
    keep: int = Field(default=2, ge=1)


class Stage(Value):
    """One part of a curriculum: a dataset, by name, and the passes over it."""

    dataset: FolderName
    epochs: int = Field(default=1, ge=1, le=1000)


class Validation(Value):
    """The loss on a held-out dataset, every so many steps and after the last.

    `keep` says which adapter the run leaves: the one with the lowest such loss, or the last. With `patience`, training ends
    once so many evaluations in a row were no better, by more than `min_delta`, than the best before them.
    """

    dataset: FolderName
    every_steps: int = Field(default=25, ge=1)
    patience: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    keep: Literal["best", "last"] = "best"


class Compute(Value):
    """How the arithmetic is done. What is trained stays in float32 whatever `dtype` is.

    `remat` computes activations again in the backward pass instead of keeping them, for attention and MLP blocks or for
    whole layers; `loss_chunk` projects so many trained positions to the vocabulary at a time. Both trade time for memory.
    """

    dtype: Dtype = "float32"
    remat: Remat = "none"
    loss_chunk: int | None = Field(default=None, ge=1)


class Mesh(Value):
    """Devices of one run: data and parameters split `fsdp` ways, heads and hidden units `tp` ways; on so many `hosts`, each
    with as many of the devices as the others."""

    fsdp: int = Field(default=1, ge=1, le=4096)
    tp: int = Field(default=1, ge=1, le=4096)
    hosts: int = Field(default=1, ge=1, le=4096)

    @model_validator(mode="after")
    def _devices_are_dealt_out_evenly(self) -> Self:
        if self.devices % self.hosts:
            raise ValueError(f"{self.devices} devices (fsdp times tp) cannot be dealt out evenly over {self.hosts} 'hosts'")
        return self

    @property
    def devices(self) -> int:
        return self.fsdp * self.tp


class TrainConfig(Value):
    """A training recipe: everything that decides the result except the data and the device.

    `format` is the text that is taught; an `instruction` that is one of the formats' own is that of the chosen one. `steps`
    ends the run, and its learning-rate schedule, before the epochs are through. `stages` names several datasets that are
    trained on one after another. `too_long` says what becomes of a trace that does not fit a row. `memory_gb` is a
    budget: `rows` and `accumulation` are then chosen to fit it, with the same tokens in an optimizer step.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["stages"], "properties": {"stages": {"minItems": 1}}},
            "then": {"properties": {"epochs": {"const": 1}}},
        }
    )

    name: str
    model: str
    seed: int = Field(default=42, ge=0, lt=2**32)
    epochs: int = Field(default=1, ge=1, le=1000)
    steps: int | None = Field(default=None, ge=1)
    format: ReplyFormat = "numbered"
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    tuning: Annotated[Lora | Full, Field(discriminator="method")] = Lora()
    batch: Batch = Batch()
    optimizer: Optimizer = Optimizer()
    checkpoints: Checkpoints = Checkpoints()
    compute: Compute = Compute()
    memory_gb: float | None = Field(default=None, gt=0)
    too_long: TooLong = "refuse"
    stages: tuple[Stage, ...] = ()
    validation: Validation | None = None

    @model_validator(mode="before")
    @classmethod
    def _instruction_follows_format(cls, data: Any) -> Any:
        return instructed(data)

    @model_validator(mode="after")
    def _epochs_belong_to_stages(self) -> Self:
        if self.stages and self.epochs != 1:
            raise ValueError("with 'stages', each has its own 'epochs'; leave the other one out")
        return self

    @property
    def passes(self) -> int:
        """Over the data, all stages together."""
        return sum(stage.epochs for stage in self.stages) or self.epochs


def instructed(data: Any) -> Any:
    """Data of something asked, its instruction that of its format unless it is one of its own."""
    if not isinstance(data, dict) or data.get("instruction", INSTRUCTION) not in INSTRUCTIONS.values():
        return data
    own = next((text for form, text in INSTRUCTIONS.items() if form == data.get("format", "numbered")), None)
    return {**data, "instruction": own} if own else data


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
ASKED, HOST = "asked.jsonl", "host.json"
Item = TypeVar("Item")


class Inputs(Value):
    """Where the job's inputs are on this machine; the engine checks their digests before it uses them.

    `stages` are the folders of a curriculum's datasets, `seconds` the time after which the process has to have ended.
    """

    model: Path
    dataset: Path
    stages: tuple[Path, ...] = ()
    validation: Path | None = None
    adapter: Path | None = None
    compile_cache: Path | None = None
    seconds: float | None = None


class Host(Value):
    """What a cluster sets aside on each host of a run that has several, and the seconds it may take to find the places."""

    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    unplaced: float = Field(default=900.0, gt=0)


def spread(items: list[Item], limit: int | None) -> list[Item]:
    """`limit` of the items at even distances, in order; all of them when there are no more."""
    if limit is None or limit >= len(items):
        return items
    return [items[k * len(items) // limit] for k in range(limit)]


def asking(folder: Path, rows: Sequence[Mapping[str, Any]], **about: Any) -> AskJob:
    """Write `asked.jsonl` into the attempt folder; `about` are the job's other fields. A row has `item` and `prompt`, and may
    have what was `said` before with its `finish`."""
    values.write_jsonl(folder / ASKED, rows)
    return AskJob(asked_digest=values.sha256_file(folder / ASKED), **about)


def write(folder: Path, job: Job, inputs: Inputs) -> None:
    values.write_json(folder / "inputs.json", inputs.model_dump(mode="json"))
    values.write_json(folder / "config.json", job.model_dump(mode="json"))


def read(folder: Path) -> tuple[Job, Inputs]:
    path = folder / "config.json"
    data = values.read_json(path)
    kinds: dict[str, type[TrainJob | GenerateJob | MaskJob | ExportJob | EstimateJob | AskJob | ProbeJob]]
    kinds = {
        "train": TrainJob,
        "generate": GenerateJob,
        "masks": MaskJob,
        "export": ExportJob,
        "estimate": EstimateJob,
        "ask": AskJob,
        "probe": ProbeJob,
    }
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in kinds:
        raise errors.Invalid(f"{path}: 'kind' is {kind!r}; known: {', '.join(kinds)}.", path=str(path), field="kind")
    job = kinds[kind].parse(data, source=str(path))
    return job, Inputs.parse(values.read_json(folder / "inputs.json"), source=str(folder / "inputs.json"))


def hosts(folder: Path) -> int:
    """On how many hosts the job in the folder runs; 1 where there is none that can be read."""
    try:
        return int(values.read_json(folder / "config.json")["mesh"]["hosts"])
    except (errors.Mistake, OSError, KeyError, TypeError, ValueError):
        return 1


def read_config(path: Path) -> TrainConfig:
    """A training recipe in TOML; an unknown key is refused with the nearest known one."""
    return TrainConfig.parse(values.read_toml(path), source=str(path))


def config_text(config: TrainConfig, *, defaults: bool = False) -> str:
    """The config as the file that `read_config` reads; what is as always is left out unless `defaults` are wanted too."""
    data = config.model_dump(mode="json", exclude_defaults=not defaults, exclude_none=True)
    if "tuning" in data:
        data["tuning"] = {"method": config.tuning.method, **data["tuning"]}
    return tomli_w.dumps(data)


class Events:
    """Append-only `events.jsonl` of an attempt: what the process is doing, readable while it does it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        if self._path.exists() and not self._path.read_bytes().endswith(b"\n"):
            with self._path.open("ab") as file:  # a line that a kill tore stays a line of its own
                file.write(b"\n")

    def emit(self, kind: str, **fields: Any) -> None:
        line = values.jsonl_line({"kind": kind, "at": round(time.time(), 3), **fields})
        with self._path.open("ab") as file:
            file.write(line)
