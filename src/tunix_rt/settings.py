"""The only reader of the environment. Read once at a surface, frozen, passed down; never global."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tunix_rt.values import Value

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
CrashPoint = Literal["claimed", "launched", "exited", "finished"]


class Settings(Value):
    """`home` is the workspace: datasets, models, runs, evaluations, evidence and caches live under it.

    `database` is the address of a PostgreSQL database; None means SQLite in the workspace. `artifacts` is the
    `s3://BUCKET/PREFIX` where artifacts lie; None means the workspace. A worker that is silent for
    `lease_seconds` loses its runs to another; it shows itself three times as often. `crash_at` ends a worker at that point,
    as a kill would: for trying out what happens then. `judge_key` opens a judge's endpoint, `ray_token` a Ray cluster; they
    show themselves nowhere.
    """

    home: Path
    database: str | None = None
    artifacts: str | None = None
    lease_seconds: float = Field(default=30.0, gt=0)
    crash_at: CrashPoint | None = None
    judge_key: SecretStr | None = None
    ray_token: SecretStr | None = None

    @field_validator("artifacts")
    @classmethod
    def _bucket(cls, address: str | None) -> str | None:
        """Not shown when it is none: it may hold a key that somebody put there."""
        if address is None or _BUCKET.fullmatch(address):
            return address
        raise ValueError("an address of a bucket is s3://BUCKET or s3://BUCKET/PREFIX; keys are in the AWS_ variables")

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
    def artifact_folder(self) -> Path:
        """Where artifacts lie, or where those of a bucket are kept at hand."""
        return self.home / "artifacts" if self.artifacts is None else self.home / "cache" / "artifacts"

    @property
    def compile_cache(self) -> Path:
        return self.home / "cache" / "xla"


_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW(?:OR)?D|CREDENTIAL|APIKEY|(?:_KEY|_AUTH|COOKIE|_DSN)$", re.IGNORECASE)


def secrets(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The values of variables whose names say that they are secret: to be kept out of what is published."""
    return sorted({value for name, value in environ.items() if value and _SECRET_NAME.search(name)})


def load(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """`home` from the argument, else `TUNIX_RT_HOME`, else `~/.tunix-rt`; the rest from `TUNIX_RT_DATABASE`,
    `TUNIX_RT_ARTIFACTS`, `TUNIX_RT_LEASE_SECONDS`, `TUNIX_RT_CRASH_AT`, `TUNIX_RT_JUDGE_KEY` and `TUNIX_RT_RAY_TOKEN`."""
    chosen = home or Path(environ.get("TUNIX_RT_HOME") or Path.home() / ".tunix-rt")
    names = ("database", "artifacts", "lease_seconds", "crash_at", "judge_key", "ray_token")
    given = {name: environ.get(f"TUNIX_RT_{name.upper()}") for name in names}
    data = {"home": chosen.expanduser().absolute(), **{name: value for name, value in given.items() if value}}
    return Settings.parse(data, source="environment")
