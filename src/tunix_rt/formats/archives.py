"""Members of a zip archive read into memory one at a time, nothing unpacked; Zstandard too, which Python 3.11 does not know."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors

MOST_MEMBERS = 200_000
LARGEST_MEMBER = 256 << 20
LARGEST_ALL = 8 << 30
_LOCAL_HEADER = 30
_ZSTANDARD = 93  # APPNOTE.TXT 6.3.8, 4.4.5


class Archive(NamedTuple):
    """`names` are those of its members, in the order of its directory."""

    names: tuple[str, ...]
    file: zipfile.ZipFile
    path: Path

    def read(self, name: str) -> bytes:
        """The whole member; `errors.Invalid` when it is damaged, encrypted or packed in a way that is not known."""
        member = self.file.getinfo(name)
        try:
            data = self._zstandard(member) if member.compress_type == _ZSTANDARD else self.file.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error) as error:
            raise errors.Invalid(f"{self.path}: {name!r} cannot be read ({error}).", path=str(self.path)) from error
        return data

    def _zstandard(self, member: zipfile.ZipInfo) -> bytes:
        """Into exactly the announced size: what would give more is an error."""
        if member.flag_bits & 1:
            raise ValueError("it is encrypted")
        with self.path.open("rb") as file:
            file.seek(member.header_offset)
            name, extra = struct.unpack("<26xHH", file.read(_LOCAL_HEADER))
            file.seek(name + extra, 1)
            packed = file.read(member.compress_size)
        import pyarrow  # noqa: PLC0415  # a third of a second that most archives do not need

        data: bytes = pyarrow.Codec("zstd").decompress(packed, decompressed_size=member.file_size, asbytes=True)
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise ValueError("its checksum does not fit")
        return data


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """`errors.Invalid` for what is no zip archive, names a member twice or is larger than anything of use."""
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
        raise errors.Invalid(f"{path} is no zip archive ({error}).", path=str(path)) from error
    with file:
        members = file.infolist()
        names = tuple(member.filename for member in members)
        sizes = [member.file_size for member in members]
        if len(names) > MOST_MEMBERS or max(sizes, default=0) > LARGEST_MEMBER or sum(sizes) > LARGEST_ALL:
            raise errors.Invalid(
                f"{path} announces {len(names)} files of {sum(sizes)} bytes; that is too much.", path=str(path)
            )
        if len(set(names)) != len(names):
            raise errors.Invalid(f"{path} holds two files of one name.", path=str(path))
        yield Archive(names, file, path)
