"""The only reader of the environment. Read once at a surface, frozen, passed down; never global."""

import os
from collections.abc import Mapping
from pathlib import Path

from tunix_rt.values import Value


class Settings(Value):
    """`home` is the workspace: datasets, models, runs, evaluations, evidence and caches live under it.

    `database` is the address of a PostgreSQL database; None means SQLite in the workspace.
    """

    home: Path
    database: str | None = None

    @property
    def datasets(self) -> Path:
        return self.home / "datasets"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def evals(self) -> Path:
        return self.home / "evals"

    @property
    def evidence(self) -> Path:
        return self.home / "evidence"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def compile_cache(self) -> Path:
        return self.home / "cache" / "xla"


def load(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """`home` from the argument, else `TUNIX_RT_HOME`, else `~/.tunix-rt`; `database` from `TUNIX_RT_DATABASE`."""
    chosen = home or Path(environ.get("TUNIX_RT_HOME") or Path.home() / ".tunix-rt")
    return Settings(home=chosen.expanduser().absolute(), database=environ.get("TUNIX_RT_DATABASE") or None)
