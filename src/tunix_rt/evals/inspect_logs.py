"""Logs of Inspect (inspect_ai), as `.eval` archives and as `.json`: version 2 of its log format, which both hold.

An archive has `header.json`, written when the run is over, and a file for every sample and epoch in `samples/`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tunix_rt import errors, values
from tunix_rt.evals.outside import Attempt, Log, LogFormat, Sample
from tunix_rt.formats import archives
from tunix_rt.scoring import Finish

VERSIONS = (1, 2)
_CUT_OFF = ("max_tokens", "model_length")
_KEYS = re.compile(rb'^\s*\{\s*"version"\s*:\s*[0-9]+\s*,\s*"status"\s*:')
Row = Mapping[str, Any]


def knows(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") or _KEYS.match(head) is not None


def read(path: Path) -> Log:
    with path.open("rb") as file:
        packed = file.read(4) == b"PK\x03\x04"
    if not packed:
        whole = values.read_json(path)
        return _log(path, whole, whole.get("samples") or [])
    with archives.opened(path) as archive:
        if "header.json" not in archive.names:
            raise errors.Invalid(f"{path} has no header.json: its run did not end, or it is no log of Inspect.", path=str(path))
        names = [name for name in archive.names if name.startswith("samples/") and name.endswith(".json")]
        return _log(path, _json(path, archive, "header.json"), (_json(path, archive, name) for name in names))


def _json(path: Path, archive: archives.Archive, name: str) -> Any:
    try:
        return values.json_value(archive.read(name).decode())
    except ValueError as error:
        raise errors.Invalid(f"{path}: {name} is not JSON ({error}).", path=str(path)) from error


def _log(path: Path, header: Any, rows: Iterable[Any]) -> Log:
    try:
        if header["version"] not in VERSIONS:
            raise errors.Invalid(f"{path}: log version {header['version']!r} is not known; known: 2.", path=str(path))
        about, status = header["eval"], header["status"]
        failure = (header.get("error") or {}).get("message", "")
        return Log(
            format="inspect",
            written_by=f"inspect_ai {(about.get('packages') or {}).get('inspect_ai', '')}".strip(),
            task=str(about["task"]),
            model=str(about["model"]),
            seconds=_seconds(header.get("stats") or {}),
            ended=None if status == "success" else f"{status}: {failure}"[:300].rstrip(": "),
            samples=tuple(_samples(rows)),
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise errors.Invalid(f"{path} is no log of Inspect ({type(error).__name__}: {error}).", path=str(path)) from error


def _samples(rows: Iterable[Row]) -> Iterator[Sample]:
    """One for each id, its epochs as attempts in their order."""
    found: dict[str, list[tuple[int, Sample]]] = {}
    for row in rows:
        found.setdefault(str(row["id"]), []).append((int(row.get("epoch", 1)), _sample(row)))
    for epochs in found.values():
        ordered = [sample for _, sample in sorted(epochs, key=lambda pair: pair[0])]
        yield ordered[0]._replace(attempts=tuple(attempt for sample in ordered for attempt in sample.attempts))


def _sample(row: Row) -> Sample:
    attached = row.get("attachments") or {}
    asked = row["input"]
    messages = [] if isinstance(asked, str) else [message for message in asked if message["role"] == "user"]
    texts = [asked] if isinstance(asked, str) else [_text(message, attached) for message in messages]
    before: list[str] = []
    for message in row.get("messages") or []:
        if message["role"] not in ("system", "user"):
            break
        before.append(_text(message, attached))
    target = row["target"]
    return Sample(
        name=str(row["id"]),
        prompts=(_attached(texts[-1], attached) if texts else "",),
        told="\n\n".join(before or texts),
        targets=(target,) if isinstance(target, str) else tuple(map(str, target)),
        attempts=(_attempt(row, attached),),
    )


def _attempt(row: Row, attached: Row) -> Attempt:
    output = row.get("output") or {}
    choices = output.get("choices") or []
    if row.get("error") or not choices:
        failure = row.get("error") or output.get("error") or "no output"
        return Attempt("", error=str(failure.get("message", "") if isinstance(failure, Mapping) else failure)[:200])
    usage = output.get("usage") or {}
    stop: Finish = "length" if choices[0].get("stop_reason") in _CUT_OFF else "stop"
    return Attempt(
        text=_text(choices[0]["message"], attached),
        finish=stop,
        tokens=usage.get("output_tokens"),
        prompt_tokens=usage.get("input_tokens"),
        scores={name: score["value"] for name, score in (row.get("scores") or {}).items()},
    )


def _text(message: Row, attached: Row) -> str:
    """The text of a message; reasoning that stands apart goes in front of it, between the tags the readings know."""
    content = message["content"]
    if isinstance(content, str):
        return _attached(content, attached)
    parts = [
        f"<think>{part.get('reasoning') or ''}</think>\n" if part["type"] == "reasoning" else str(part["text"])
        for part in content
        if part["type"] in ("reasoning", "text")
    ]
    return "".join(_attached(part, attached) for part in parts)


def _attached(text: str, attached: Row) -> str:
    name = text.removeprefix("attachment://")
    return text if name == text else str(attached[name])


def _seconds(stats: Row) -> float | None:
    if not (stats.get("started_at") and stats.get("completed_at")):
        return None
    return (datetime.fromisoformat(stats["completed_at"]) - datetime.fromisoformat(stats["started_at"])).total_seconds()


FORMAT = LogFormat("inspect", knows, read)
