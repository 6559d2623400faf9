"""What a bucket adds: copies at hand, files in parts, and everything that can go wrong between here and there."""

import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import s3
from test_cli import document, run
from tunix_rt import errors, settings, store
from tunix_rt.settings import Settings
from tunix_rt.store import artifacts, open_artifacts
from tunix_rt.store.artifacts import Folder
from tunix_rt.store.buckets import Bucket

IN_PARTS = bytes(range(256)) * 80_000  # 20 MB: three parts
COPY = r"""
import pathlib, re, sys
from tunix_rt import settings
from tunix_rt.store import open_artifacts
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
home, source = map(pathlib.Path, sys.argv[1:3])
files = open_artifacts(settings.load(home))
before = peak()
made = files.put_file(source)
files.verify(made.digest)
print(open_artifacts(settings.load(home / "another")).path(made.digest).stat().st_size)
print(peak() - before)
everything = source.read_bytes()
print(peak() - before)
"""


@pytest.fixture
def place(bucket: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", artifacts=f"s3://{bucket}/tunix-rt")


def elsewhere(place: Settings) -> Settings:
    """The same bucket from a machine that has nothing of it at hand."""
    return place.model_copy(update={"home": place.home / "elsewhere"})


def keys(server: s3.Server, bucket: str) -> list[str]:
    return [one["Key"] for one in server.client.list_objects_v2(Bucket=bucket).get("Contents", ())]


# ── objects and copies ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_large_file_goes_in_parts_and_is_fetched_once_elsewhere(place: Settings, bucket: str, s3_server: s3.Server) -> None:
    made = open_artifacts(place).put(io.BytesIO(IN_PARTS))
    (name,) = keys(s3_server, bucket)
    assert name == f"tunix-rt/{made.digest[:2]}/{made.digest}"
    assert s3_server.client.head_object(Bucket=bucket, Key=name)["ETag"].endswith('-3"')
    there = open_artifacts(elsewhere(place))
    assert there.path(made.digest).read_bytes() == IN_PARTS
    s3_server.client.delete_object(Bucket=bucket, Key=name)
    assert there.path(made.digest).read_bytes() == IN_PARTS  # at hand, and still what its name says
    with pytest.raises(errors.NotFound):
        there.verify(made.digest)


def test_a_folder_moves_to_a_bucket_by_copying_its_files(place: Settings, s3_server: s3.Server) -> None:
    folder = Folder(place.home / "artifacts")
    made = [folder.put(io.BytesIO(text)) for text in (b"one", b"two")]
    for one in made:
        s3_server.client.upload_file(str(folder.path(one.digest)), *s3.place(place, one.digest).values())
    files = open_artifacts(place)
    assert list(files.digests()) == list(folder.digests())
    for one in made:
        files.verify(one.digest)


def test_a_damaged_object_is_not_taken(place: Settings, s3_server: s3.Server) -> None:
    made = open_artifacts(place).put(io.BytesIO(b"content"))
    s3_server.damage(place, made.digest)
    there = elsewhere(place)
    with pytest.raises(errors.Tampered, match=f"s3://.*{made.digest} does not hold what its name says"):
        open_artifacts(there).path(made.digest)
    assert not (there.artifact_folder / artifacts.key(made.digest)).exists()
    open_artifacts(place).put(io.BytesIO(b"content"))
    assert open_artifacts(there).path(made.digest).read_bytes() == b"content"


def test_a_damaged_copy_is_thrown_away_by_a_check_and_fetched_again(place: Settings) -> None:
    files = open_artifacts(place)
    made = files.put(io.BytesIO(b"content"))
    copy = files.path(made.digest)
    copy.chmod(0o644)
    copy.write_bytes(b"CONTENT")
    files.verify(made.digest)
    assert files.path(made.digest).read_bytes() == b"content"


class Failing(Folder):
    """A disk that changes a byte between a file's being stored and its being sent."""

    def path(self, digest: str) -> Path:
        path = super().path(digest)
        path.chmod(0o644)
        path.write_bytes(s3.flipped(path.read_bytes()))
        return path


@pytest.mark.parametrize("content", [b"content", IN_PARTS], ids=["at once", "in parts"])
def test_what_changes_on_its_way_is_never_there(place: Settings, bucket: str, s3_server: s3.Server, content: bytes) -> None:
    assert place.artifacts
    with pytest.raises(errors.Tampered, match="changed while it was sent"):
        Bucket(place.artifacts, Failing(place.artifact_folder), str).put(io.BytesIO(content))
    assert keys(s3_server, bucket) == []
    Bucket(place.artifacts, Folder(place.artifact_folder), str).put(io.BytesIO(content))
    assert len(keys(s3_server, bucket)) == 1  # negative control


def test_what_is_stored_again_is_young_again(place: Settings, bucket: str, s3_server: s3.Server) -> None:
    def stored() -> object:
        (name,) = keys(s3_server, bucket)
        return s3_server.client.head_object(Bucket=bucket, Key=name)["LastModified"]

    open_artifacts(place).put(io.BytesIO(b"content"))
    before = stored()
    time.sleep(1.1)  # the bucket counts in seconds
    assert stored() == before
    open_artifacts(place).put(io.BytesIO(b"content"))
    assert stored() != before


def test_other_objects_are_left_alone(place: Settings, bucket: str, s3_server: s3.Server) -> None:
    others = ["tunix-rt/README", "tunix-rt/ab/" + "c" * 64, "elsewhere/" + artifacts.key("d" * 64)]
    for name in others:
        s3_server.client.put_object(Bucket=bucket, Key=name, Body=b"")
    files = open_artifacts(place)
    made = files.put(io.BytesIO(b"content"))
    assert list(files.digests()) == [made.digest]
    assert files.collect((), grace=-10) == [made.digest]
    assert set(others) <= set(keys(s3_server, bucket))


def copied(place: Settings, source: Path, size: int) -> tuple[int, int]:
    """Megabytes that storing, checking and fetching a file of that size took at most; and what reading it as a whole does."""
    with source.open("wb") as file:
        file.truncate(size)
    environ = {**os.environ, "TUNIX_RT_ARTIFACTS": str(place.artifacts)}
    command = [sys.executable, "-c", COPY, place.home, source]
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    fetched, peak, control = map(int, done.stdout.split())
    assert fetched == size
    return peak // 1024, control // 1024


def test_memory_does_not_grow_with_the_file(place: Settings, tmp_path: Path) -> None:
    peak, control = copied(place, tmp_path / "source", 120_000_000)
    assert peak < 80 < control


# ── what the command line says ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(place: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNIX_RT_ARTIFACTS", str(place.artifacts))
    return place.home


def test_a_check_names_what_is_missing_and_what_is_damaged(
    home: Path, place: Settings, s3_server: s3.Server, tmp_path: Path
) -> None:
    files = open_artifacts(place)
    made = [files.put(io.BytesIO(text)) for text in (b"one", b"two", b"three", b"loose")]
    opened = store.open_store(place)
    with opened.unit_of_work() as connection:
        for k, one in enumerate(made[:3]):
            artifacts.use(connection, f"run:{k}", "adapter", one)
    opened.close()
    whole = document("store", "check", home=home)
    assert (whole["artifacts"], whole["files"]) == (place.artifacts, 4)
    s3_server.damage(place, made[0].digest)
    s3_server.client.delete_object(**s3.place(place, made[1].digest))
    problems = document("store", "check", home=home, code=1)["error"]["details"]["problems"]
    assert sorted(problems) == [
        f"no artifact {made[1].digest!r} in {place.artifacts}.",
        f"{place.artifacts}/{artifacts.key(made[0].digest)} does not hold what its name says.",
    ]
    assert document("store", "gc", home=home)["removed"] == []
    told = run("store", "backup", tmp_path / "b.zip", home=home).stdout
    assert f"not in it: the artifacts in {place.artifacts}" in told


WRONG = {
    "another secret": ({"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-this-key"}, "SignatureDoesNotMatch"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "AKIA" + "Z" * 16}, "InvalidAccessKeyId"),
    "no endpoint there": ({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.free_port()}"}, "error sending request"),
    "a password in it": ({"AWS_ENDPOINT_URL": f"http://ada:hidden-word@127.0.0.1:{s3.free_port()}"}, "error sending request"),
    "no bucket of that name": ({"TUNIX_RT_ARTIFACTS": "s3://nowhere/tunix-rt"}, "NoSuchBucket"),
}


@pytest.mark.parametrize("changed", WRONG)
def test_a_bucket_that_cannot_be_reached_is_told_without_a_secret(
    home: Path, bucket: str, s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    assert list(open_artifacts(settings.load(home)).digests()) == []  # negative control
    environ, reason = WRONG[changed]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    files = open_artifacts(settings.load(home))
    asked = (lambda: files.put(io.BytesIO(IN_PARTS)), lambda: files.verify("a" * 64), lambda: list(files.digests()))
    for ask in asked:
        with pytest.raises(errors.Unavailable) as told:
            ask()
        message = told.value.message
        assert reason in message
        assert files.where in message
        assert os.environ["AWS_ENDPOINT_URL"].rpartition("@")[2].removeprefix("http://") in message
        for secret in (os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"], "hidden"):
            assert secret not in message
    assert keys(s3_server, bucket) == []


def test_the_command_line_ends_with_1_and_names_the_endpoint(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-this-key")
    done = run("store", "check", home=home, code=1)
    assert f"{os.environ['AWS_ENDPOINT_URL']}/" in done.stderr
    assert "not-the-secret" not in done.stderr + done.stdout


def test_an_address_that_is_none_is_refused_and_not_shown(home: Path) -> None:
    for address in (
        "s3://key:hidden@bucket/x",
        "https://hidden/x",
        "s3://b",
        "s3://bucket/../hidden",
        "s3://bucket//x",
        "bucket",
    ):
        with pytest.raises(errors.Invalid, match="'artifacts': an address of a bucket is s3://BUCKET") as told:
            settings.load(home, {"TUNIX_RT_ARTIFACTS": address})
        assert "hidden" not in told.value.message
    for address in ("s3://bucket", "s3://my.bucket-1/a/b_c.d"):
        assert settings.load(home, {"TUNIX_RT_ARTIFACTS": address}).artifacts == address


def test_without_the_library_the_command_that_brings_it_is_named(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(errors.Missing, match="pip install obstore"):
        open_artifacts(place)


@contextmanager
def cutting(size: int) -> Iterator[str]:
    """The endpoint of a server that promises a file and breaks off in its middle, every time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    one, _ = listening.accept()
                except OSError:
                    return
                with one:
                    one.recv(65_536)
                    one.sendall(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "x"\r\n'.encode())
                    one.sendall(b"Last-Modified: Fri, 27 Nov 2026 12:00:00 GMT\r\n\r\n" + b"x" * (size // 2))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_breaks_off_leaves_nothing(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "a" * 64
    with cutting(1000) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for ask in (open_artifacts(place).path, open_artifacts(place).verify):
            with pytest.raises(errors.Unavailable, match="cannot be reached"):
                ask(digest)
    assert [path for path in place.artifact_folder.rglob("*") if path.is_file()] == []
