"""Artifacts in a bucket that speaks S3, and files of it at hand in a folder of the workspace.

The endpoint, region and credentials are the `AWS_` variables, which the library reads; nothing here ever holds them. An object
appears whole or not at all, and only once every byte that was sent has been hashed again, so no order of writers, kills and
retries leaves wrong content under a right name.
"""

import hashlib
import importlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tunix_rt import errors
from tunix_rt.redaction import Redactor
from tunix_rt.settings import Settings
from tunix_rt.store.artifacts import GRACE_SECONDS, Artifacts, Folder, Put, Readable, is_digest, key

_PIECE = 1 << 20
_PART = 8 << 20  # sent in one request; a larger file goes in parts
_PARTS = 9_000  # S3 takes 10,000 parts
_AT_ONCE = 4
_CLOCK = "incoming/clock"
# Without TLS only where the endpoint says http:. No limit on a whole file, which may take hours; one on silence.
_CLIENT = {"allow_http": True, "connect_timeout": "5s", "read_timeout": "300s", "timeout": "24h"}
_RETRIES = {"max_retries": 5, "retry_timeout": timedelta(minutes=3)}
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")


def open_artifacts(settings: Settings) -> Artifacts:
    """Where the settings say that they lie."""
    folder = Folder(settings.artifact_folder)
    if settings.artifacts is None:
        return folder
    return Bucket(settings.artifacts, folder, Redactor(settings.home))


class Bucket(Artifacts):
    """`s3://BUCKET/PREFIX`. A file that is used here is fetched once, hashed on the way, to the folder `cache`.

    `errors.Unavailable` names the endpoint when it does not answer, or not with what was asked.
    """

    def __init__(self, address: str, cache: Folder, redacted: Callable[[str], str]) -> None:
        self._address, self._cache, self._redacted = address, cache, redacted
        try:
            self._s3: Any = importlib.import_module("obstore")
            stores: Any = importlib.import_module("obstore.store")
        except ModuleNotFoundError as error:
            text = f"artifacts in {address!r} need the package obstore: python -m pip install obstore."
            raise errors.Missing(text, artifacts=address) from error
        with self._explained():
            self._store = stores.from_url(address, client_options=_CLIENT, retry_config=_RETRIES)

    @property
    def where(self) -> str:
        return self._address

    def put(self, source: Readable) -> Put:
        made = self._cache.put(source)
        part = max(_PART, made.size // _PARTS)
        several = made.size > part
        with self._explained():
            self._s3.put(
                self._store,
                key(made.digest),
                _checked(self._cache.path(made.digest), made.digest),
                use_multipart=several,
                chunk_size=part,
                max_concurrency=_AT_ONCE,
            )
        return made

    def path(self, digest: str) -> Path:
        with suppress(errors.NotFound):
            return self._cache.path(digest)
        with self._explained(digest):
            if self._cache.put(self._read(digest)).digest != digest:
                raise self._damaged(digest)
        return self._cache.path(digest)

    def size(self, digest: str) -> int:
        with self._explained(digest):
            return int(self._s3.head(self._store, key(digest))["size"])

    def verify(self, digest: str) -> None:
        """The object's bytes; a copy here that has been damaged is thrown away."""
        hashed = hashlib.sha256()
        with self._explained(digest):
            for piece in self._s3.get(self._store, key(digest)).stream(min_chunk_size=_PIECE):
                hashed.update(piece)
        if hashed.hexdigest() != digest:
            raise self._damaged(digest)
        try:
            self._cache.verify(digest)
        except errors.NotFound:
            pass
        except errors.Tampered:
            self._cache.discard(digest)

    def digests(self) -> Iterator[str]:
        yield from sorted(self._listed())

    def collect(self, kept: Collection[str], grace: float = GRACE_SECONDS) -> list[str]:
        """Age is by the bucket's clock, since the upload began. Parts of cut-off uploads are no objects: a rule of the bucket
        ends them."""
        self._cache.collect(kept, grace)
        removed = []
        with self._explained():
            self._s3.put(self._store, _CLOCK, b"")
            limit = self._stored(_CLOCK) - timedelta(seconds=grace)
            for digest, stored in sorted(self._listed().items()):
                # Asked again before it goes, as it may have been stored again since it was listed.
                if digest not in kept and stored < limit and self._stored(key(digest)) < limit:
                    self._s3.delete(self._store, key(digest))
                    removed.append(digest)
        return removed

    def _stored(self, name: str) -> datetime:
        """By the bucket's clock; the end of time for what another collection has just removed."""
        try:
            found: datetime = self._s3.head(self._store, name)["last_modified"]
        except FileNotFoundError:
            return datetime.max.replace(tzinfo=UTC)
        return found

    def _listed(self) -> dict[str, datetime]:
        """When each was stored."""
        with self._explained():
            found = (one for batch in self._s3.list(self._store, chunk_size=1_000) for one in batch)
            names = ((one["path"].rpartition("/")[2], one) for one in found)
            return {name: one["last_modified"] for name, one in names if is_digest(name) and one["path"] == key(name)}

    def _read(self, digest: str) -> Readable:
        return _Pieces(iter(self._s3.get(self._store, key(digest)).stream(min_chunk_size=_PIECE)))

    def _damaged(self, digest: str) -> errors.Tampered:
        where = f"{self._address}/{key(digest)}"
        return errors.Tampered(f"{where} does not hold what its name says.", path=where, digest=digest)

    @contextmanager
    def _explained(self, digest: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if digest is None or "NoSuchBucket" in str(error):
                raise self._unavailable(error) from None
            raise errors.NotFound(f"no artifact {digest!r} in {self._address}.", digest=digest) from None
        except (self._s3.exceptions.BaseError, ValueError) as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> errors.Unavailable:
        """Never the library's whole text: it shows requests and answers."""
        said = str(error).partition("Debug source")[0]
        first, code = re.split(r"[<\n]", said)[0], _CODE.search(said)
        why = self._redacted(first.strip(": ")[:300]) + (f" ({code[1]})" if code else "")
        text = (
            f"the artifacts in {self._address} cannot be reached: {why}. Look at AWS_ENDPOINT_URL, AWS_REGION, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
        return errors.Unavailable(text, artifacts=self._address)


class _Pieces:
    """An iterator of pieces to be read like a file; a piece has the size that came."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _: int, /) -> bytes:
        return next(self._pieces, b"")


def _checked(path: Path, digest: str) -> Iterator[bytes]:
    """The file's pieces; raises before the end, so that the upload is given up, when they are not what the digest says."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
            yield piece
    if hashed.hexdigest() != digest:
        raise errors.Tampered(f"{path} changed while it was sent.", path=str(path), digest=digest)
