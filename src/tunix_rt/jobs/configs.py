"""A training recipe, what it is made of, and the TOML file it stands in."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import ConfigDict, Field, model_validator

from tunix_rt import values
from tunix_rt.scoring.format import ReplyFormat
from tunix_rt.values import Value

Device = Literal["auto", "cpu", "gpu", "tpu"]
TooLong = Literal["refuse", "truncate", "drop"]
Dtype = Literal["float32", "bfloat16"]
Remat = Literal["none", "block", "layer"]
Quantize = Literal["none", "int8", "nf4"]
Projection = Literal["q", "k", "v", "o", "gate", "up", "down"]
ALL_PROJECTIONS: tuple[Projection, ...] = ("q", "k", "v", "o", "gate", "up", "down")
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
    """One is written every so many steps, and after the first and the last. Older ones go before the newest is verified, so at
    least 2 are kept."""

    every_steps: int = Field(default=25, ge=1)
    keep: int = Field(default=2, ge=2)


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
    budget for each device: `rows` and `accumulation` are then chosen to fit it, with the same tokens in an optimizer step.
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


def read_config(path: Path) -> TrainConfig:
    """A training recipe in TOML; an unknown key is refused with the nearest known one."""
    return TrainConfig.parse(values.read_toml(path), source=str(path))


def config_text(config: TrainConfig, *, defaults: bool = False) -> str:
    """The config as the file that `read_config` reads; what is as always is left out unless `defaults` are wanted too."""
    data = config.model_dump(mode="json", exclude_defaults=not defaults, exclude_none=True)
    if "tuning" in data:
        data["tuning"] = {"method": config.tuning.method, **data["tuning"]}
    return tomli_w.dumps(data)
