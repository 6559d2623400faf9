"""The folder of one attempt: the job and where its inputs lie, before; what the process says of itself, while it runs."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from tunix_rt import errors, values
from tunix_rt.jobs.kinds import AskJob, EstimateJob, ExportJob, GenerateJob, Job, MaskJob, ProbeJob, TrainJob
from tunix_rt.values import Value

EXIT_CODES = {"out_of_memory": 71, "disk_full": 74, "timeout": 75}  # of sysexits.h: said even where no event can be written
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


def less_memory(folder: Path) -> str:
    """What makes the job in the folder need less memory, as an order; each setting by its name."""
    try:
        job, _ = read(folder)
    except (errors.Mistake, OSError):
        job = None
    match job:
        case TrainJob() | EstimateJob():
            return (
                "set 'memory_gb' in the training config (--memory) to what there is, or lower 'batch.rows' or "
                "'batch.row_tokens', or set 'compute.remat' or 'compute.loss_chunk'"
            )
        case GenerateJob():
            return f"lower 'max_new_tokens' (--max-new-tokens), for which each of {job.batch_size} answers at a time has room"
        case _:
            return "free some, or do it on a machine that has more"


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
