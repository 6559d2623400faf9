"""Logs as JSON lines, of the service and of the worker: the time, what happened, and the run or request it happened to.

A line never holds a header, a query, a body or an exception's message, which may quote one; a line break in what is written is
an escape, so that no text can forge a line.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class JsonLines(logging.Formatter):
    """One object a record. Of an exception it keeps its type and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {"time": now(record.created), "level": record.levelname.lower(), "event": record.getMessage()}
        told |= getattr(record, "told", {})
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            told["error"] = record.exc_info[0].__name__
            told["raised"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
        return json.dumps(told, ensure_ascii=True)


def to_stderr() -> None:
    """All that this process logs, an object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("tunix_rt").setLevel(logging.INFO)


def now(seconds: float | None = None) -> str:
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds")
