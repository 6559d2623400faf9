"""What leaves the service as JSON: results, and every mistake in one form, whoever found it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from tunix_rt import errors

JSON = "application/json"
_SHOWN = 100  # problems of one request that are listed
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 422: "invalid", 503: "unavailable"}


class Shown(BaseModel):
    """A body of this interface. Unlike a `Value` it has no id, so that `digest` may be a field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(Shown):
    """`code` is for programs, `message` for people; `details` name the field, the value, the known names."""

    code: str
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


class Problem(Shown):
    """What every request that fails is answered with."""

    error: Told


class Denied(errors.Mistake):
    """A request that is refused before any stage sees it."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.status, self.code = status, code
        self.headers = dict(headers or {})


def encoded(data: Any) -> bytes:
    """Compact JSON; half of a surrogate pair, which UTF-8 cannot hold, stays an escape."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    return text.encode("utf-8", "backslashreplace")


def reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(data), status, headers, JSON)


def text(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that is text already."""
    return Response(body, status, headers, JSON)


def page(lines: list[bytes], following: str | int | None) -> Response:
    """A page of a list whose entries are JSON text already."""
    cursor = b"null" if following is None else encoded(str(following))
    return text(b'{"data":[' + b",".join(lines) + b'],"next":' + cursor + b"}")


def problem(mistake: errors.Mistake, home: str) -> Response:
    """The mistake as a response; where the workspace lies on the server's disk is nobody's business."""
    body = encoded(mistake.as_dict()).replace(encoded(home)[1:-1], b"<workspace>")
    return text(body, mistake.status, getattr(mistake, "headers", None))


def of_framework(error: HTTPException) -> errors.Mistake:
    code = _CODES.get(error.status_code, "invalid")
    return Denied(error.status_code, code, f"{error.detail}.", error.headers)


def of_validation(error: RequestValidationError) -> errors.Mistake:
    """The first problem as a sentence, up to a hundred of them as details. What was sent is not sent back."""
    problems = [
        {"field": ".".join(map(str, found["loc"])), "message": _said(found), "type": found["type"]} for found in error.errors()
    ]
    first = problems[0]
    more = f" ({len(problems) - 1} more problems.)" if len(problems) > 1 else ""
    return errors.Invalid(f"{first['field']}: {first['message']}.{more}", field=first["field"], problems=problems[:_SHOWN])


def _said(found: Mapping[str, Any]) -> str:
    if found["type"] == "json_invalid":
        return f"not JSON that can be taken: {found['ctx']['error']}"
    return str(found["msg"])


def handler(told: Callable[[Scope, errors.Mistake], Response]) -> Any:
    """One handler for every exception that means an answer; `told` makes a response of the mistake."""

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            return told(request.scope, of_validation(error))
        if isinstance(error, HTTPException):
            return told(request.scope, of_framework(error))
        assert isinstance(error, errors.Mistake)
        return told(request.scope, error)

    return answer
