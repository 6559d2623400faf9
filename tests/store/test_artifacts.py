"""Artifacts in a folder and in a bucket: whole under their digest or absent, whatever kills the process that stores them."""

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
import s3
from tunix_rt import errors
from tunix_rt.settings import Settings
from tunix_rt.store import Store, artifacts, open_artifacts
from tunix_rt.store.artifacts import Folder

KILLS = {"folder": 12, "bucket": 6}
ENOUGH = 3  # for the control, which is killed once a part is there
WRITER = """
import io, sys, pathlib
from tunix_rt import settings
from tunix_rt.store import artifacts, open_artifacts
place = settings.load(pathlib.Path(sys.argv[1]))
files = open_artifacts(place)
data, OPEN = bytes(range(256)) * 40_000, {{"allow_http": True}}
for k in range(1_000):
    whole = data + str(k).encode()
    {put}
    print(k, flush=True)
"""
HONEST = "files.put(io.BytesIO(whole))"
IN_PIECES = """import hashlib, time
    name = artifacts.key(hashlib.sha256(whole).hexdigest())
    {begin}
    for at in range(0, len(whole), {piece}):
        {write}
        print("a part", flush=True)
        time.sleep(0.1)"""
BROKEN = {
    "folder": IN_PIECES.format(
        begin="path = place.artifact_folder / name; path.parent.mkdir(parents=True, exist_ok=True); file = path.open('wb', 0)",
        piece=1_000_000,
        write="file.write(whole[at:at + 1_000_000])",
    ),
    "bucket": IN_PIECES.format(
        begin="import obstore; from obstore.store import from_url; there = from_url(place.artifacts, client_options=OPEN)",
        piece=2_000_000,
        write="obstore.put(there, name, whole[:at + 2_000_000])",
    ),
}


def test_the_same_content_is_kept_once_and_comes_back(stored: Settings) -> None:
    files = open_artifacts(stored)
    first, again = files.put(io.BytesIO(b"content")), files.put(io.BytesIO(b"content"))
    assert first == again == (hashlib.sha256(b"content").hexdigest(), 7)
    assert files.path(first.digest).read_bytes() == b"content"
    assert (list(files.digests()), files.size(first.digest)) == ([first.digest], 7)
    files.verify(first.digest)
    empty = files.put(io.BytesIO())
    files.verify(empty.digest)
    assert files.path(empty.digest).read_bytes() == b""


def test_a_changed_file_is_found_and_mended_by_putting_it_again(stored: Settings, s3_server: s3.Server) -> None:
    files = open_artifacts(stored)
    made = files.put(io.BytesIO(b"content"))
    s3_server.damage(stored, made.digest)
    with pytest.raises(errors.Tampered, match=f"{files.where}/.*{made.digest} does not hold what its name says"):
        files.verify(made.digest)
    files.put(io.BytesIO(b"content"))
    files.verify(made.digest)


def test_a_missing_file_is_named(stored: Settings) -> None:
    files = open_artifacts(stored)
    for ask in (files.path, files.size, files.verify):
        with pytest.raises(errors.NotFound, match="a" * 64):
            ask("a" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 62 + "/b"])
def test_what_is_no_digest_is_refused(stored: Settings, digest: str) -> None:
    files = open_artifacts(stored)
    for ask in (files.path, files.size, files.verify):
        with pytest.raises(errors.Invalid):
            ask(digest)


def wrong_after_kills(settings: Settings, put: str, kills: int) -> int:
    """Kill a process that stores files, again and again; count digests whose file is something else."""
    draw = random.Random(7)
    command = [sys.executable, "-c", WRITER.format(put=put), settings.home]
    environ = {**os.environ, "TUNIX_RT_ARTIFACTS": settings.artifacts or ""}
    files = open_artifacts(settings)
    for _ in range(kills):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
        assert child.stdout
        child.stdout.readline()  # one is whole, or a part of the control's; the kill meets what comes next
        time.sleep(draw.random() * 0.1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if put == HONEST:  # and what the kill interrupted can be stored again
            files.put(io.BytesIO(bytes(range(256)) * 40_000 + b"1"))
    found = list(files.digests())
    assert found
    return sum(not whole(settings, digest) for digest in found)


def whole(settings: Settings, digest: str) -> bool:
    try:
        open_artifacts(settings).verify(digest)
    except errors.Tampered:
        return False
    return True


def test_a_kill_while_storing_never_leaves_wrong_content(stored: Settings) -> None:
    kind = "bucket" if stored.artifacts else "folder"
    assert wrong_after_kills(stored, HONEST, KILLS[kind]) == 0
    broken = stored.model_copy(update={"home": stored.home / "broken"})
    assert wrong_after_kills(broken, BROKEN[kind], ENOUGH) > 0, "the control writes in place and must be caught"


@pytest.mark.long
def test_two_hundred_kills_while_storing_never_leave_wrong_content(stored: Settings) -> None:
    wrong = wrong_after_kills(stored, HONEST, 200)
    counted.record("artifact-kills-bucket" if stored.artifacts else "artifact-kills", "D7", kills=200, wrong=wrong)
    assert wrong == 0


def test_collecting_leaves_what_is_used_or_young(stored: Settings, opened: Store) -> None:
    files = open_artifacts(stored)
    kept, loose = (files.put(io.BytesIO(text)) for text in (b"kept", b"loose"))
    with opened.unit_of_work() as connection:
        artifacts.use(connection, "run:1", "adapter", kept)
        artifacts.use(connection, "run:2", "adapter", kept)
        artifacts.release(connection, "run:2")
        used = artifacts.used(connection)
        assert artifacts.uses(connection, "run:1") == {"adapter": kept}
    assert files.collect(used) == []
    assert files.collect(used, grace=-10) == [loose.digest]
    assert list(files.digests()) == [kept.digest]
    with pytest.raises(errors.NotFound):
        files.path(loose.digest)


def test_a_folder_is_rid_of_what_kills_left_and_old_files_stored_again_are_young(tmp_path: Path) -> None:
    files = Folder(tmp_path)
    old, again = (files.put(io.BytesIO(text)) for text in (b"old", b"again"))
    left = tmp_path / "incoming" / "torn"
    left.write_bytes(b"half")
    for path in (files.path(old.digest), files.path(again.digest), left):
        os.utime(path, (1, 1))
    files.put(io.BytesIO(b"again"))
    assert files.collect(()) == [old.digest]
    assert list(files.digests()) == [again.digest]
    assert not left.exists()
