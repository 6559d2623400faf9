"""An OpenAI-compatible endpoint as a judge: chat completions over HTTP, bounded in time and size, tried again where that helps.

The key comes from the settings and goes into one header; no message, log or file holds it. A redirect is not followed, so it
goes to the named host only, and never unencrypted to another machine.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from tunix_rt import errors, values
from tunix_rt.evals.judging import Generate, Note, Refused
from tunix_rt.redaction import HIDDEN
from tunix_rt.scoring.scorers import Judge
from tunix_rt.scoring.scorers.judge import Reply

LONGEST_REPLY = 4 << 20
LONGEST_WAIT = 60.0
PASSING = frozenset({408, 409, 425, 429, *range(500, 600)})  # may be gone when asked again
OF_THE_QUESTION = frozenset({400, 413, 422})  # too long, or against the endpoint's rules: the other questions may be fine
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection(NamedTuple):
    """`seconds` is for one whole reply; `tries` counts the first; the pause before the second is doubled before each later."""

    seconds: float = 120.0
    parallel: int = 4
    tries: int = 5
    pause: float = 1.0


class _Passing(Exception):
    """Worth another try; `after` is how many seconds the server asked to wait."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


def address(text: str, key: SecretStr | None) -> str:
    """The base URL as it is recorded; refused when it holds credentials, or would carry the key unencrypted."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.Invalid(f"{parts.netloc or text!r} is no base URL; write it as https://host/v1.", field="judge_url")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise errors.Invalid(
            "the judge's URL must hold no user, password, query or fragment; a key belongs into TUNIX_RT_JUDGE_KEY.",
            field="judge_url",
        )
    if key is not None and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise errors.Unsafe(f"the key would go unencrypted to {parts.hostname}; use an https URL.", host=parts.hostname)
    return text.rstrip("/")


def asking(judge: Judge, key: SecretStr | None, connection: Connection = Connection()) -> Generate:
    """Ask the judge's endpoint, several questions at once; what was received is noted before an error is raised."""
    assert judge.endpoint is not None

    def generate(questions: Mapping[str, str], note: Note) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
        stop = threading.Event()
        with httpx.Client(headers=headers, timeout=connection.seconds) as client:
            one = _Asker(client, judge, key, connection, stop)
            with ThreadPoolExecutor(connection.parallel) as pool:
                waiting = {pool.submit(one.ask, text): name for name, text in questions.items()}
                try:
                    _collect(waiting, note, stop)
                finally:
                    stop.set()
                    pool.shutdown(cancel_futures=True)

    return generate


def _collect(waiting: Mapping[Future[Reply | Refused], str], note: Note, stop: threading.Event) -> None:
    failed: errors.Mistake | None = None
    for future in as_completed(waiting):
        if future.cancelled():
            continue
        try:
            note(waiting[future], future.result())
        except errors.Mistake as mistake:
            failed = failed or mistake
            stop.set()
            for other in waiting:
                other.cancel()
    if failed is not None:
        raise failed


class _Asker(NamedTuple):
    client: httpx.Client
    judge: Judge
    key: SecretStr | None
    connection: Connection
    stop: threading.Event

    def ask(self, question: str) -> Reply | Refused:
        """Raises `errors.Failed` when no try brought a reply."""
        pause, last = self.connection.pause, ""
        for number in range(1, self.connection.tries + 1):
            try:
                return self._once(question)
            except (_Passing, httpx.TransportError) as error:
                last = self._safe(str(error) or type(error).__name__)
                wanted = error.after if isinstance(error, _Passing) else 0.0
            if number < self.connection.tries and not self.stop.wait(min(max(pause, wanted), LONGEST_WAIT)):
                pause *= 2
            elif self.stop.is_set():
                break
        raise errors.Failed(
            f"the judge at {self.judge.endpoint} gave no reply in {number} tries, the last: {last}. Nothing is scored; the "
            "replies so far are kept, and the same command goes on from them.",
            endpoint=self.judge.endpoint,
        )

    def _once(self, question: str) -> Reply | Refused:
        status, headers, body = self._post(question)
        if status in PASSING:
            raise _Passing(f"HTTP {status}: {_told(body)}", _seconds(headers.get("retry-after", "")))
        if status in OF_THE_QUESTION:
            return Refused(self._safe(f"HTTP {status}: {_told(body)}"))
        if status != 200:
            raise errors.Failed(
                self._safe(f"the judge at {self.judge.endpoint} answered HTTP {status}: {_told(body)}."), status=status
            )
        return _reply(body)

    def _post(self, question: str) -> tuple[int, httpx.Headers, bytes]:
        """A reply that is slow, however it drips in, or larger than any verdict is given up."""
        data = {
            "model": self.judge.model,
            "messages": [{"role": "system", "content": self.judge.instruction}, {"role": "user", "content": question}],
            "max_tokens": self.judge.max_new_tokens,
            "temperature": self.judge.temperature,
        }
        until, body = time.monotonic() + self.connection.seconds, b""
        with self.client.stream("POST", f"{self.judge.endpoint}/chat/completions", json=data) as response:
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > until or len(body) > LONGEST_REPLY:
                    raise _Passing(f"no whole reply within {self.connection.seconds:g} s and {LONGEST_REPLY} bytes")
        return response.status_code, response.headers, body

    def _safe(self, text: str) -> str:
        return text if self.key is None else text.replace(self.key.get_secret_value(), HIDDEN)


def _reply(body: bytes) -> Reply | Refused:
    try:
        found: Any = values.json_value(body.decode())
        choice = found["choices"][0]
        if choice.get("finish_reason") == "content_filter":
            return Refused("the endpoint filtered the reply")
        usage = found.get("usage") or {}
        return Reply(
            text=choice["message"]["content"],
            finish="length" if choice.get("finish_reason") == "length" else "stop",
            model=found.get("model"),
            tokens=usage.get("completion_tokens"),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _Passing(f"the reply is no chat completion ({type(error).__name__}): {_told(body)}") from error


def _told(body: bytes) -> str:
    """The beginning of what a server says, on one line."""
    return repr(" ".join(body[:2_000].decode(errors="replace").split())[:200])


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:  # a date, or none
        return 0.0
