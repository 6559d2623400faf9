"""Addresses with their parameters as values: a page parses its own, and every link is made from one."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, model_validator


class Query(BaseModel):
    """The parameters of a page. An unknown or bad one is refused (422); an empty one, as forms send them, is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value != ""} if isinstance(data, Mapping) else data

    def link(self, path: str, **changes: Any) -> str:
        """The address of the same page with some parameters changed; None takes one out."""
        given = self.model_dump(exclude_defaults=True) | changes
        kept = {key: value for key, value in given.items() if value is not None}
        return f"{path}?{urlencode(kept, doseq=True)}" if kept else path

    def with_(self, **changes: Any) -> Self:
        return self.model_copy(update=changes)
