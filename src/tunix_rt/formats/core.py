"""What a format is, and how a row of it becomes a trace that says where it came from.

A row that cannot be read is a `BadRow`: its code is for programs, its field for people, its message for both.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from tunix_rt import errors, values
from tunix_rt.traces import Trace

Row = Mapping[str, Any]


class BadRow(errors.Invalid):
    """One row does not fit; `code` is the kind of mistake and `details["field"]` the field, where there is one."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.code = code

    @property
    def field(self) -> str | None:
        field: str | None = self.details["field"]
        return field


class BadFile(errors.Invalid):
    """The file as a whole cannot be read."""

    def __init__(self, code: str, message: str, path: str) -> None:
        super().__init__(message, path=path)
        self.code = code


class Reply(NamedTuple):
    """The reasoning and the answer of one reply. `note` is what the text held besides, for the trace's meta."""

    steps: tuple[str, ...]
    answer: str
    note: dict[str, Any] = {}  # noqa: RUF012


class Format(NamedTuple):
    """`detect` looks at key names and types only; `read` gives the trace's body, of which `Trace` is built."""

    name: str
    about: str
    detect: Callable[[Row], bool]
    read: Callable[[Row], dict[str, Any]]


class Origin(NamedTuple):
    """Where a row stood: the file's own name without its folder, and the line (or item, or record) from 1."""

    file: str
    line: int


def to_trace(form: Format, row: Row, origin: Origin) -> Trace:
    """The row as a trace with `meta.source`; what the format's reader or the trace's limits refuse is a BadRow."""
    body = form.read(row)
    meta = dict(body.get("meta") or {})
    source = {"format": form.name, "file": origin.file, "line": origin.line, **body.pop("source", {})}
    if "source" in meta:
        source["before"] = meta["source"]
    try:
        return Trace.model_validate({**body, "meta": {**meta, "source": source}})
    except ValidationError as error:
        raise _refused(error) from error


def body(prompt: object, reply: Reply, extra: Mapping[str, Any], **meta: Any) -> dict[str, Any]:
    """The parts of a trace read from another format. A reply without reasoning becomes the one step that concludes."""
    steps = reply.steps or (reply.answer,)
    kind = "reasoning" if reply.steps else "conclude"
    kept = {"extra": dict(extra)} if extra else {}
    return {
        "prompt": prompt,
        "steps": [{"i": i, "type": kind, "content": text} for i, text in enumerate(steps, start=1)],
        "final_answer": reply.answer,
        "meta": {**kept, **{key: value for key, value in meta.items() if value}},
        "source": {**reply.note, **({} if reply.steps else {"reasoning": "absent"})},
    }


def without(row: Row, *keys: str) -> dict[str, Any]:
    """What else the row holds."""
    return {key: value for key, value in row.items() if key not in keys}


def text(row: Row, key: str) -> str:
    """The string under `key`; BadRow when it is missing, no string, or blank."""
    if key not in row or row[key] is None:
        raise BadRow("missing_field", f"{key!r} is missing.", key)
    value = row[key]
    if not isinstance(value, str):
        raise BadRow("wrong_type", f"{key!r} is {values_type(value)}, expected text.", key)
    if not value.strip():
        raise BadRow("blank", f"{key!r} is blank.", key)
    return value


def values_type(value: object) -> str:
    """The JSON name of a value's type, with its article."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


_CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "too_long": "too_many_steps",
    "too_short": "no_steps",
    "string_too_short": "blank",
    "value_error": "bad_value",
    "literal_error": "bad_value",
}


def _refused(error: ValidationError) -> BadRow:
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    message = values.explain(error, Trace, "trace")
    code = _CODES.get(problem["type"], "wrong_type")
    if "must not be blank" in message:
        code = "blank"
    elif "must not contain NUL" in message:
        code = "nul"
    return BadRow(code, message.removeprefix("trace: "), values.field_path(error))
