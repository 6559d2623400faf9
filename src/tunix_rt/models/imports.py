"""Models that are not on the list: a Hub-layout folder, a GGUF file, or a repository of the Hugging Face Hub.

Files are copied as they are. The config must be one that Tunix's models compute, the weights safetensors and complete; weights
in a format that can hold code (`.bin`, `.pt`) are never read.
"""

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunix_rt import errors, values
from tunix_rt.models import vocabularies
from tunix_rt.models.folders import Origin

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
WELCOME = ("generation_config.json", "chat_template.jinja", "special_tokens_map.json")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LICENCE = re.compile(r"^license:\s*['\"]?([\w .+-]{1,80})", re.MULTILINE)
_LARGEST_HEADER = 100_000_000


def fill_from_folder(source: Path, work: Path, origin: str) -> Origin:
    """Copy a Hub-layout folder; `errors.Invalid` names the missing file, the tensor or the config key that is wrong,
    and a tokenizer that is not the model's."""
    for name in NEEDED:
        if not (source / name).is_file():
            raise errors.Invalid(f"{source} has no {name}: a model folder in Hub layout holds {', '.join(NEEDED)}.", file=name)
    vocabularies.check(source)
    shards = _shards(source)
    parameters = sum(count for shard in shards for _, count in _tensors(source / shard))
    extra = [name for name in (*WELCOME, INDEX) if (source / name).is_file()]
    for name in (*NEEDED, *extra, *shards):
        shutil.copyfile(source / name, work / name)
    return Origin(origin, _licence(source), parameters)


def _shards(source: Path) -> list[str]:
    """The weight files, each tensor of the index where the index says."""
    if not (source / INDEX).is_file():
        if not (source / SINGLE).is_file():
            raise errors.Invalid(f"{source} has neither {SINGLE} nor {INDEX}; only safetensors are read.", file=SINGLE)
        return [SINGLE]
    index = values.read_json(source / INDEX)
    placed: Any = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(placed, dict) or not placed:
        raise errors.Invalid(f"{source / INDEX}: 'weight_map' is missing or empty.", field="weight_map")
    names = sorted(set(placed.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors") or not (source / name).is_file():
            raise errors.Invalid(f"{source / INDEX} names the file {name!r}, which is not there.", file=name)
    held = {(tensor, name) for name in names for tensor, _ in _tensors(source / name)}
    if missing := sorted(set(placed.items()) - held):
        raise errors.Invalid(f"{source / missing[0][1]} lacks the tensor {missing[0][0]!r} of the index.", tensor=missing[0][0])
    return names


def _tensors(file: Path) -> Iterator[tuple[str, int]]:
    """(name, number of elements) from the header of a safetensors file."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        if not 2 <= size <= _LARGEST_HEADER:
            raise errors.Invalid(f"{file} is not a safetensors file (header of {size} bytes).", file=file.name)
        try:
            header: dict[str, Any] = json.loads(opened.read(size))
        except ValueError as error:
            raise errors.Invalid(f"{file} is not a safetensors file: {error}.", file=file.name) from error
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if file.stat().st_size != 8 + size + end:
        raise errors.Invalid(f"{file} is cut short: {file.stat().st_size} bytes, {8 + size + end} expected.", file=file.name)
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for length in entry["shape"]:
                count *= length
            yield name, count


def _licence(source: Path) -> str:
    """From the front matter of the model card, if there is one."""
    card = source / "README.md"
    found = _LICENCE.search(card.read_text(errors="replace")[:20_000]) if card.is_file() else None
    return found[1].strip() if found else "unknown"


def download(name: str, revision: str | None, cache: Path) -> tuple[Path, str]:
    """The folder of a Hub repository, from the cache or the network, and its commit. `errors.Missing` when neither has it."""
    hub = importlib.import_module("huggingface_hub")  # a second that no other command should wait for
    wanted = [*NEEDED, *WELCOME, "model*.safetensors", INDEX, "README.md"]
    try:
        folder = Path(hub.snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=wanted))
    except (OSError, ValueError, hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError) as error:
        raise errors.Missing(
            f"{name!r} is neither in the cache nor to be had from the Hub ({_first_line(error)}); fetch it where there is a "
            "network (`hf download`), copy the folder here and give its path instead.",
            model=name,
        ) from error
    return folder, folder.name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
