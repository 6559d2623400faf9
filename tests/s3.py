"""A private S3 server for the test session: moto's, which checks signatures, in a process of its own.

A bucket of its own for each test that asks for one, with the variables that an administrator would set.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tunix_rt.settings import Settings
from tunix_rt.store import artifacts

ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
ON_DISK = {"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "65536"}  # larger objects are files
UNCHECKED = 3  # requests that make the user, before signatures are checked


class Server:
    """`environ` is what lets a program in; `client` sees the objects as another program would."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        key = self._user()
        self.environ = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        self.client = self._service("s3", key["AccessKeyId"], key["SecretAccessKey"])
        self._count = 0

    def create(self) -> str:
        """A new bucket's name."""
        self._count += 1
        name = f"lab-{self._count}"
        self.client.create_bucket(Bucket=name)
        return name

    def damage(self, settings: Settings, digest: str) -> None:
        """Change a byte of the stored object, or of the file where artifacts lie in a folder."""
        if settings.artifacts is None:
            path = settings.artifact_folder / artifacts.key(digest)
            path.chmod(0o644)
            path.write_bytes(flipped(path.read_bytes()))
            return
        there = place(settings, digest)
        self.client.put_object(**there, Body=flipped(self.client.get_object(**there)["Body"].read()))

    def _user(self) -> dict[str, str]:
        users = self._service("iam", "nobody", "nothing")
        users.create_user(UserName="lab")
        users.put_user_policy(UserName="lab", PolicyName="all", PolicyDocument=json.dumps(ALLOWED))
        made: dict[str, str] = users.create_access_key(UserName="lab")["AccessKey"]
        return made

    def _service(self, name: str, key: str, secret: str) -> Any:
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
        return boto3.client(name, endpoint_url=self.endpoint, region_name="us-east-1", **keys)


def place(settings: Settings, digest: str) -> dict[str, str]:
    """Where the object lies, as other programs name it."""
    bucket, _, prefix = str(settings.artifacts).removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": f"{prefix}/{artifacts.key(digest)}"}


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryDirectory(prefix="s3-") as folder, (Path(folder) / "log").open("wb") as log:
        environ = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(UNCHECKED), "TMPDIR": folder, **ON_DISK}
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            _wait(process, port, Path(log.name))
            yield Server(port)
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"moto's server does not answer: {log.read_text()}")
