"""The audit log: who did what with which result. It holds no header, query or body, and no text can forge a line of it."""

import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunix_rt import access
from tunix_rt.logs import now

_LARGEST = 64_000_000  # bytes of an audit file before the next one is begun
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,80}")


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
        line = json.dumps({"time": now(), **fields}, ensure_ascii=True).encode() + b"\n"
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
