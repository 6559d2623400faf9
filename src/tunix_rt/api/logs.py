"""Logs as JSON lines, and the audit log: who did what with which result.

Neither ever holds a header, a query, a body or an exception's message, which may quote one; a line break in what is written is
an escape, so that no text can forge a line.
"""

import json
import logging
import os
import re
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunix_rt import access

_LARGEST = 64_000_000  # bytes of an audit file before the next one is begun
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,80}")


class JsonLines(logging.Formatter):
    """One object a record. Of an exception it keeps its type and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {"time": _now(record.created), "level": record.levelname.lower(), "event": record.getMessage()}
        told |= getattr(record, "told", {})
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            told["error"] = record.exc_info[0].__name__
            told["raised"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
        return json.dumps(told, ensure_ascii=True)


def shown(params: Mapping[str, str]) -> dict[str, str]:
    """Path parameters that are plain names; anything else may be somebody's text, or a token in the wrong place."""
    plain = {key: _PLAIN.fullmatch(value) and not value.startswith(access.PREFIX) for key, value in params.items()}
    return {key: value if plain[key] else "?" for key, value in params.items()}


class Audit:
    """Appends to one file, which only the owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open()

    def write(self, **fields: Any) -> None:
        line = json.dumps({"time": _now(), **fields}, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            self._size += os.write(self._descriptor, line)
            if self._size > _LARGEST:
                self._path.replace(self._path.with_suffix(".1.jsonl"))
                os.close(self._descriptor)
                self._open()

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._descriptor).st_size


def _now(seconds: float | None = None) -> str:
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds")
