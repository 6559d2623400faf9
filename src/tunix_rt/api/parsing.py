"""Request bodies are read by the same strict reader as imported files: no duplicate key, no NaN, no infinity, no NUL, no half
surrogate, no deep nesting."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from tunix_rt import errors
from tunix_rt.formats import strict
from tunix_rt.formats.core import BadRow


class StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        if (value := strict.quick(body)) is not None:
            return value
        try:
            return strict.loads(body.decode())
        except BadRow as error:
            raise json.JSONDecodeError(error.message.rstrip("."), "", 0) from error
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("not UTF-8", "", error.start) from error


def _once(names: list[str]) -> None:
    """The same parameter twice could mean either."""
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise errors.Invalid(f"parameter {twice[:100]!r} is given twice; give it once.", field=f"query.{twice[:100]}")


class Route(APIRoute):
    """A route whose JSON body is read strictly, and whose parameters are given once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            strict_one = StrictRequest(request.scope, request.receive)
            _once([name for name, _ in strict_one.query_params.multi_items()])
            return await handler(strict_one)

        return strictly
