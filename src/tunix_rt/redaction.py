"""What must not leave this machine in a text: secrets, by their form or because the environment holds them, and places here.

A text is what a run's process printed or why it ended. It goes out over HTTP through `Redactor`; a bundle that would hold a
secret is not packed (`evidence.secrets`). An engine process sees no secret of the environment in the first place
(`launchers.environment`).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunix_rt.settings import secrets

HIDDEN = "[redacted]"
_ADDRESS = re.compile(r"(://)[^\s/@:]*:[^\s/@]+(?=@)")
_FORMS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|AKIA[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{35}|xox[abeoprs]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+)"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,10000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_HEADER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"((?<![A-Za-z])(?:token|secret|passw(?:or)?d|credentials?|(?:api|access|private)[_-]?key)\\{0,2}[\"']?\s{0,3}[=:]\s{0,3}\\{0,2}[\"']?)"
    r"(?![0-9.]+\b)[^\s\"',;&\\]{6,}",
    re.IGNORECASE,
)
SHORTEST = 6  # a shorter value of the environment would hide ordinary words


class Redactor:
    """Hides secrets, and says `<workspace>` and `~` instead of where things lie."""

    def __init__(self, home: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._known = sorted((value for value in secrets(environ) if len(value) >= SHORTEST), key=len, reverse=True)
        places = {str(home): "<workspace>", str(home.resolve()): "<workspace>", str(Path.home()): "~"}
        self._places = {place: name for place, name in places.items() if len(place) > 1}

    def __call__(self, text: str) -> str:
        for value in self._known:
            text = text.replace(value, HIDDEN)
        for place, name in self._places.items():
            text = text.replace(place, name)
        text = _ADDRESS.sub(rf"\1{HIDDEN}", _FORMS.sub(HIDDEN, text))
        return _ASSIGNED.sub(rf"\1{HIDDEN}", _HEADER.sub(rf"\1 {HIDDEN}", text))

    def data(self, data: Any) -> Any:
        """The same for every text in JSON-ready data."""
        if isinstance(data, str):
            return self(data)
        if isinstance(data, dict):
            return {key: self.data(value) for key, value in data.items()}
        return [self.data(value) for value in data] if isinstance(data, (list, tuple)) else data
