import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import evidence
from tunix_rt.evidence import standalone

names = st.from_regex(r"[a-z]{1,8}(/[a-z0-9]{1,8}\.json)?", fullmatch=True)


def _zip(fill: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        fill(archive)
    return buffer.getvalue()


def _link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("README.md")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


def _huge_claim() -> bytes:
    """A header that says its member has four gigabytes."""
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 2**32 - 1, 2**32 - 1, 9, 0) + b"README.md"


def _many() -> bytes:
    return b"".join(standalone.serialise({f"f{number}": b"" for number in range(standalone.MOST_FILES + 1)}))


def _twice() -> bytes:
    entry = b"".join(standalone.serialise({"a": b"x"}))[: 30 + 1 + 1]
    return entry * 2


def _special(archive: zipfile.ZipFile, kind: int) -> None:
    entry = zipfile.ZipInfo("README.md")
    entry.external_attr = (kind | 0o777) << 16
    archive.writestr(entry, "x")


def _many_zeros(archive: zipfile.ZipFile) -> None:
    archive.writestr("zeros", bytes(10**7))


HOSTILE = {
    "empty": b"",
    "not a zip": b"hello",
    "an empty zip": _zip(zipfile.ZipFile.namelist),
    "climbs out": _zip(lambda archive: archive.writestr("../evil", "x")),
    "climbs out inside": _zip(lambda archive: archive.writestr("a/../../evil", "x")),
    "absolute": _zip(lambda archive: archive.writestr("/etc/evil", "x")),
    "drive": _zip(lambda archive: archive.writestr("C:evil", "x")),
    "backslash": b"".join(standalone.serialise({"a\\evil": b"x"})),
    "control character": b"".join(standalone.serialise({"a\nb": b"x"})),
    "hidden": _zip(lambda archive: archive.writestr(".bashrc", "x")),
    "symlink": _zip(_link),
    "bomb": _zip(lambda archive: archive.writestr("README.md", bytes(10**7)), zipfile.ZIP_DEFLATED),
    "huge claim": _huge_claim(),
    "half a header": _huge_claim()[:20],
    "many files": _many(),
    "one name twice": _twice(),
    "other zip writer": _zip(lambda archive: archive.writestr("README.md", "x")),
    "folder entry": _zip(lambda archive: archive.writestr("dataset/", "")),
    "climbs out backwards": _zip(lambda archive: archive.writestr("..\\..\\evil", "x")),
    "dots": _zip(lambda archive: archive.writestr("a/./b", "x")),
    "two slashes": _zip(lambda archive: archive.writestr("a//b", "x")),
    "a share": _zip(lambda archive: archive.writestr("//server/evil", "x")),
    "a stream": _zip(lambda archive: archive.writestr("README.md:evil", "x")),
    "a tilde": _zip(lambda archive: archive.writestr("~/evil", "x")),
    "a variable": _zip(lambda archive: archive.writestr("$HOME/evil", "x")),
    "a long name": _zip(lambda archive: archive.writestr("a" * 60_000, "x")),
    "a deep name": _zip(lambda archive: archive.writestr("a/" * 200 + "b", "x")),
    "not ASCII": _zip(lambda archive: archive.writestr("réadme.md", "x")),
    "right to left": _zip(lambda archive: archive.writestr("\u202egnp.md", "x")),
    "a blank": _zip(lambda archive: archive.writestr("README.md ", "x")),
    "a fifo": _zip(lambda archive: _special(archive, stat.S_IFIFO)),
    "a device": _zip(lambda archive: _special(archive, stat.S_IFCHR)),
    "set uid": _zip(lambda archive: _special(archive, stat.S_IFREG | stat.S_ISUID)),
    "bzip2": _zip(lambda archive: archive.writestr("README.md", bytes(10**6)), zipfile.ZIP_BZIP2),
    "lzma": _zip(lambda archive: archive.writestr("README.md", bytes(10**6)), zipfile.ZIP_LZMA),
    "a bomb in a bomb": _zip(lambda archive: archive.writestr("a.zip", _zip(_many_zeros, zipfile.ZIP_DEFLATED))),
    "a zip comment": _zip(lambda archive: setattr(archive, "comment", b"x" * 1000)),
    "two zips": b"".join(standalone.serialise({"a": b"x"})) * 2,
    "lying about its size": b"".join(standalone.serialise({"a": b"x"})).replace(b"\x01\x00\x00\x00", b"\x02\x00\x00\x00", 1),
    "lying about its sum": b"".join(standalone.serialise({"a": b"x"})).replace(b"ax", b"ay", 1),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_and_nothing_is_written(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    report = evidence.verify(path)
    assert (report.ok, report.checked, len(report.failures)) == (False, (), 1)
    assert not standalone.verify(path)["ok"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle.zip"]


def test_there_are_forty_of_them() -> None:
    assert len(HOSTILE) == 40


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    with path.open("wb") as file:
        file.truncate(standalone.LARGEST + 1)
    assert "more than" in evidence.verify(path).failures[0]
    assert "more than" in standalone.verify(path)["failures"][0]


@pytest.mark.parametrize("extra", [b"\x00", b"PK", b"\n"])
def test_bytes_before_or_behind_are_refused(bundle: Path, extra: bytes) -> None:
    data = bundle.read_bytes()
    for changed in (extra + data, data + extra):
        with pytest.raises(standalone.Refused):
            standalone.parse(changed)


def test_every_cut_end_is_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    for length in (0, 1, 29, 30, len(data) // 2, len(data) - 1):
        with pytest.raises(standalone.Refused):
            standalone.parse(data[:length])


def test_members_in_another_order_are_refused() -> None:
    first, second = (b"".join(standalone.serialise({name: b"x"}))[:32] for name in "ab")
    with pytest.raises(standalone.Refused, match="exact form"):
        standalone.parse(second + first)


@given(st.dictionaries(names, st.binary(max_size=50), max_size=6))
def test_parsing_inverts_serialising(members: dict[str, bytes]) -> None:
    assert standalone.parse(b"".join(standalone.serialise(members))) == members


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    with pytest.raises(standalone.Refused):
        standalone.parse(data)


def test_ordinary_tools_read_a_bundle(bundle: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist()[-2:] == ["manifest.json", "BUNDLE"]
