"""Mistakes a person can fix. Each carries the HTTP status and the exit code it surfaces as; the text says what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class Mistake(Exception):
    """Base of every error shown without a traceback.

    `details` is JSON-ready and names what a program needs to act (file, line, field, value).
    """

    code = "invalid"
    status = 422
    exit_code = 1

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


class Invalid(Mistake):
    """The input does not fit its contract."""


class NotFound(Mistake):
    """The named thing does not exist here."""

    code = "not_found"
    status = 404


class Conflict(Mistake):
    """The name is taken by something with other content."""

    code = "conflict"
    status = 409


class Refused(Mistake):
    """What was asked is possible, and a decision is against it; the message holds the reason, and what may be done instead."""

    code = "refused"
    status = 409


class Missing(Mistake):
    """A package, model or device this needs is absent; the message holds the command that mends it.

    409, not 503: asking again changes nothing until somebody has run that command.
    """

    code = "missing"
    status = 409


class Unavailable(Mistake):
    """The database, cluster or bucket does not answer, or not in time; the same request may succeed later."""

    code = "unavailable"
    status = 503


class Failed(Mistake):
    """Work that was started ended without its result; the message holds the reason and where the log is."""

    code = "failed"
    status = 500


class Tampered(Mistake):
    """Bytes on disk are not the bytes their manifest promises."""

    code = "tampered"
    status = 409


class Unsafe(Mistake):
    """Refused because going on could give something away; the message says what makes it safe."""

    code = "unsafe"
    status = 403
    exit_code = 78


class Interrupted(Mistake):
    """The person asked to stop."""

    code = "interrupted"
    status = 499
    exit_code = 130


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known word, or the list of all known words."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(words)}." if words else ""
