"""Artifacts: whole under their digest or absent, whatever kills the process that stores them."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import counted
from tunix_rt import errors
from tunix_rt.store import Artifacts, Store, artifacts

KILLS = 12
WRITER = """
import io, sys, pathlib
from tunix_rt.store import Artifacts
data = bytes(range(256)) * 40_000
for k in range(1_000):
    {put}
    print(k, flush=True)
"""
HONEST = "Artifacts(pathlib.Path(sys.argv[1])).put(io.BytesIO(data + str(k).encode()))"
BROKEN = """import hashlib, time
    whole = data + str(k).encode()
    digest = hashlib.sha256(whole).hexdigest()
    path = pathlib.Path(sys.argv[1]) / digest[:2] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as file:
        for at in range(0, len(whole), 65_536):
            file.write(whole[at:at + 65_536])
            time.sleep(0.001)"""


def test_the_same_content_is_kept_once_and_comes_back(tmp_path: Path) -> None:
    files = Artifacts(tmp_path)
    first, again = files.put(io.BytesIO(b"content")), files.put(io.BytesIO(b"content"))
    assert first == again == (hashlib.sha256(b"content").hexdigest(), 7)
    assert files.path(first.digest).read_bytes() == b"content"
    assert list(files.digests()) == [first.digest]
    files.verify(first.digest)


def test_a_changed_file_is_found_and_mended_by_putting_it_again(tmp_path: Path) -> None:
    files = Artifacts(tmp_path)
    made = files.put(io.BytesIO(b"content"))
    path = files.path(made.digest)
    path.chmod(0o644)
    path.write_bytes(b"CONTENT")
    with pytest.raises(errors.Tampered):
        files.verify(made.digest)
    files.put(io.BytesIO(b"content"))
    files.verify(made.digest)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 62 + "/b"])
def test_what_is_no_digest_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(errors.Invalid):
        Artifacts(tmp_path).path(digest)


def wrong_after_kills(folder: Path, put: str, kills: int) -> int:
    """Kill a process that stores files, again and again; count digests whose file is something else."""
    draw = random.Random(7)
    for _ in range(kills):
        child = subprocess.Popen([sys.executable, "-c", WRITER.format(put=put), folder], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()  # one is whole; the kill meets one of the next
        time.sleep(draw.random() * 0.1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if put == HONEST:  # and what the kill interrupted can be stored again
            Artifacts(folder).put(io.BytesIO(bytes(range(256)) * 40_000 + b"1"))
    files = Artifacts(folder)
    found = list(files.digests())
    assert found
    return sum(hashlib.sha256(files.path(digest).read_bytes()).hexdigest() != digest for digest in found)


def test_a_kill_while_storing_never_leaves_wrong_content(tmp_path: Path) -> None:
    assert wrong_after_kills(tmp_path / "honest", HONEST, KILLS) == 0
    assert wrong_after_kills(tmp_path / "broken", BROKEN, KILLS) > 0, "the control writes in place and must be caught"


@pytest.mark.long
def test_two_hundred_kills_while_storing_never_leave_wrong_content(tmp_path: Path) -> None:
    wrong = wrong_after_kills(tmp_path, HONEST, 200)
    counted.record("artifact-kills", "D7", kills=200, wrong=wrong)
    assert wrong == 0


def test_collecting_leaves_what_is_used_or_young(tmp_path: Path, opened: Store) -> None:
    files = Artifacts(tmp_path)
    kept, loose, young = (files.put(io.BytesIO(text)) for text in (b"kept", b"loose", b"young"))
    with opened.unit_of_work() as connection:
        artifacts.use(connection, "run:1", "adapter", kept)
        artifacts.use(connection, "run:2", "adapter", kept)
        artifacts.release(connection, "run:2")
        used = artifacts.used(connection)
        assert artifacts.uses(connection, "run:1") == {"adapter": kept}
    for made in (kept, loose):
        os.utime(files.path(made.digest), (1, 1))
    left = tmp_path / "incoming" / "torn"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert files.collect(used) == [loose.digest]
    assert set(files.digests()) == {kept.digest, young.digest}
    assert not left.exists()
