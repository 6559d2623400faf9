"""3d What one engine process is asked to do, as values, and the folder it does it in.

An attempt folder starts with `config.json` (the job: identity only, no machine path, so it can be published) and
`inputs.json` (where those things lie on this machine). The engine adds `events.jsonl`, `log.txt` and its results.
"""

from tunix_rt.jobs.attempts import (
    ASKED,
    EXIT_CODES,
    HOST,
    Events,
    Host,
    Inputs,
    asking,
    hosts,
    less_memory,
    read,
    spread,
    write,
)
from tunix_rt.jobs.configs import (
    INSTRUCTION,
    INSTRUCTIONS,
    Batch,
    Checkpoints,
    Compute,
    Device,
    Dtype,
    FolderName,
    Full,
    Lora,
    Mesh,
    Optimizer,
    Remat,
    Stage,
    TooLong,
    TrainConfig,
    Validation,
    config_text,
    instructed,
    read_config,
)
from tunix_rt.jobs.kinds import (
    MANY_ARE_DRAWN,
    AskJob,
    Drawn,
    EstimateJob,
    ExportForm,
    ExportJob,
    GenerateJob,
    MaskJob,
    ProbeEnd,
    ProbeJob,
    Sampling,
    TrainJob,
)

__all__ = [
    "ASKED", "EXIT_CODES", "HOST", "INSTRUCTION", "INSTRUCTIONS", "MANY_ARE_DRAWN", "AskJob", "Batch", "Checkpoints", "Compute",
    "Device", "Drawn", "Dtype", "EstimateJob", "Events", "ExportForm", "ExportJob", "FolderName", "Full", "GenerateJob", "Host",
    "Inputs", "Lora", "MaskJob", "Mesh", "Optimizer", "ProbeEnd", "ProbeJob", "Remat", "Sampling", "Stage", "TooLong",
    "TrainConfig", "TrainJob", "Validation", "asking", "config_text", "hosts", "instructed", "less_memory", "read",
    "read_config", "spread", "write",
]  # fmt: skip
