"""Files as numbered rows, read piece by piece: JSON lines, one JSON document, CSV, Parquet.

A line that cannot be read is a `Bad` in its place, so that one pass finds every mistake; a file that cannot be read at all is
a `BadFile`. A UTF-8 byte-order mark at the start is accepted, any other encoding is refused.
"""

import csv
import hashlib
import importlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from tunix_rt import errors
from tunix_rt.formats import strict
from tunix_rt.formats.core import BadFile, BadRow, Row, values_type

LONGEST_LINE = 4_000_000  # bytes
LONGEST_DOCUMENT = 256_000_000  # bytes: a document is read whole
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_UTF16 = ("wrong_encoding", "UTF-16 text; save it as UTF-8")
_PACKED = ("gzip", b"\x1f\x8b"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ"), ("zstd", b"\x28\xb5\x2f\xfd")
_FOREIGN = (
    *((magic, *_UTF16) for magic in (b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{", b"[\x00", b"\x00[")),
    *((magic, "compressed", f"compressed with {name}; unpack it first") for name, magic in _PACKED),
    (b"PK\x03\x04", "compressed", "a zip archive; unpack it first"),
    (b"ARROW1", "not_text", "an Arrow file; save it as Parquet"),
    (b"SQLite format 3\x00", "not_text", "a SQLite database; write its rows as JSON lines or CSV"),
    (b"%PDF", "not_text", "a PDF; JSON lines, JSON, CSV and Parquet are read"),
)


class Numbered(NamedTuple):
    """A row and the line, item or record it stood at; `raw` is its text, None where there is none to show."""

    line: int
    row: Row
    raw: str | None = None


class Bad(NamedTuple):
    """What is wrong with one line. `raw` is what stood there, shortened if it was huge."""

    line: int
    code: str
    field: str | None
    message: str
    raw: str | None = None

    def report(self) -> dict[str, Any]:
        return {"line": self.line, "code": self.code, "field": self.field, "message": self.message}


def bad(line: int, error: BadRow, raw: str | None = None) -> Bad:
    return Bad(line, error.code, error.field, error.message, raw)


class Rows:
    """Iterate once over a file's rows; afterwards `sha256` is that of the bytes read, and `count` how many rows there were."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._hash = hashlib.sha256()
        head = _head(path)
        self.kind = _kind(path, head)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Numbered | Bad]:
        readers = {"jsonl": self._lines, "json": self._document, "csv": self._csv, "parquet": self._parquet}
        try:
            for found in readers[self.kind]():
                self.count += 1
                yield found
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if not self.count:
            raise BadFile("empty_file", f"{self.path} holds no rows.", str(self.path))

    def _lines(self) -> Iterator[Numbered | Bad]:
        with self.path.open("rb") as file:
            for number, line in enumerate(self._pieces(file), start=1):
                if len(line) > LONGEST_LINE:
                    text = f"the line is longer than {LONGEST_LINE:,} bytes."
                    yield Bad(number, "line_too_long", None, text, line[:1_000].decode(errors="replace"))
                elif said := (line.removeprefix(_BOM) if number == 1 else line).strip():
                    yield from _spans(_row(number, said))

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        """Lines of at most one byte over the limit; what follows in a longer one is read and hashed, not kept."""
        while line := file.readline(LONGEST_LINE + 2):
            self._hash.update(line)
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(_CHUNK)
                self._hash.update(rest)
            yield line.removesuffix(b"\n").removesuffix(b"\r")

    def _document(self) -> Iterator[Numbered | Bad]:
        if self.path.stat().st_size > LONGEST_DOCUMENT:
            text = f"{self.path} is one JSON document of more than {LONGEST_DOCUMENT:,} bytes; write one object a line instead."
            raise BadFile("file_too_large", text, str(self.path))
        data = self.path.read_bytes()
        self._hash.update(data)
        try:
            items = strict.loads(data.removeprefix(_BOM).decode())
        except BadRow as error:
            raise BadFile(error.code, f"{self.path}: {error.message}", str(self.path)) from error
        except UnicodeDecodeError as error:
            raise BadFile("not_utf8", f"{self.path} is not UTF-8 text (byte {error.start}).", str(self.path)) from error
        for number, item in enumerate(_items(items), start=1):
            found = Numbered(number, item) if isinstance(item, dict) else _not_object(number, item, None)
            yield from _spans(found)

    def _csv(self) -> Iterator[Numbered | Bad]:
        csv.field_size_limit(LONGEST_LINE)
        with self.path.open("rb") as binary:
            reader = csv.reader(self._text(binary), strict=True)
            names = _header(next(self._records(reader), None), self.path)
            for found in self._records(reader):
                if isinstance(found, Bad):
                    yield found
                elif len(found) != len(names):
                    text = f"the record has {len(found)} fields, the header {len(names)}."
                    yield Bad(reader.line_num, "bad_csv", None, text, ",".join(found))
                else:
                    row = {name: value for name, value in zip(names, found, strict=True) if value != ""}
                    yield _checked(reader.line_num, row)

    def _text(self, binary: IO[bytes]) -> Iterator[str]:
        for number, line in enumerate(iter(lambda: binary.readline(LONGEST_LINE + 1), b""), start=1):
            self._hash.update(line)
            if len(line) > LONGEST_LINE:
                text = f"{self.path}, line {number} is longer than {LONGEST_LINE:,} bytes."
                raise BadFile("line_too_long", text, str(self.path))
            try:
                yield (line.removeprefix(_BOM) if number == 1 else line).decode()
            except UnicodeDecodeError as error:
                text = f"{self.path}, line {number} is not UTF-8 text."
                raise BadFile("not_utf8", text, str(self.path)) from error

    def _records(self, reader: Any) -> Iterator[list[str] | Bad]:
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(reader.line_num, "bad_csv", None, f"not CSV ({error}).")
            else:
                if record:
                    yield record

    def _parquet(self) -> Iterator[Numbered | Bad]:
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                self._hash.update(chunk)
        parquet = importlib.import_module("tunix_rt.formats.parquet")  # pyarrow takes a third of a second to import
        for number, row in enumerate(parquet.rows(self.path), start=1):
            yield bad(number, row) if isinstance(row, BadRow) else _checked(number, row)


def _head(path: Path) -> bytes:
    name = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadFile("is_directory", f"{name!r} is a folder; name a file in it.", name)
        if not stat.S_ISREG(mode):
            raise BadFile("not_a_file", f"{name!r} is a pipe, socket or device; save it to a file first.", name)
        with path.open("rb") as file:
            head = file.read(4_096)
    except FileNotFoundError as error:
        raise errors.NotFound(f"no file {name!r}.", path=name) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _unreadable(path, error) from error
    if not head:
        raise BadFile("empty_file", f"{name!r} is empty.", name)
    if head.startswith(b"PK\x03\x04") and path.suffix == ".eval":
        advice = f"`inspect log convert {path.name} --to json --output-dir logs`"
        raise BadFile("compressed", f"{name!r} is an Inspect archive; make JSON of it with {advice}.", name)
    for magic, code, what in _FOREIGN:
        if head.startswith(magic):
            raise BadFile(code, f"{name!r} is {what}.", name)
    return head


def _unreadable(path: Path, error: OSError | ValueError) -> BadFile:
    told = error.strerror if isinstance(error, OSError) and error.strerror else error
    return BadFile("unreadable", f"cannot read {str(path)!r}: {told}.", str(path))


def _kind(path: Path, head: bytes) -> str:
    if head.startswith(b"PAR1"):
        return "parquet"
    if path.suffix.lower() in (".parquet", ".pq"):
        raise BadFile("bad_parquet", f"{str(path)!r} is named as Parquet but is not.", str(path))
    if path.suffix.lower() == ".csv":
        return "csv"
    if path.suffix.lower() == ".json" and _is_document(path):
        return "json"
    return "jsonl"


def _is_document(path: Path) -> bool:
    """Whether a .json file is one document: an array, or an object that does not end on its first line or stands alone."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_DOCUMENT).removeprefix(_BOM).strip()
        while not first and (line := file.readline(_CHUNK)):
            first = line.strip()
        if not first.startswith(b"{") or not first.endswith(b"}"):
            return first.startswith((b"[", b"{"))
        return not any(line.strip() for line in iter(lambda: file.readline(_CHUNK), b""))


def _items(value: Any) -> list[Any]:
    """The rows of a document: its items, the samples of an Inspect log, a page of Langfuse's API, or itself."""
    if isinstance(value, dict):
        for beside, key in (("eval", "samples"), ("meta", "data")):
            if beside in value and isinstance(value.get(key), list):
                found: list[Any] = value[key]
                return found
    return value if isinstance(value, list) else [value]


def _spans(found: Numbered | Bad) -> list[Numbered | Bad]:
    """The row itself, or the spans in an OTLP row, which tracing collectors write a batch a line."""
    if isinstance(found, Bad) or not isinstance(found.row.get("resourceSpans"), list):
        return [found]
    try:
        spans = [
            span for batch in found.row["resourceSpans"] for scope in batch.get("scopeSpans", []) for span in scope["spans"]
        ]
    except (AttributeError, KeyError, TypeError):
        return [Bad(found.line, "wrong_type", "resourceSpans", "'resourceSpans' holds no spans as OTLP nests them.", found.raw)]
    return [Numbered(found.line, span) if isinstance(span, dict) else _not_object(found.line, span, None) for span in spans]


def _row(number: int, line: bytes) -> Numbered | Bad:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        shown = line.decode(errors="backslashreplace")
        return Bad(number, "not_utf8", None, f"not UTF-8 text (byte {error.start + 1} of the line).", shown)
    value = strict.quick(line)
    if value is None:
        if "\x00" in text:
            return Bad(number, "nul", None, "the line contains NUL.", text)
        try:
            value = strict.loads(text)
        except BadRow as error:
            return bad(number, error, text)
    return Numbered(number, value, text) if isinstance(value, dict) else _not_object(number, value, text)


def _not_object(number: int, value: object, raw: str | None) -> Bad:
    return Bad(number, "not_object", None, f"expected an object, got {values_type(value)}.", raw)


def _checked(number: int, row: Row) -> Numbered | Bad:
    try:
        for text in strict.strings(dict(row)):
            strict.check(text)
    except BadRow as error:
        return bad(number, error)
    return Numbered(number, row)


def _header(names: list[str] | Bad | None, path: Path) -> list[str]:
    if names is None:
        raise BadFile("empty_file", f"{path} holds no rows.", str(path))
    if isinstance(names, Bad):
        raise BadFile("bad_csv", f"{path}, line {names.line}: {names.message}", str(path))
    if not any(name.strip() for name in names):
        raise BadFile("bad_csv", f"{path}: the header names no column.", str(path))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadFile("duplicate_key", f"{path}: the column {twice!r} occurs twice in the header.", str(path))
    return names
