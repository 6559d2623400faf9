"""Files named by the sha256 of their content: put is atomic, what is there is whole, and nothing in use is thrown away.

They lie in a folder (`Folder`) or in a bucket (`buckets.Bucket`), as `ab/abcdef...` in both.
"""

import hashlib
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, insert, select

from tunix_rt import errors
from tunix_rt.store.schema import Instant, clock, metadata
from tunix_rt.values import fsync_folder, sha256_file

_CHUNK = 1 << 20
GRACE_SECONDS = 3_600.0  # a file younger than this may be about to be used

USES = Table(
    "artifact_uses",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("created", Instant, nullable=False),
)
"""Who uses which file, under which name; `collect` leaves those alone."""


class Put(NamedTuple):
    digest: str
    size: int


class Readable(Protocol):
    """What can be read a piece at a time; an empty piece is the end."""

    def read(self, size: int, /) -> bytes: ...


class Artifacts(ABC):
    """The content-addressed files of a workspace, wherever they lie.

    `errors.Invalid` for what is no digest, `errors.NotFound` when that file is not here.
    """

    @property
    @abstractmethod
    def where(self) -> str:
        """The folder or the bucket's address."""

    @abstractmethod
    def put(self, source: Readable) -> Put:
        """Store what can be read from `source` to its end, whole or not at all. The same content again changes nothing,
        mends what had been damaged, and makes it young, so that a collection that is running leaves it.

        A full disk is an `errors.Failed`, and leaves nothing under any digest.
        """

    def put_file(self, path: Path) -> Put:
        with path.open("rb") as file:
            return self.put(file)

    @abstractmethod
    def path(self, digest: str) -> Path:
        """Where the file of that digest lies on this machine, fetched if need be."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """In bytes, without reading the file."""

    @abstractmethod
    def verify(self, digest: str) -> None:
        """Read the whole file; `errors.Tampered` when its content is not what its name says."""

    @abstractmethod
    def digests(self) -> Iterator[str]:
        """Of all files, in order."""

    @abstractmethod
    def collect(self, kept: Collection[str], grace: float = GRACE_SECONDS) -> list[str]:
        """Remove what is not in `kept` and older than `grace` seconds, and temporary files left by a kill; returns digests."""


class Folder(Artifacts):
    """In one folder. A file is written under a temporary name, hashed on the way, made durable and renamed, so a process
    killed at any moment leaves either the whole file under its right name or a temporary one that `collect` removes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        return str(self._root)

    def put(self, source: Readable) -> Put:
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._incoming)
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    made = copy(source, file)
                    file.flush()
                    os.fsync(file.fileno())
                return self._keep(temporary, made)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            text = f"cannot store a file under {str(self._root)!r}: {error.strerror or error}."
            raise errors.Failed(text, path=str(self._root)) from error

    def path(self, digest: str) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise errors.NotFound(f"no artifact {digest!r} here.", digest=digest)
        return path

    def size(self, digest: str) -> int:
        return self.path(digest).stat().st_size

    def verify(self, digest: str) -> None:
        path = self.path(digest)
        if sha256_file(path) != digest:
            raise errors.Tampered(f"{path} does not hold what its name says.", path=str(path), digest=digest)

    def digests(self) -> Iterator[str]:
        yield from sorted(path.name for path in self._root.glob("[0-9a-f][0-9a-f]/*") if is_digest(path.name))

    def discard(self, digest: str) -> None:
        self._path(digest).unlink(missing_ok=True)

    def collect(self, kept: Collection[str], grace: float = GRACE_SECONDS) -> list[str]:
        limit = time.time() - grace
        for left in self._incoming.glob("*"):
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < limit:
                    left.unlink()
        unused = [digest for digest in self.digests() if digest not in kept and self._path(digest).stat().st_mtime < limit]
        for digest in unused:
            self.discard(digest)
        return unused

    @property
    def _incoming(self) -> Path:
        return self._root / "incoming"

    def _path(self, digest: str) -> Path:
        return self._root / key(digest)

    def _keep(self, temporary: Path, made: Put) -> Put:
        path = self._path(made.digest)
        if path.is_file() and path.stat().st_size == made.size and sha256_file(path) == made.digest:
            os.utime(path)
            return made
        path.parent.mkdir(exist_ok=True)
        temporary.chmod(0o444)
        temporary.replace(path)
        fsync_folder(path.parent)
        return made


def is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def key(digest: str) -> str:
    """Where the file of that digest lies, below the folder or the bucket's prefix."""
    if not is_digest(digest):
        raise errors.Invalid(f"{digest!r} is no sha256 in hex.", digest=digest)
    return f"{digest[:2]}/{digest}"


def copy(source: Readable, target: IO[bytes]) -> Put:
    """Copy to the end, a megabyte at a time; returns what was copied."""
    hashed, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        hashed.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return Put(hashed.hexdigest(), size)


def use(connection: Connection, owner: str, name: str, made: Put) -> None:
    """Say that `owner` keeps the file as `name`; another file under the same name is an IntegrityError."""
    connection.execute(insert(USES).values(owner=owner, name=name, digest=made.digest, size=made.size, created=clock()))


def release(connection: Connection, owner: str) -> None:
    """`owner` needs its files no more; `collect` may remove them."""
    connection.execute(delete(USES).where(USES.c.owner == owner))


def uses(connection: Connection, owner: str) -> dict[str, Put]:
    """The files of `owner` by name."""
    rows = connection.execute(select(USES).where(USES.c.owner == owner).order_by(USES.c.name))
    return {row.name: Put(row.digest, row.size) for row in rows}


def used(connection: Connection) -> set[str]:
    """Every digest that somebody uses."""
    return set(connection.scalars(select(USES.c.digest)))
