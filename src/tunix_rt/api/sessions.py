"""From a token, a cookie or a one-time code to the principal that asks.

A cookie holds the hash of the token it was given for, when it ends, and a keyed hash of both: it survives a restart of the
server, and ends with its token. One-time codes live for a minute in memory.
"""

import hashlib
import hmac
import secrets
import threading
import time
from typing import NamedTuple

from tunix_rt import access
from tunix_rt.access import Principal
from tunix_rt.store import Store

COOKIE = "tunix_rt"
CODE_SECONDS = 60.0
COOKIE_SECONDS = 7 * 86_400
REMEMBERED_SECONDS = 5.0  # for how long a named token is believed without asking the database: how late a revocation may be
_MOST = 1_000  # codes and remembered tokens that are kept


class Kept(NamedTuple):
    until: float
    principal: Principal


class Sessions:
    """Every method may be called from any thread."""

    def __init__(self, store: Store, owner_token: str) -> None:
        self._store = store
        self._owner = Principal(access.OWNER, "admin", access.hashed(owner_token))
        self._secret = hashlib.sha256(b"tunix-rt cookie " + owner_token.encode()).digest()
        self._lock = threading.Lock()
        self._codes: dict[str, Kept] = {}
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
        """A code that `swapped` takes once, within a minute."""
        made = secrets.token_urlsafe(32)
        with self._lock:
            _bounded(self._codes)
            self._codes[access.hashed(made)] = Kept(time.monotonic() + CODE_SECONDS, principal)
        return made

    def swapped(self, code: str) -> str | None:
        """The cookie for a code; None when it was used before, is too old or never was."""
        with self._lock:
            kept = self._codes.pop(access.hashed(code), None)
        if kept is None or kept.until < time.monotonic():
            return None
        expires = int(time.time()) + COOKIE_SECONDS
        return f"{kept.principal.key}.{expires}.{self._mac(kept.principal.key, expires)}"

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
