"""Immutable values named by content, and files that are either complete or absent.

A value's canonical JSON (sorted keys, no spaces, defaults left out) is what its id hashes, so two equal values have one
id on every machine, and a field added later with a default leaves old ids alone.
"""

import gc
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, get_args

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tunix_rt import errors


class Value(BaseModel):
    """Frozen, keyword-built, no unknown fields. To change one is to make another."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex. A plain property: a cached one would survive `model_copy`."""
        return sha256(canonical(self.model_dump(mode="json", exclude_defaults=True)))

    @classmethod
    def parse(cls, data: Any, *, source: str) -> Self:
        """Validate `data`; a mistake names `source`, the field, the value and, for an unknown key, the nearest known one."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise errors.Invalid(explain(error, cls, source), source=source, field=field_path(error)) from error


def _problems(error: ValidationError) -> list[Any]:
    """An unknown key first: a misspelt one is also a missing one, and its name explains both."""
    return sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def field_path(error: ValidationError) -> str:
    return ".".join(str(part) for part in _problems(error)[0]["loc"])


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One sentence for the first problem of a pydantic error, plus how many more there are."""
    first, *rest = _problems(error)
    loc = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"{source}: unknown key {loc!r}.{errors.nearest(str(first['loc'][-1]), _known_keys(model, first['loc'][:-1]))}"
    elif first["type"] == "missing":
        text = f"{source}: {loc!r} is missing."
    elif first["type"] == "value_error":
        text = f"{source}: {loc or 'value'!r}: {first['ctx']['error']}."
    else:
        shown = repr(first["input"])
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        text = f"{source}: {loc or 'value'!r} is {shown}: {first['msg']}."
    return text + (f" ({len(rest)} more problems in it.)" if rest else "")


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Keys of the model that `path` leads to; a part that is no field is a dict key, or names a member of a union."""
    candidates: list[type[BaseModel]] = [model]
    for part in path:
        fields = [inner.model_fields[str(part)].annotation for inner in candidates if str(part) in inner.model_fields]
        if fields:
            candidates = [inner for field in fields for inner in models_in(field)]
        else:
            candidates = [inner for inner in candidates if inner.__name__.lower() == part] or candidates
    return sorted({field.alias or key for inner in candidates for key, field in inner.model_fields.items()})


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for argument in get_args(annotation) for inner in models_in(argument)]


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text is what the pattern describes."""
    return re.fullmatch(pattern, text) is not None


def canonical(data: Any) -> bytes:
    """Canonical JSON bytes of JSON-ready data (RFC 8785 in spirit: sorted keys, no spaces, UTF-8).

    Defined by the standard library's encoder, so that anybody can make them again; orjson writes them where it agrees.
    """
    return canonical_exact(data) if exact(data) else _standard(data, sort_keys=True)


def canonical_exact(data: Any) -> bytes:
    """The same bytes where the caller vouches that `data` holds texts, integers, truth values and null, but no float."""
    try:
        return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer of more than 64 bits, a key that is no text, a lone surrogate
        return _standard(data, sort_keys=True)


def _standard(data: Any, *, sort_keys: bool) -> bytes:
    return json.dumps(data, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def exact(data: Any) -> bool:
    """Whether nothing in it is a float, which orjson writes in its own way, or of a type that JSON does not have."""
    kind = type(data)
    if kind is dict:
        return all(map(exact, data.values()))
    if kind is list or kind is tuple:
        return all(map(exact, data))
    return kind is str or kind is int or kind is bool or data is None


def pretty(data: Any) -> str:
    """The one human-readable JSON form: two spaces, keys in the order given, a final newline."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def differences(was: Any, now: Any, field: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted field, one value, the other) wherever two JSON-ready documents differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            yield from differences(was.get(key), now.get(key), f"{field}.{key}" if field else key)
    elif was != now:
        yield field, was, now


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def merkle_root(leaves: Iterable[str]) -> str:
    """Root over hex sha256 leaves in the given order (RFC 6962 section 2.1 node and leaf prefixes), in hex."""
    row = [hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in leaves]
    if not row:
        return sha256(b"")
    while len(row) > 1:
        pairs = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)]
        row = pairs + ([row[-1]] if len(row) % 2 else [])
    return row[0].hex()


def merkle_path(leaves: Sequence[str], index: int) -> list[str]:
    """The hashes that lead from leaf `index` to `merkle_root(leaves)`, lowest first (RFC 6962 section 2.1.1), in hex."""
    row = [hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in leaves]
    path = []
    while len(row) > 1:
        beside = index ^ 1
        if beside < len(row):
            path.append(row[beside].hex())
        pairs = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)]
        row = pairs + ([row[-1]] if len(row) % 2 else [])
        index //= 2
    return path


def merkle_climb(leaf: str, index: int, count: int, path: Sequence[str]) -> str | None:
    """The root that a leaf reaches over a path in a tree of `count` leaves (RFC 9162 section 2.1.3.2); None for a path of the
    wrong length or an index outside the tree."""
    if not 0 <= index < count:
        return None
    node, last = hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest(), count - 1
    for beside in map(bytes.fromhex, path):
        if last == 0:
            return None
        if index % 2 or index == last:
            node = hashlib.sha256(b"\x01" + beside + node).digest()
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            node = hashlib.sha256(b"\x01" + node + beside).digest()
        index, last = index // 2, last // 2
    return node.hex() if last == 0 else None


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python's cyclic garbage collector rests meanwhile: for work that makes many values and no cycles of them, whose every
    pass over all that is alive would find nothing. It goes on afterwards if it ran before."""
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing so that it appears whole or not at all: temporary name, fsync, rename, fsync the folder.

    A full disk is an `errors.Failed` naming the path; the temporary file is removed on any failure.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise errors.Failed(f"cannot write {str(path)!r}: {error.strerror or error}.", path=str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_writer(path) as file:
        file.write(data)


def write_json(path: Path, data: Any) -> None:
    write_bytes(path, pretty(data).encode())


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One compact JSON object a line, keys in the order given."""
    with atomic_writer(path) as file:
        for row in rows:
            file.write(jsonl_line(row))


def jsonl_line(row: Mapping[str, Any]) -> bytes:
    """The row as one line, without spaces; like `canonical`, but keys keep their order."""
    return jsonl_line_exact(row) if exact(row) else _standard(row, sort_keys=False) + b"\n"


def jsonl_line_exact(row: Mapping[str, Any]) -> bytes:
    """The same line where the caller vouches that no float is in it."""
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # as in `canonical_exact`
        return _standard(row, sort_keys=False) + b"\n"


def read_text(path: Path) -> str:
    """The UTF-8 text of a file a person named; a missing, unreadable or wrongly encoded one is explained."""
    try:
        with _explained(path):
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.Invalid(f"{path}: not UTF-8 text (byte {error.start}).", path=str(path)) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise errors.NotFound(f"no file {str(path)!r}.", path=str(path)) from error
    except OSError as error:
        raise errors.Invalid(f"cannot read {str(path)!r}: {error.strerror}.", path=str(path)) from error


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise errors.Invalid(
            f"{path}, line {error.lineno}: not JSON ({error.msg}).", path=str(path), line=error.lineno
        ) from error


def json_value(text: str) -> Any:
    """The value of a JSON text; a ValueError when it is none or nests too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise errors.Invalid(f"{path}: not TOML ({error}).", path=str(path)) from error


class Lines(NamedTuple):
    """Whole lines of a file, and the byte offset behind the last; `more` says whether the file goes on there."""

    lines: list[bytes]
    next: int
    more: bool


def read_lines(path: Path, after: int, limit: int, most: int = 8_000_000) -> Lines:
    """Up to `limit` whole lines from byte `after` on, as many as fit into `most` bytes but one at least: a page of any file
    costs what the first one does. `errors.Invalid` when no line begins at `after`."""
    if not path.is_file():
        return Lines([], 0, False)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(min(after, size) - 1, 0))  # a file system refuses a place that no file can have
        if after > size or (after and file.read(1) != b"\n"):
            raise errors.Invalid(f"{after!r} is no cursor; use the 'next' of the page before.", field="after")
        lines: list[bytes] = []
        place = after
        while len(lines) < limit and (not lines or place - after < most) and (line := file.readline()).endswith(b"\n"):
            lines.append(line[:-1])
            place += len(line)
    return Lines(lines, place, place < size)


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) for each line, read one by one; a broken one is an error naming file and line."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise errors.Invalid(f"{path}, line {number}: not JSON ({error.msg}).", path=str(path), line=number) from error
        if not isinstance(row, dict):
            raise errors.Invalid(
                f"{path}, line {number}: expected an object, got {type(row).__name__}.", path=str(path), line=number
            )
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    offset = 0
    with _explained(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, line.decode()
            except UnicodeDecodeError as error:
                raise errors.Invalid(f"{path}: not UTF-8 text (byte {offset + error.start}).", path=str(path)) from error
            offset += len(line)
