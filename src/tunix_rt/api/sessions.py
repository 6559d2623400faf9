"""From a token, a cookie or a one-time code to the principal that asks.

A cookie holds the hash of the token it was given for, when it ends, and a keyed hash of both: it survives a restart of the
server, and ends with its token. A one-time code is a file that lives for a minute: whoever of a workspace's servers removes it
has swapped it, so a browser may be let in by another server than the one that made its code.
"""

import hashlib
import hmac
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tunix_rt import access, errors, values
from tunix_rt.access import Principal
from tunix_rt.api.replies import Denied
from tunix_rt.store import Store

COOKIE = "tunix_rt"
CODE_SECONDS = 60.0
COOKIE_SECONDS = 7 * 86_400
REMEMBERED_SECONDS = 5.0  # for how long a named token is believed without asking the database: how late a revocation may be
_MOST = 1_000  # remembered tokens that are kept, and codes that wait


class Kept(NamedTuple):
    until: float
    principal: Principal


class Sessions:
    """Every method may be called from any thread."""

    def __init__(self, store: Store, owner_token: str, home: Path) -> None:
        self._store = store
        self._codes = home / "login-codes"
        self._owner = Principal(access.OWNER, "admin", access.hashed(owner_token))
        self._secret = hashlib.sha256(b"tunix-rt cookie " + owner_token.encode()).digest()
        self._lock = threading.Lock()
        self._known: dict[str, Kept] = {}

    def remembered(self, key: str) -> Principal | None:
        """The owner, or a named token that was found a moment ago; asks no database."""
        if access.same(key, self._owner.key):
            return self._owner
        kept = self._known.get(key)
        return kept.principal if kept and kept.until > time.monotonic() else None

    def found(self, key: str) -> Principal | None:
        """The named token with this hash, from the database."""
        with self._store.reading() as connection:
            principal = access.find(connection, key)
        with self._lock:
            self._known.pop(key, None)
            if principal:
                _bounded(self._known)
                self._known[key] = Kept(time.monotonic() + REMEMBERED_SECONDS, principal)
        return principal

    def code(self, principal: Principal) -> str:
        """A code that `swapped` takes once, within a minute; `Denied` (429) when too many wait."""
        self._codes.mkdir(mode=0o700, exist_ok=True)
        if len(self._waiting()) >= _MOST:
            raise Denied(429, "busy", "too many login codes wait; ask again in a minute.", {"Retry-After": "60"})
        made = secrets.token_urlsafe(32)
        values.write_json(self._codes / access.hashed(made), {"key": principal.key, "until": time.time() + CODE_SECONDS})
        return made

    def swapped(self, code: str) -> str | None:
        """The cookie for a code; None when it was used before, is too old or never was."""
        path = self._codes / access.hashed(code)
        try:
            kept = values.read_json(path)
            path.unlink()  # fails for all but one of those who read it
        except (errors.NotFound, FileNotFoundError):
            return None
        if kept["until"] < time.time():
            return None
        expires = int(time.time()) + COOKIE_SECONDS
        return f"{kept['key']}.{expires}.{self._mac(kept['key'], expires)}"

    def _waiting(self) -> list[Path]:
        """The codes that are still good, or are being written; the others are removed."""
        waiting = []
        for path in self._codes.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime + CODE_SECONDS < time.time():
                    path.unlink()
                else:
                    waiting.append(path)
        return waiting

    def key_of(self, cookie: str) -> str | None:
        """The hash of the token a cookie was given for; None for one that is not ours or has ended."""
        key, _, rest = cookie.partition(".")
        expires, _, mac = rest.partition(".")
        if len(cookie) > 200 or not (expires.isascii() and expires.isdigit() and len(expires) < 12):
            return None
        if not access.same(mac, self._mac(key, int(expires))) or int(expires) < time.time():
            return None
        return key

    def _mac(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{key}.{expires}".encode(), hashlib.sha256).hexdigest()


def _bounded(kept: dict[str, Kept]) -> None:
    """Forget what has ended, and the oldest when there is too much."""
    now = time.monotonic()
    for key in [key for key, one in kept.items() if one.until < now]:
        del kept[key]
    while len(kept) >= _MOST:
        del kept[next(iter(kept))]
