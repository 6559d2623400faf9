"""The page that tells of a mistake: what is wrong and what to do next, in the words of whoever found it."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Scope

from tunix_rt import errors
from tunix_rt.web import rendering
from tunix_rt.web.rendering import Shell

_TITLES = {
    401: "Not let in yet",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    408: "Too slow",
    409: "In the way of something",
    413: "Too large",
    421: "Another server",
    422: "This does not fit",
    429: "Busy",
    503: "Something is missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    status: int
    title: str
    message: str
    lines: tuple[str, ...]
    way_in: bool


def page(scope: Scope, mistake: errors.Mistake) -> Response | None:
    """None where a program asks: anything under /api, or a request that does not say it takes HTML."""
    headers = dict(scope["headers"])
    if scope["path"].startswith("/api/") or b"text/html" not in headers.get(b"accept", b""):
        return None
    who = scope.get("principal")
    shell = Shell(
        title=_TITLES.get(mistake.status, "Something went wrong"),
        section="/" + scope["path"].split("/")[1],
        who=who and who.name,
        role=who and who.role,
        up="/",
        navigation=rendering.NAVIGATION if who else (),
    )
    response = rendering.html(
        "mistake.html", mistake.status, shell=shell, view=view(mistake, str(scope["app"].state.service.settings.home))
    )
    response.headers.update(getattr(mistake, "headers", {}))
    return response


def said(mistake: errors.Mistake, home: str) -> str:
    """The message; where the workspace lies on the server's disk is nobody's business."""
    return mistake.message.replace(home, "<workspace>")


def view(mistake: errors.Mistake, home: str) -> View:
    """The first line is the sentence, further ones are listed; of several problems each has a line."""
    first, *rest = said(mistake, home).splitlines() or [""]
    problems = mistake.details.get("problems", ())
    lines = [f"{problem['field']}: {problem['message']}" for problem in problems] if len(problems) > 1 else rest
    return View(
        status=mistake.status,
        title=_TITLES.get(mistake.status, "Something went wrong"),
        message=first[:1].upper() + first[1:],
        lines=tuple(line.strip() for line in lines[:100]),
        way_in=mistake.status == 401 or mistake.code == "bad_code",
    )
