"""From a view to a page. Text from anywhere is text: everything is escaped, and a name that a view lacks is an error."""

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tunix_rt.access import Principal
from tunix_rt.web import assets, wording

_TEMPLATES = Environment(
    loader=PackageLoader("tunix_rt.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"static": assets.url}
_TEMPLATES.filters |= {
    name: getattr(wording, name)
    for name in ("whole", "percent", "points", "interval", "figure", "size", "seconds", "when", "short", "plural")
}
NAVIGATION = (
    ("Traces", "/traces"),
    ("Datasets", "/datasets"),
    ("Runs", "/runs"),
    ("Compare", "/compare"),
    ("Leaderboard", "/leaderboard"),
    ("Sweeps", "/sweeps"),
    ("Models", "/models"),
    ("Evidence", "/evidence"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What stands around every page: its title, the `command` that does the same, and where `up` leads."""

    title: str
    section: str = ""
    command: str | None = None
    up: str | None = None
    who: str | None = None
    role: str | None = None
    navigation: tuple[tuple[str, str], ...] = NAVIGATION


def page(
    request: Request, template: str, view: Any, *, title: str, command: str | None, up: str | None = "/", status: int = 200
) -> Response:
    """The page as a whole; which section it belongs to is in its address."""
    who: Principal | None = request.scope.get("principal")
    section = "/" + request.url.path.split("/")[1]
    shell = Shell(title=title, section=section, command=command, up=up, who=who and who.name, role=who and who.role)
    return html(template, status, shell=shell, view=view)


def html(template: str, status: int, **context: Any) -> Response:
    return HTMLResponse(_TEMPLATES.get_template(template).render(context), status)
