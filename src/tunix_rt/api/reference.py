"""What the service says of itself: the OpenAPI document, complete with examples and errors, a page made of it that needs no
other host, and the same as Markdown for the documentation."""

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tunix_rt.api.examples import EXAMPLES
from tunix_rt.api.policy import Rule
from tunix_rt.api.replies import JSON, Problem, reply

router = APIRouter(tags=["service"])
VERSION = importlib.metadata.version("tunix-rt")
ABOUT = (
    "Send `Authorization: Bearer TOKEN`; the owner's token is in the file `token` of the workspace. Lists are "
    '`{"data": [...], "next": cursor or null}`: give `next` back as `after`. Every mistake is '
    '`{"error": {"code", "message", "details"}}`. Nothing takes a server path, a command, an import string or '
    "environment variables."
)
_REASONS = {
    400: "The request cannot be read.",
    401: "No valid token was sent.",
    403: "The token's role does not allow this, or a page of another site asks.",
    404: "What is named does not exist here.",
    408: "The body came too slowly.",
    409: "It is in the way of something that is here already, or needs something that is absent: a model.",
    413: "The body is too large.",
    415: "The body is compressed.",
    421: "The Host header does not name this server.",
    422: "What was sent does not fit; the details name the field.",
    429: "Too many large requests at a time; ask again.",
    500: "Something went wrong inside the service.",
    503: "The database does not answer, or too many connections are open.",
}


@router.get("/api/openapi.json", summary="This reference as OpenAPI 3.1", response_class=Response,
            responses={200: {"content": {JSON: {"schema": {"type": "object"}}}}})  # fmt: skip
def openapi(request: Request) -> Response:
    """Complete with examples and errors."""
    return reply(request.app.openapi())


@router.get("/api", summary="This reference as a page", response_class=Response,
            responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}})  # fmt: skip
def page(request: Request) -> Response:
    """Plain HTML that asks no other host for anything."""
    return Response(html(request.app.openapi()), media_type="text/html; charset=utf-8")


@router.get("/api/reference.css", include_in_schema=False)
def style() -> Response:
    return Response((Path(__file__).with_name("reference.css")).read_bytes(), media_type="text/css")


@router.get("/api/reference.svg", include_in_schema=False)
async def mark() -> Response:
    return Response((Path(__file__).with_name("reference.svg")).read_bytes(), media_type="image/svg+xml")


def document(routes: list[BaseRoute], policy: Mapping[tuple[str, str], Rule]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    made = get_openapi(title="tunix-rt", version=VERSION, description=ABOUT, routes=routes)
    _complete(made, policy)
    _simplify(made)
    return made


def _simplify(found: Any) -> None:
    """A pair of two numbers is a list of two numbers: the same said in words that every reader of schemas knows."""
    if isinstance(found, dict):
        parts = found.get("prefixItems")
        if isinstance(parts, list) and parts.count(parts[0]) == len(parts) == found.get("minItems") == found.get("maxItems"):
            found["items"] = found.pop("prefixItems")[0]
        found = list(found.values())
    for each in found if isinstance(found, list) else ():
        _simplify(each)


def _complete(made: dict[str, Any], policy: Mapping[tuple[str, str], Rule]) -> None:
    parts = made.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "browser": {"type": "apiKey", "in": "cookie", "name": "tunix_rt"},
    }
    parts["responses"] = {str(status): _response(status) for status in _REASONS}
    made["security"] = [{"token": []}, {"browser": []}]
    for path, method, operation in operations(made):
        _finish(path, method, operation, policy[method.upper(), path])


def _response(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _REASONS[status], "content": {JSON: {"schema": schema}}}


def _finish(path: str, method: str, operation: dict[str, Any], rule: Rule) -> None:
    """What holds for every route of its kind: errors, rights, example."""
    statuses = [400, 401, 403, 421, 422, 429, 500, 503]
    statuses += [404] if "{" in path or rule.body or "compare" in path else []
    statuses += [408, 409, 413, 415] if rule.body else []
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        answers.pop("422")
    if rule.need == "public":
        statuses = [400, 421, 500]
        operation["security"] = []
    for status in statuses:
        answers.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    operation["responses"] = {key: answers[key] for key in sorted(answers)}
    operation["x-role"] = rule.need
    for place, example in EXAMPLES.get((method.upper(), path), {}).items():
        _example(operation, place, example)


def _example(operation: dict[str, Any], place: str, example: Any) -> None:
    if place == "body":
        content = operation["requestBody"]["content"]
    elif place == "parameters":
        for parameter in operation["parameters"]:
            if parameter["name"] in example:
                parameter["example"] = example[parameter["name"]]
        return
    else:
        content = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))["content"]
    next(iter(content.values()))["example"] = example


def operations(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in made["paths"].items():
        for method, operation in found.items():
            yield path, method, operation


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # only who opens the page pays for it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["code"] = _with_code
    return environment.from_string(Path(__file__).with_name("reference.html").read_text(encoding="utf-8"))


def html(made: dict[str, Any]) -> str:
    text: str = _template().render(made=made, groups=_groups(made), schemas=_schemas(made))
    return text


def _groups(made: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Tag -> what the page and the Markdown show of each operation."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, method, operation in operations(made):
        groups.setdefault(operation["tags"][0], []).append(_shown(path, method, operation))
    return groups


def _shown(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body: tuple[Any, dict[str, Any]] = next(iter(operation.get("requestBody", {}).get("content", {}).items()), (None, {}))
    good = [(status, answer) for status, answer in operation["responses"].items() if status.startswith("2")]
    content: tuple[Any, dict[str, Any]] = next(iter(good[0][1].get("content", {}).items()), (None, {}))
    return {
        "path": path,
        "method": method.upper(),
        "role": operation["x-role"],
        "summary": operation["summary"],
        "about": operation.get("description", ""),
        "parameters": [_parameter(one) for one in operation.get("parameters", [])],
        "takes": body[0] and (kind(body[1].get("schema", {})) if body[0] == JSON else body[0]),
        "body": _pretty(body[1].get("example")),
        "gives": content[0] and (kind(content[1].get("schema", {})) if content[0] == JSON else content[0]),
        "answer": _pretty(content[1].get("example")),
        "statuses": list(operation["responses"]),
    }


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": one["name"],
        "in": one["in"],
        "kind": kind(one["schema"]),
        "required": one.get("required", False),
        "default": one["schema"].get("default"),
        "about": one.get("description", ""),
    }


def _schemas(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Every value by name, with its fields."""
    found = []
    for name, schema in sorted(made["components"]["schemas"].items()):
        required = schema.get("required", [])
        fields = [
            {"name": key, "kind": kind(field), "required": key in required}
            for key, field in schema.get("properties", {}).items()
        ]
        found.append({"name": name, "about": schema.get("description", ""), "fields": fields})
    return found


def kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(kind(one) for one in schema[key])
    if "enum" in schema:
        return " \u00b7 ".join(map(str, schema["enum"]))
    if "const" in schema:
        return repr(schema["const"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def _with_code(text: str) -> str:
    """What stands between backticks as `code`."""
    from markupsafe import Markup, escape  # noqa: PLC0415  # only who opens the page pays for it

    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def _pretty(example: Any) -> str:

    if example is None:
        return ""
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def markdown(made: dict[str, Any]) -> str:
    """The reference as one document."""
    lines = [
        "# HTTP reference",
        "",
        "Made from the OpenAPI document by `make docs`; `/api` of a running server shows the same.",
        "",
        made["info"]["description"],
        "",
    ]
    for tag, shown in _groups(made).items():
        lines += [f"## {tag.capitalize()}", ""]
        for one in shown:
            lines += _section(one)
    lines += ["## Values", ""]
    for schema in _schemas(made):
        lines += [f"### {schema['name']}", "", *([schema["about"], ""] if schema["about"] else [])]
        lines += [
            f"- `{field['name']}`: {field['kind']}{'' if field['required'] else ', optional'}" for field in schema["fields"]
        ]
        lines += [""] if schema["fields"] else []
    return "\n".join(lines).rstrip() + "\n"


def _section(one: dict[str, Any]) -> list[str]:
    lines = [f"### {one['method']} {one['path']}", "", f"{one['summary']}. Needs: {one['role']}.", ""]
    lines += [one["about"], ""] if one["about"] else []
    for parameter in one["parameters"]:
        rest = "required" if parameter["required"] else f"default {parameter['default']!r}"
        lines.append(
            f"- `{parameter['name']}` ({parameter['in']}; {parameter['kind']}; {rest}): {parameter['about']}".rstrip(": ")
        )
    lines += [""] if one["parameters"] else []
    for what, name, example in (("Takes", one["takes"], one["body"]), ("Gives", one["gives"], one["answer"])):
        lines += [f"{what} {name}.", ""] if name else []
        lines += ["```json", example, "```", ""] if example else []
    return [*lines, f"Statuses: {', '.join(one['statuses'])}.", ""]
