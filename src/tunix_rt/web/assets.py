"""Static files under an address that holds the hash of all of them: what a browser has once, it never asks for again."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).with_name("static")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}


@cache
def files() -> dict[str, bytes]:
    """The content of each file by its name."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


@cache
def version() -> str:
    """Changes when any file does."""
    hashed = hashlib.sha256()
    for name, content in files().items():
        hashed.update(f"{name} {len(content)} ".encode() + content)
    return hashed.hexdigest()[:12]


def url(name: str) -> str:
    """Where a page finds the file; a name that is not there is a KeyError."""
    files()[name]
    return f"/static/{version()}/{name}"


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers for exactly the addresses that `url` makes; a name is looked up, never made into a path."""
    name = str(scope["path"]).rpartition("/")[2]
    known = name in files() and scope["path"] == url(name)
    answer: Response = PlainTextResponse("there is no such file.\n", 404)
    if known:
        answer = Response(files()[name], headers=_FOREVER, media_type=_TYPES[Path(name).suffix])
    await answer(scope, receive, send)
