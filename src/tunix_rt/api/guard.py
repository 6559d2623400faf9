"""The door: what every request passes before and after its endpoint. Plain ASGI, so that it costs microseconds.

Before: is it this server that is meant (Host), is it a page of this server that asks (Origin, Sec-Fetch-Site), who asks, may
they, how much do they send. After: security headers, one measurement, one log line, one audit line for what could change
anything and for what was refused.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunix_rt import access, errors
from tunix_rt.access import Principal
from tunix_rt.api import audit, bodies
from tunix_rt.api.policy import POLICY, Rule
from tunix_rt.api.replies import Denied
from tunix_rt.api.service import Service
from tunix_rt.api.sessions import COOKIE

log = logging.getLogger("tunix_rt.api")
HEADER_BYTES = 16_000
SAFE = frozenset({"GET", "HEAD"})
_ONCE = frozenset({b"host", b"authorization", b"origin", b"sec-fetch-site", b"content-length", b"content-encoding", b"cookie"})
_RUNS = b"/api/runs/"
_OURS = (b"same-origin", b"none")
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]  # fmt: skip
_NO_STORE = (b"cache-control", b"no-store")


class Routed(Protocol):
    """What the door needs to know of a route."""

    path: str
    path_regex: re.Pattern[str]
    methods: set[str]


class Site:
    """The app's routes with the rule of each; `errors.Invalid` for a route without one: such an app does not start."""

    def __init__(self, routes: list[BaseRoute], policy: Mapping[tuple[str, str], Rule]) -> None:
        self._exact: dict[str, dict[str, Rule]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Rule]]] = {}
        for route in routes:
            for method, path, pattern in paths(route):
                if (method, path) not in policy:
                    raise errors.Invalid(f"{method} {path} has no rule in the policy table; add one.", path=path)
                self._exact.setdefault(path, {})[method] = policy[method, path]
                self._patterns.setdefault(path, (pattern, self._exact[path]))
        self._patterns = {path: found for path, found in self._patterns.items() if found[0].groups}

    def match(self, path: str, method: str) -> tuple[str, dict[str, Rule], dict[str, str]]:
        """(template, rules by method, parameters) of a path; no rules for one that leads nowhere.

        As the router does, a path that takes other methods only is tried as a name in a pattern as well.
        """
        exact = self._exact.get(path)
        if exact is not None and method in exact:
            return path, exact, {}
        for template, (pattern, rules) in self._patterns.items():
            if (found := pattern.match(path)) and (exact is None or method in rules):
                return template, rules, found.groupdict()
        return (path, exact, {}) if exact is not None else ("unmatched", {}, {})


def paths(route: BaseRoute) -> list[tuple[str, str, re.Pattern[str]]]:
    """(method, path, pattern) for each way into a route. What serves files counts as GET."""
    if isinstance(route, Mount):
        return [("GET", route.path, route.path_regex)]
    routed: Routed = route  # type: ignore[assignment]
    return [(method, routed.path, routed.path_regex) for method in sorted(routed.methods - {"HEAD"})]


class Asked:
    """One request on its way: what is known of it for the log, the measurement and the audit."""

    def __init__(self, scope: Scope, site: Site) -> None:
        self.id = secrets.token_hex(8)
        self.began = time.perf_counter()
        self.method: str = scope["method"]
        self.template, self.rules, self.params = site.match(scope["path"], "GET" if self.method == "HEAD" else self.method)
        self.headers: dict[bytes, bytes] = {}
        self.repeated = False
        self.size = 0
        for name, value in scope["headers"]:
            self.size += len(name) + len(value)
            if name in _ONCE and name in self.headers:
                self.repeated = True
            self.headers[name] = value
        self.principal: Principal | None = None
        self.status = 0
        self.made = ""

    @property
    def safe(self) -> bool:
        return self.method in SAFE


class Guard:
    """Wraps the app. `policy` is the one table of `policy.POLICY`; another one is for tests that break it on purpose."""

    def __init__(
        self, app: ASGIApp, service: Service, routes: list[BaseRoute], policy: Mapping[tuple[str, str], Rule] = POLICY
    ):
        self._app, self._service, self._routes, self._policy = app, service, routes, policy
        self._site: Site | None = None
        self._names = service.bound.names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._site = Site(self._routes, self._policy)
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            self._site = self._site or Site(self._routes, self._policy)
            await self._http(Asked(scope, self._site), scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                asked.made = _run_in(message["headers"])
                message["headers"] = _with_ours(message["headers"], asked.id)
            await send(message)

        try:
            rule = await self._let_in(asked)
            scope["principal"] = asked.principal
            allowed = await bodies.admitted(rule, asked.headers, receive)
            await self._app(scope, allowed, sending)
        except errors.Mistake as mistake:
            scope["principal"] = asked.principal
            if not asked.status:
                await self._service.told(scope, mistake)(scope, receive, sending)
        except ClientDisconnect:
            asked.status = asked.status or 499
        except Exception:
            log.exception("failed", extra={"told": {"request": asked.id, "route": asked.template}})
            if not asked.status:
                failed = errors.Failed(f"this went wrong inside the service; its log tells more under request {asked.id}.")
                await self._service.told(scope, failed)(scope, receive, sending)
        finally:
            self._record(asked, scope)

    async def _let_in(self, asked: Asked) -> Rule:
        """The rule of the route, once this request may use it."""
        self.check_host(asked)
        self.check_page(asked)
        rule = asked.rules.get("GET" if asked.method == "HEAD" else asked.method)
        if rule is None or rule.need != "public":
            asked.principal = await self._authenticate(asked)
        if not asked.rules:
            raise Denied(404, "not_found", "there is nothing at this address.")
        if rule is None:
            allowed = ", ".join(sorted(asked.rules))
            text = f"{asked.method[:20]!r} is not possible here, only {allowed}."
            raise Denied(405, "method_not_allowed", text, {"Allow": allowed})
        if rule.need != "public" and not (asked.principal and asked.principal.may(rule.need)):
            role = asked.principal.role if asked.principal else "nobody"
            raise Denied(403, "forbidden", f"this needs the role {rule.need!r}, and the token has {role!r}.", need=rule.need)
        return rule

    def check_host(self, asked: Asked) -> None:
        """A page that made its own name point here sends that name."""
        if asked.size > HEADER_BYTES:
            raise Denied(431, "headers_too_large", f"all headers together may have {HEADER_BYTES:,} bytes.")
        if asked.repeated:
            raise Denied(400, "bad_request", "a header that may come once came twice.")
        if asked.headers.get(b"host", b"").lower() not in self._names:
            text = "the Host header does not name this server; start `tunix-rt serve` with --proxy-host for a name of yours."
            raise Denied(421, "bad_host", text)

    def check_page(self, asked: Asked) -> None:
        """A page of another site, or of another port, may neither change anything nor have anything worked out."""
        site, origin = asked.headers.get(b"sec-fetch-site"), asked.headers.get(b"origin")
        host = asked.headers[b"host"].lower()
        foreign = origin is not None and origin.lower() not in (b"http://" + host, b"https://" + host)
        if asked.safe:
            foreign = site not in (None, *_OURS) and asked.headers.get(b"sec-fetch-mode") != b"navigate"
        elif site not in (None, *_OURS):
            foreign = True
        if foreign:
            raise Denied(403, "bad_origin", "the request comes from a page of another site.")

    async def _authenticate(self, asked: Asked) -> Principal:
        given = asked.headers.get(b"authorization")
        if given is not None:
            scheme, _, token = given.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and (found := await self._known(access.hashed(token.strip()))):
                return found
        elif (key := self._cookie_key(asked)) and (found := await self._known(key)):
            self.check_evidence(asked)
            return found._replace(by_cookie=True)
        text = "no valid token: send `Authorization: Bearer TOKEN`, or run `tunix-rt open` for a browser."
        raise Denied(401, "unauthenticated", text, {"WWW-Authenticate": "Bearer"})

    def _cookie_key(self, asked: Asked) -> str | None:
        return self._service.sessions.key_of(_cookie(asked.headers.get(b"cookie", b"")))

    def check_evidence(self, asked: Asked) -> None:
        """A cookie comes along unasked, so a change needs the browser's word that a page of this server made it."""
        site, origin = asked.headers.get(b"sec-fetch-site"), asked.headers.get(b"origin")
        if not asked.safe and origin is None and site != b"same-origin":
            raise Denied(403, "bad_origin", "with a cookie, a change needs an Origin or Sec-Fetch-Site header.")

    async def _known(self, key: str) -> Principal | None:
        sessions = self._service.sessions
        return sessions.remembered(key) or await to_thread.run_sync(sessions.found, key)

    def _record(self, asked: Asked, scope: Scope) -> None:
        seconds = time.perf_counter() - asked.began
        method = asked.method if asked.method in ("GET", "HEAD", "POST") else "other"
        self._service.measures.requests.labels(method, asked.template, str(asked.status)).observe(seconds)
        params = audit.shown(asked.params)
        told: dict[str, Any] = {"request": asked.id, "method": method, "route": asked.template, "status": asked.status}
        if run := params.get("run_id") or asked.made:
            told["run"] = run
        if log.isEnabledFor(logging.INFO):
            log.info("request", extra={"told": {**told, "ms": round(seconds * 1000, 2)}})
        if not asked.safe or asked.status in (401, 403, 421):
            who = asked.principal
            client = (scope.get("client") or ("",))[0]
            by = None if who is None else "cookie" if who.by_cookie else "token"
            self._service.audit.write(**told, who=who and who.name, by=by, client=client, params=params)


def _cookie(header: bytes) -> str:
    """Our cookie's value in the header, empty when it is not there."""
    for part in header.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _run_in(headers: Any) -> str:
    """The id of the run that an answer says was made."""
    place = next((value for name, value in headers if name == b"location"), b"")
    return place.removeprefix(_RUNS).decode("latin-1") if place.startswith(_RUNS) else ""


def _with_ours(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    kept = list(headers)
    if not any(name == b"cache-control" for name, _ in kept):
        kept.append(_NO_STORE)
    return [*kept, *HEADERS, (b"x-request-id", request_id.encode())]
