"""A large file's traces, read and validated by a second process while this one works on those that came before.

The second process makes it quicker and nothing else: whatever ends it early, a mistake in the file or a signal, this process
reads on by itself from the same row, so that results and errors are the `Reader`'s own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from tunix_rt.formats import Bad, Format, Reader, named
from tunix_rt.values import exact, jsonl_line

SMALLEST = 16_000_000  # bytes of a file for which it is worth to start a process
# Handing over more at once than the pipe holds would make the two processes wait for each other in turns.
_AT_ONCE, _PIPE = 1 << 15, 1 << 20
Line = dict[str, Any]


class Ahead:
    """Iterate once over what a `Reader` gives, each trace as its `line()`; afterwards `format`, `sha256` and `count` are known.

    `smallest` is for tests, which have no large files.
    """

    def __init__(self, path: Path, form: Format | None, smallest: int = SMALLEST) -> None:
        self._reader = Reader(path, form)
        self.path, self.format = path, form
        self.sha256, self.count = "", 0
        self._apart = path.stat().st_size >= smallest and (os.cpu_count() or 1) > 1

    def __iter__(self) -> Iterator[tuple[int, Line] | Bad]:
        seen = 0
        if self._apart:
            for found in self._from_process():
                seen += 1
                yield found
        if self.sha256:
            return
        for read in islice(self._reader, seen, None):
            yield read if isinstance(read, Bad) else (read[0], read[1].line())
        self.format, self.sha256, self.count = self._reader.format, self._reader.rows.sha256, self._reader.rows.count

    def _from_process(self) -> Iterator[tuple[int, Line] | Bad]:
        command = [
            sys.executable,
            "-P",
            "-m",
            "tunix_rt.formats.ahead",
            str(self.path),
            self.format.name if self.format else "",
        ]
        with suppress(OSError):  # no room for another process
            quiet = subprocess.DEVNULL
            with subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, pipesize=_PIPE) as process:
                assert process.stdout is not None
                try:
                    yield from self._received(process.stdout)
                finally:
                    process.kill()

    def _received(self, pipe: IO[bytes]) -> Iterator[tuple[int, Line] | Bad]:
        for message in pipe:
            if not message.endswith(b"\n"):  # cut off
                return
            kind, rest = message[:1], message[1:]
            if kind == b"B":
                yield Bad(*orjson.loads(rest))
            elif kind == b"E":
                name, self.sha256, self.count = orjson.loads(rest)
                self.format = named(name) if name else None
            else:
                number, _, line = rest.partition(b" ")
                yield int(number), orjson.loads(line) if kind == b"T" else json.loads(line)


def send(path: Path, form: Format | None, pipe: IO[bytes]) -> None:
    """Write one line for each row and one for the end. An error ends it before that, which says enough: it is met again."""
    reader = Reader(path, form)
    for found in reader:
        if isinstance(found, Bad):
            pipe.write(b"B%b\n" % orjson.dumps(found))
        else:
            pipe.write(_trace(found[0], found[1].line()))
    name = reader.format.name if reader.format else None
    pipe.write(b"E%b\n" % orjson.dumps([name, reader.rows.sha256, reader.rows.count]))


def _trace(number: int, line: Line) -> bytes:
    """Marked T when orjson reads it as it was, S when only the standard library does: a float, a number of over 64 bits."""
    if exact(line["meta"]):
        with suppress(TypeError):
            return b"T%d %b\n" % (number, orjson.dumps(line))
    return b"S%d %b" % (number, jsonl_line(line))


def main() -> None:
    path, name = sys.argv[1:]
    with suppress(BrokenPipeError), open(1, "wb", _AT_ONCE, closefd=False) as pipe:  # it is open already
        send(Path(path), named(name) if name else None, pipe)


if __name__ == "__main__":
    main()
